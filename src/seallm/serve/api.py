"""The routes of the API: chat and text completions, models, tokens, health, metrics.

Every refusal has OpenAI's error shape. Nothing a client sends is written to the log unless the operator asks for it,
and no traceback to a client.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from seallm import __version__
from seallm.base.errors import DataError, ModelError, SeallmError
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.model.plain_text import PlainText
from seallm.serve.answering import Answering, EventStream, Reply, complete, reply_events
from seallm.serve.chat_reply import ChatReply
from seallm.serve.engine import Engine, canonical, logger
from seallm.serve.metrics import Metrics
from seallm.serve.replies import Completion, Health, ModelCard, ModelList, TextCompletion, TokenCounts
from seallm.serve.requests import AnswerRequest, PromptRefused, PromptTooLong, QueueFull
from seallm.serve.schema import ChatMessage, ChatRequest, CompletionRequest, SamplingFields, TokenizeRequest
from seallm.serve.system_prompt import ServedPolicy, chosen_policy
from seallm.serve.text_reply import TextReply
from seallm.serve.token_counts import conversation_counts, text_counts
from seallm.web.guard import GuardSettings
from seallm.web.refusals import ErrorBody, error_response

DEFAULT_SAMPLING = SamplingSettings(max_new_tokens=512, temperature=0.7, top_p=0.95)
DEFAULT_TEXT_TOKENS = 16  # as in OpenAI's API


@dataclass(frozen=True)
class ServerSettings:
    """How a server treats its clients.

    Attributes:
        guard: who is let in, and how large a body may be.
        request_seconds: time for a whole request, waiting in the queue included.
        max_answers: largest `n`.
        max_prompts: most prompts of one text completion.
        max_prompt_tokens: longest prompt; None: what the model has positions for.
        sampling: used where a request does not say otherwise; its seed is not used.
        logs_prompts: write prompts to the log, for whoever looks for a fault.
        base: tokenizer of the base model, that token counts are compared with, and its name.
        policy: whose system prompt stands before every conversation; None: clients may choose a pack.
    """

    guard: GuardSettings = field(default_factory=GuardSettings)
    request_seconds: float = 300.0
    max_answers: int = 8
    max_prompts: int = 64
    max_prompt_tokens: int | None = None
    sampling: SamplingSettings = DEFAULT_SAMPLING
    logs_prompts: bool = False
    base: tuple[PlainText, str] | None = None
    policy: ServedPolicy | None = None

    def messages(self, given: Sequence[ChatMessage], asked_policy: str | None = None) -> list[Message]:
        """A client's conversation, behind the policy's system prompt.

        Raises:
            DataError: the client may not choose that policy.
        """
        messages = [message.to_message() for message in given]
        policy = chosen_policy(self.policy, asked_policy)
        return messages if policy is None else policy.applied(messages)

    def admit(self, engine: Engine, requests: Sequence[AnswerRequest]) -> None:
        """Refuse prompts beyond the server's own limit; write the others to the log where the operator wants that.

        Raises:
            PromptRefused: one is too long.
        """
        for request in requests:
            length = len(request.prompt)
            if self.max_prompt_tokens is not None and length > self.max_prompt_tokens:
                raise PromptRefused(
                    f"the prompt has {length} tokens; this server reads at most {self.max_prompt_tokens}"
                )
            if self.logs_prompts:
                # written as a literal: a line end or an escape sequence must not look like the log's own
                logger.info("prompt: %r", engine.format.tokenizer.decode(request.prompt))


def refused(error: SeallmError) -> JSONResponse:
    """Why a request is not answered: it is too long or wrong, or the queue is full."""
    if isinstance(error, QueueFull):
        return error_response(429, str(error), "queue_full", {"retry-after": str(error.retry_seconds)})
    codes: dict[type[SeallmError], str] = {PromptTooLong: "context_length_exceeded", PromptRefused: "prompt_too_long"}
    return error_response(400, str(error), codes.get(type(error), "invalid_value"))


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 403, 404, 408, 413, 429, 500, 504)
}


def add_status(app: FastAPI, engine: Engine, metrics: Metrics) -> None:
    """Routes for whoever watches or looks around."""
    card = ModelCard(id=engine.name, created=int(time.time()), max_model_len=engine.max_sequence_tokens)

    @app.get("/health", response_model=Health, responses={503: {"model": ErrorBody}})
    async def health() -> Health | JSONResponse:
        if not engine.is_alive:
            return error_response(503, "the engine has stopped; the log says why. Start the server again", "stopped")
        return Health(version=__version__, model=engine.name, pending=engine.num_pending)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def figures() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=1.0.0; charset=utf-8")

    @app.get("/v1/models")
    async def models() -> ModelList:
        return ModelList(data=[card])

    @app.get("/v1/models/{name:path}", response_model=ModelCard, responses={404: {"model": ErrorBody}})
    async def model(name: str) -> ModelCard | JSONResponse:
        return card if name == engine.name else unknown_model(engine)


def unknown_model(engine: Engine) -> JSONResponse:
    """The refusal of another model's name."""
    return error_response(404, f"there is no such model here; this server has {engine.name!r}", "model_not_found")


def add_completions(app: FastAPI, engine: Engine, settings: ServerSettings, metrics: Metrics) -> None:
    """Routes that answer."""

    @app.post("/v1/chat/completions", response_model=Completion, responses=REFUSALS)
    async def chat(body: ChatRequest, client: Request) -> BaseModel | Response:
        def encode() -> list[AnswerRequest]:
            return [_chat_request(engine, body, settings)]

        return await _answer(engine, settings, metrics, body, client, encode, ChatReply)

    @app.post("/v1/completions", response_model=TextCompletion, responses=REFUSALS)
    async def text(body: CompletionRequest, client: Request) -> BaseModel | Response:
        if settings.policy is not None and not settings.policy.allow_system:
            message = "a policy is in force, which plain text would pass by; ask /v1/chat/completions"
            return error_response(403, message, "policy_in_force")
        if len(body.prompts) > settings.max_prompts:
            message = f"prompt: at most {settings.max_prompts} prompts at once"
            return error_response(400, message, "invalid_value")

        def encode() -> list[AnswerRequest]:
            return _text_requests(engine, body, settings)

        def reply(answering: Answering) -> Reply:
            plain = engine.format.plain
            texts = [p if isinstance(p, str) else plain.decode(p) for p in body.prompts] if body.echo else None
            return TextReply(answering, texts)

        return await _answer(engine, settings, metrics, body, client, encode, reply)


async def _answer(
    engine: Engine,
    settings: ServerSettings,
    metrics: Metrics,
    body: SamplingFields,
    client: Request,
    encode: Callable[[], list[AnswerRequest]],
    make_reply: Callable[[Answering], Reply],
) -> BaseModel | Response:
    if body.model not in (None, engine.name):
        return unknown_model(engine)
    if (body.n or 1) > settings.max_answers:
        return error_response(400, f"n: at most {settings.max_answers} answers at once", "invalid_value")
    try:
        # encoding a long conversation takes a while: not on the event loop
        requests = await run_in_threadpool(encode)
        settings.admit(engine, requests)
        answering = Answering(engine, requests, client, settings.request_seconds, metrics)
    except SeallmError as error:
        return refused(error)
    reply = make_reply(answering)
    if body.stream:
        return EventStream(reply_events(reply, with_usage=body.wants_usage), answering)
    return await complete(reply)


def _chat_request(engine: Engine, body: ChatRequest, settings: ServerSettings) -> AnswerRequest:
    longest = body.max_completion_tokens or body.max_tokens or settings.sampling.max_new_tokens
    request = engine.request(
        settings.messages(body.messages, body.policy),
        body.sampling(settings.sampling, longest),
        stops=body.stops,
        num_answers=body.n or 1,
        num_top=body.num_top,
    )
    _check_ids(engine, [token_id for token_id, _ in request.sampling.logit_bias], "logit_bias")
    return request


def _text_requests(engine: Engine, body: CompletionRequest, settings: ServerSettings) -> list[AnswerRequest]:
    longest = DEFAULT_TEXT_TOKENS if body.max_tokens is None else body.max_tokens
    sampling = body.sampling(settings.sampling, longest)
    _check_ids(engine, [token_id for token_id, _ in sampling.logit_bias], "logit_bias")
    requests = []
    for prompt in body.prompts:
        ids = prompt if isinstance(prompt, list) else engine.format.text_ids(prompt) or [engine.format.start_id]
        _check_ids(engine, ids, "prompt")
        scores_prompt = bool(body.echo) and body.logprobs is not None
        request = AnswerRequest(tuple(ids), sampling, body.stops, body.n or 1, body.logprobs, scores_prompt)
        requests.append(engine.prompt_request(request))
    return requests


def _check_ids(engine: Engine, ids: Sequence[int], what: str) -> None:
    size = len(engine.format.tokenizer)
    if not all(token_id < size for token_id in ids):
        raise DataError(f"{what}: an id is out of range; the tokenizer has ids 0 to {size - 1}")


def add_tokenize(app: FastAPI, engine: Engine, settings: ServerSettings) -> None:
    """The route that counts tokens."""

    @app.post("/v1/tokenize", response_model=TokenCounts, responses=REFUSALS)
    async def tokenize(body: TokenizeRequest) -> TokenCounts | Response:
        def count() -> TokenCounts:
            if body.messages is None:
                texts: Mapping[str | None, str] = dict(body.by_language)
                counts = text_counts(engine.format, settings.base, texts, with_ids=body.with_ids)
            else:
                messages = [canonical(message) for message in settings.messages(body.messages)]  # as they are answered
                counts = conversation_counts(engine.format, settings.base, messages, with_ids=body.with_ids)
            return TokenCounts(model=engine.name, base=settings.base and settings.base[1], counts=counts)

        try:
            return await run_in_threadpool(count)
        except (DataError, ModelError) as error:
            return error_response(400, str(error), "invalid_value")
