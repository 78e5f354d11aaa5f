"""An OpenAI-shaped HTTP API and the chat page, around one engine.

    POST /v1/chat/completions   answers, streaming or not
    GET  /v1/models             the one model that is served
    GET  /health                for whoever watches the process
    GET  /                      the chat page

Every refusal has OpenAI's error shape. Nothing a client sends is written to the log, and no traceback to a client.
"""

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from rich.console import Console
from rich.markup import escape

from seallm import __version__
from seallm.base.errors import DataError
from seallm.model.generation import SamplingSettings
from seallm.serve.answering import TOO_SLOW, Answering, AnswerStream, HungUp
from seallm.serve.engine import AnswerRequest, Engine, PromptTooLong, QueueFull, load_engine, logger
from seallm.serve.schema import REQUEST_FIELDS, ChatRequest, Completion, Health, ModelCard, ModelList
from seallm.serve.system_prompt import ServedPolicy
from seallm.web.guard import SECURITY_HEADERS, Guard, GuardSettings
from seallm.web.listening import address_of, allowed_hosts, listen, run_app
from seallm.web.page_files import add_page
from seallm.web.refusals import ErrorBody, add_refusals, error_response

DEFAULT_SAMPLING = SamplingSettings(max_new_tokens=512, temperature=0.7, top_p=0.95)
GRACE_SECONDS = 20  # that streams may take to end once the server is asked to stop


@dataclass(frozen=True)
class ServerSettings:
    """How a server treats its clients.

    Attributes:
        guard: who is let in, and how large a body may be.
        request_seconds: time for a whole request, waiting in the queue included.
        max_answers: largest `n`.
        sampling: used where a request does not say otherwise; its seed is not used.
        policy: whose system prompt stands before every conversation; None: clients choose theirs.
    """

    guard: GuardSettings = field(default_factory=GuardSettings)
    request_seconds: float = 300.0
    max_answers: int = 8
    sampling: SamplingSettings = DEFAULT_SAMPLING
    policy: ServedPolicy | None = None


def make_app(engine: Engine, settings: ServerSettings) -> FastAPI:
    """The application: routes over `engine`, behind the guard."""
    app = FastAPI(title="seallm", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, settings=settings.guard)
    add_refusals(app, REQUEST_FIELDS, SECURITY_HEADERS)
    add_page(app, "seallm.serve")
    _add_status(app, engine)
    _add_chat(app, engine, settings)
    return app


def _add_status(app: FastAPI, engine: Engine) -> None:
    card = ModelCard(id=engine.name, created=int(time.time()), max_model_len=engine.max_sequence_tokens)

    @app.get("/health")
    async def health() -> Health:
        return Health(version=__version__, model=engine.name, pending=engine.num_pending)

    @app.get("/v1/models")
    async def models() -> ModelList:
        return ModelList(data=[card])

    @app.get("/v1/models/{name:path}", response_model=ModelCard, responses={404: {"model": ErrorBody}})
    async def model(name: str) -> ModelCard | JSONResponse:
        return card if name == engine.name else _unknown_model(engine)


def _unknown_model(engine: Engine) -> JSONResponse:
    return error_response(404, f"there is no such model here; this server has {engine.name!r}", "model_not_found")


def _add_chat(app: FastAPI, engine: Engine, settings: ServerSettings) -> None:
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody} for status in (400, 401, 403, 404, 408, 413, 429, 500, 504)
    }

    @app.post("/v1/chat/completions", response_model=Completion, responses=refusals)
    async def chat(body: ChatRequest, client: Request) -> Completion | Response:
        if body.model not in (None, engine.name):
            return _unknown_model(engine)
        if (body.n or 1) > settings.max_answers:
            return error_response(400, f"n: at most {settings.max_answers} answers at once", "invalid_value")
        try:
            # encoding a long conversation takes a while: not on the event loop
            request = await run_in_threadpool(_engine_request, engine, body, settings)
            answering = Answering(engine, request, client, settings.request_seconds)
        except PromptTooLong as error:
            return error_response(400, str(error), "context_length_exceeded")
        except DataError as error:
            return error_response(400, str(error), "invalid_value")
        except QueueFull as error:
            return error_response(429, str(error), "queue_full", {"retry-after": str(error.retry_seconds)})
        if body.stream:
            with_usage = body.stream_options is not None and body.stream_options.include_usage
            return AnswerStream(answering, with_usage=with_usage)
        return await _complete(answering)


async def _complete(answering: Answering) -> Completion | Response:
    try:
        return await answering.complete()
    except TimeoutError:
        return error_response(504, TOO_SLOW, "request_timeout")
    except HungUp:
        return Response(status_code=499)  # nobody reads it; the number is nginx's for a client that left
    finally:
        answering.close()


def _engine_request(engine: Engine, body: ChatRequest, settings: ServerSettings) -> AnswerRequest:
    default = settings.sampling
    sampling = SamplingSettings(
        max_new_tokens=body.max_completion_tokens or body.max_tokens or default.max_new_tokens,
        temperature=default.temperature if body.temperature is None else body.temperature,
        top_p=default.top_p if body.top_p is None else body.top_p,
        seed=secrets.randbits(32) if body.seed is None else body.seed,
    )
    messages = [message.to_message() for message in body.messages]
    if settings.policy is not None:
        messages = settings.policy.applied(messages)
    return engine.request(messages, sampling, stops=body.stops, num_answers=body.n or 1)


def serve(model: Path, host: str, port: int, *, api_key: str | None = None, policy: ServedPolicy | None = None) -> None:
    """Serve a model until Ctrl-C; streams under way may end first.

    Args:
        model: a run, a stage of a run, or a Hugging Face folder.
        host: address to listen on. On a loopback address only requests to a loopback name are answered.
        port: port to listen on; 0 takes a free one.
        api_key: clients of the API must send it; empty or None lets everybody in.
        policy: whose system prompt stands before every conversation.

    Raises:
        ModelError: there is no model to serve.
        WorkspaceError: the address is in use or is not this machine's.
    """
    hosts = allowed_hosts(host)
    console = Console(highlight=False, soft_wrap=True)
    with listen(host, port) as listening, closing(load_engine(model)) as engine, _log_to_stderr():
        url = address_of(host, listening)
        console.print(f"[bold]{escape(engine.name)}[/]  [dim]{engine.max_sequence_tokens:,} positions[/]")
        console.print(f"  page  {url}\n  API   {url}/v1", markup=False)
        if hosts is None and not api_key:
            open_to = f"everybody who can reach {host} can use this model; --api-key asks for a key"
            console.print(f"[yellow]warning:[/] {open_to}")
        app = make_app(engine, ServerSettings(GuardSettings(api_key or None, hosts), policy=policy))
        if not run_app(app, listening, GRACE_SECONDS):
            console.print("stopped")


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
