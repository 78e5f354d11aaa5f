"""What the chat page asks for beside the API: what it may offer, the language of a text, pairs of answers, batches.

These routes are the page's own and may change with it; programs use /v1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field, field_validator

from seallm.base.errors import SeallmError, WorkspaceError
from seallm.languages import known_languages, load_language
from seallm.policies.loading import known_policies
from seallm.serve.answering import Answering, EventStream
from seallm.serve.api import REFUSALS, ServerSettings, refused
from seallm.serve.batch_files import BatchRow, file_kind, read_rows
from seallm.serve.batches import Batch, Batches, TooManyBatches
from seallm.serve.comparing import Comparing, Judged, JudgeRequest, PairReply
from seallm.serve.engine import Engine
from seallm.serve.metrics import Metrics
from seallm.serve.requests import AnswerRequest
from seallm.serve.schema import ChatMessage, ChatRequest, Shape
from seallm.web.refusals import ErrorBody, error_response

BATCHES_PATH = "/page/batches"
MAX_SHOWN_PROBLEMS = 50
UNKNOWN_BATCH = "there is no such batch any more; the server keeps the newest in memory until it ends"


@dataclass(frozen=True)
class PageParts:
    """What the page can do on this server.

    Attributes:
        identify: a text to the code of its language, None where that is not certain; None: no labels.
        comparing: two models side by side; None: there is one.
        batches: of files.
        max_batch_bytes: largest file, as JSON.
        max_batch_rows: most rows of one.
    """

    identify: Callable[[str], str | None] | None = None
    comparing: Comparing | None = None
    batches: Batches = field(default_factory=Batches)
    max_batch_bytes: int = 8 * 2**20
    max_batch_rows: int = 2_000


class About(BaseModel):
    """What the page may offer."""

    compares: bool
    names_languages: bool
    policies: list[str]
    policy: str | None
    """The server's own, which clients cannot leave unless `may_choose`."""
    may_choose: bool
    has_base: bool
    max_batch_rows: int
    max_batch_bytes: int


class LanguageRequest(Shape):
    """Body of POST /page/language."""

    text: str = Field(max_length=100_000)


class FoundLanguage(BaseModel):
    """A language; all None where it is not certain."""

    code: str | None = None
    name: str | None = None
    native_name: str | None = None


class PageRequest(Shape):
    """What the page's settings say of every request."""

    policy: str | None = Field(default=None, max_length=80)
    """Policy pack whose system prompt stands first, where the server leaves the choice."""
    temperature: float | None = Field(default=None, strict=True, ge=0, le=2, allow_inf_nan=False)
    """0 always takes the likeliest token; absent: the server's default."""


class PairRequest(PageRequest):
    """Body of POST /page/pairs."""

    messages: list[ChatMessage] = Field(min_length=1)
    """The conversation so far; its last turn is the user's."""

    @field_validator("messages")
    @classmethod
    def _end_with_the_user(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if messages[-1].role != "user":
            raise ValueError("the last message must be the user's")
        return messages


class BatchRequest(PageRequest):
    """Body of POST /page/batches."""

    name: str = Field(max_length=200)
    """Of the file; its ending says what it is."""
    content: str
    """Of the file."""
    system: str = Field(default="", max_length=100_000)
    """System prompt of rows that have none of their own."""


class RowProblem(BaseModel):
    """A row without an answer."""

    line: int
    reason: str


class BatchState(BaseModel):
    """How far a batch is."""

    id: str
    name: str
    state: str
    rows: int
    answered: int
    failed: int
    seconds: float
    problems: list[RowProblem]
    """The first of them."""


def add_page_parts(app: FastAPI, engine: Engine, settings: ServerSettings, parts: PageParts, metrics: Metrics) -> None:
    """All of the page's routes."""
    _add_about(app, settings, parts)
    _add_language(app, parts)
    _add_batches(app, engine, settings, parts)
    if parts.comparing is not None:
        _add_comparing(app, parts.comparing, settings, metrics)


def _add_about(app: FastAPI, settings: ServerSettings, parts: PageParts) -> None:
    @app.get("/page/about")
    async def about() -> About:
        own = settings.policy
        return About(
            compares=parts.comparing is not None,
            names_languages=parts.identify is not None,
            policies=await run_in_threadpool(known_policies, Path.cwd()),
            policy=own.name if own else None,
            may_choose=own is None or own.allow_system,
            has_base=settings.base is not None,
            max_batch_rows=parts.max_batch_rows,
            max_batch_bytes=parts.max_batch_bytes,
        )


def _add_language(app: FastAPI, parts: PageParts) -> None:
    @app.post("/page/language", response_model=FoundLanguage, responses=REFUSALS)
    async def language(body: LanguageRequest) -> FoundLanguage:
        if parts.identify is None:
            return FoundLanguage()
        # a lone half of a surrogate pair cannot be identified, nor written as UTF-8
        code = await run_in_threadpool(parts.identify, body.text.encode("utf-8", "replace").decode())
        if code is None or code not in known_languages():
            return FoundLanguage(code=code, name=code)
        found = load_language(code)
        return FoundLanguage(code=code, name=found.name, native_name=found.native_name)


def _add_comparing(app: FastAPI, comparing: Comparing, settings: ServerSettings, metrics: Metrics) -> None:
    @app.post("/page/pairs", response_class=Response, responses=REFUSALS)
    async def pairs(body: PairRequest, client: Request) -> Response:
        engines = comparing.drawn()

        def encode() -> list[AnswerRequest]:
            asked = ChatRequest(messages=body.messages, temperature=body.temperature)
            sampling = asked.sampling(settings.sampling, settings.sampling.max_new_tokens)
            messages = settings.messages(body.messages, body.policy)
            requests = [engine.request(messages, sampling) for engine in engines]
            for engine, request in zip(engines, requests, strict=True):
                settings.admit(engine, [request])
            return requests

        try:
            requests = await run_in_threadpool(encode)
            sides = _both(engines, requests, client, settings, metrics)
        except SeallmError as error:
            return refused(error)
        reply = PairReply(comparing, sides, settings.messages(body.messages, body.policy))
        return EventStream(reply.events(), reply)

    @app.post("/page/judgements", response_model=Judged, responses=REFUSALS)
    async def judgements(body: JudgeRequest) -> Judged | Response:
        try:
            return await run_in_threadpool(comparing.judge, body)
        except WorkspaceError as error:  # the database is in use, or cannot be written
            return error_response(503, str(error), "not_kept")
        except SeallmError as error:
            return refused(error)


def _both(
    engines: tuple[Engine, Engine],
    requests: Sequence[AnswerRequest],
    client: Request,
    settings: ServerSettings,
    metrics: Metrics,
) -> tuple[Answering, Answering]:
    """Both requests at their engines, or none."""
    first = Answering(engines[0], requests[:1], client, settings.request_seconds, metrics)
    try:
        return first, Answering(engines[1], requests[1:], client, settings.request_seconds, metrics)
    except Exception:
        first.close()
        raise


def _add_batches(app: FastAPI, engine: Engine, settings: ServerSettings, parts: PageParts) -> None:
    responses = {**REFUSALS, 404: {"model": ErrorBody}}

    @app.post(BATCHES_PATH, response_model=BatchState, responses=responses)
    async def start(body: BatchRequest) -> BatchState | Response:
        def begin() -> Batch:
            settings.messages([], body.policy)  # a policy that cannot be chosen is told at once, not row by row
            kind = file_kind(body.name)
            rows = read_rows(kind, body.content, parts.max_batch_rows)
            encode = _row_encoder(engine, settings, body)
            return parts.batches.start(engine, body.name, kind, rows, encode)

        try:
            return _state(await run_in_threadpool(begin))
        except TooManyBatches as error:
            return error_response(429, str(error), "too_many_batches", {"retry-after": "10"})
        except SeallmError as error:
            return refused(error)

    @app.get(BATCHES_PATH + "/{number}", response_model=BatchState, responses=responses)
    async def progress(number: str) -> BatchState | Response:
        batch = parts.batches.find(number)
        return _state(batch) if batch else error_response(404, UNKNOWN_BATCH, "not_found")

    @app.post(BATCHES_PATH + "/{number}/stop", response_model=BatchState, responses=responses)
    async def stop(number: str) -> BatchState | Response:
        batch = parts.batches.find(number)
        if batch is None:
            return error_response(404, UNKNOWN_BATCH, "not_found")
        batch.stop()
        return _state(batch)

    @app.get(BATCHES_PATH + "/{number}/file", response_class=Response, responses=responses)
    async def file(number: str) -> Response:
        batch = parts.batches.find(number)
        if batch is None:
            return error_response(404, UNKNOWN_BATCH, "not_found")
        media_type = "text/csv; charset=utf-8" if batch.kind == "csv" else "application/jsonl; charset=utf-8"
        content = await run_in_threadpool(batch.file)
        return Response(content, media_type=media_type, headers={"content-disposition": "attachment"})


def _row_encoder(engine: Engine, settings: ServerSettings, body: BatchRequest) -> Callable[[BatchRow], AnswerRequest]:
    def encode(row: BatchRow) -> AnswerRequest:
        given: Sequence[ChatMessage] = row.messages
        if body.system.strip() and given[0].role not in ("system", "developer"):
            given = [ChatMessage(role="system", content=body.system), *given]
        asked = ChatRequest(messages=list(given), temperature=body.temperature)
        sampling = asked.sampling(settings.sampling, settings.sampling.max_new_tokens)
        request = engine.request(settings.messages(given, body.policy), sampling)
        settings.admit(engine, [request])
        return request

    return encode


def _state(batch: Batch) -> BatchState:
    found = batch.progress()
    problems = sorted(found.problems)
    return BatchState(
        id=batch.id,
        name=batch.name,
        state=found.state,
        rows=found.num_rows,
        answered=found.answered,
        failed=len(problems),
        seconds=round(found.seconds, 1),
        problems=[RowProblem(line=line, reason=reason) for line, reason in problems[:MAX_SHOWN_PROBLEMS]],
    )
