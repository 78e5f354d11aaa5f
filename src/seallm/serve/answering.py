"""An API request at the engine, as the event loop sees it: events in, a reply or a stream of chunks out.

The engine's worker hands events over to the loop; a client that hangs up and a request that takes too long both end the
request at the engine at once. A request may hold several prompts, each of which is answered `num_answers` times: the
answers are numbered through, prompt by prompt.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fastapi import Response
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from seallm.serve.engine import Engine, logger
from seallm.serve.metrics import Metrics
from seallm.serve.replies import Usage
from seallm.serve.requests import AnswerRequest, Event, Failed, Finished, Piece, PromptScores, Ticket
from seallm.web.refusals import ErrorBody, error_detail, error_response

STREAM_END = "data: [DONE]\n\n"
TOO_SLOW = "the answer took too long; ask for fewer tokens, or try again later"


class HungUp(Exception):
    """The client is gone; nobody reads what would be answered."""


@dataclass(frozen=True)
class Numbered:
    """An event of answer `index` of the whole request."""

    index: int
    event: Piece | PromptScores | Finished


class Answering:
    """A submitted request.

    Args:
        engine: where it is submitted, at once.
        requests: one for each prompt, all with the same number of answers; the queue takes all of them or none.
        client: the HTTP request, watched for its client's leaving.
        seconds: time until the last event, waiting in the queue included.
        metrics: told about the request's end.

    Raises:
        QueueFull: the engine takes no more.
    """

    def __init__(
        self, engine: Engine, requests: Sequence[AnswerRequest], client: Request, seconds: float, metrics: Metrics
    ) -> None:
        self.requests, self.engine = requests, engine
        self.id, self.created = uuid.uuid4().hex, int(time.time())
        self.num_answers = sum(request.num_answers for request in requests)
        self._metrics = metrics
        self._started = time.monotonic()
        self._deadline = self._started + seconds
        self._events: asyncio.Queue[tuple[int, Event] | None] = asyncio.Queue()
        self._tickets: list[Ticket] = []
        loop = asyncio.get_running_loop()
        for number, request in enumerate(requests):
            try:
                deliver = partial(self._deliver, loop, number)
                self._tickets.append(engine.submit(request, deliver, is_admitted=number > 0))
            except Exception:
                self._cancel()
                raise
        self._watch = asyncio.create_task(self._wait_for_hangup(client))
        self._num_tokens = 0
        self._first_text_seconds: float | None = None
        self._end = "cancelled"

    def _deliver(self, loop: asyncio.AbstractEventLoop, number: int, event: Event) -> None:
        loop.call_soon_threadsafe(self._events.put_nowait, (number, event))

    def _cancel(self) -> None:
        for ticket in self._tickets:
            ticket.cancel()

    async def _wait_for_hangup(self, client: Request) -> None:
        while (await client.receive())["type"] != "http.disconnect":
            continue
        self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[Numbered]:
        """Everything until the last answer is finished.

        Raises:
            HungUp: the client left.
            TimeoutError: the time is over.
            Exception: the engine failed.
        """
        missing = self.num_answers
        while missing:
            delivered = await asyncio.wait_for(self._events.get(), max(0.0, self._deadline - time.monotonic()))
            if delivered is None:
                raise HungUp
            number, event = delivered
            if isinstance(event, Failed):
                self._end = "failed"
                raise event.error
            if isinstance(event, Finished):
                missing -= 1
                self._num_tokens += event.num_tokens
            elif self._first_text_seconds is None and isinstance(event, Piece):
                self._first_text_seconds = time.monotonic() - self._started
            yield Numbered(number * self.requests[0].num_answers + event.answer, event)
        self._end = "finished"

    @property
    def has_failed(self) -> bool:
        """True where the engine failed, and has said so in the log."""
        return self._end == "failed"

    def time_out(self) -> None:
        """Note that the time is over."""
        self._end = "timed out"

    def close(self) -> None:
        """End the request at the engine if it is still going, and note what was done, without any text."""
        self._cancel()
        self._watch.cancel()
        seconds = time.monotonic() - self._started
        num_prompt = sum(len(request.prompt) for request in self.requests)
        logger.info("%s: %d prompt and %d answer tokens, %.1f s", self._end, num_prompt, self._num_tokens, seconds)
        self._metrics.request_ended(self._end, seconds, self._first_text_seconds)

    @property
    def usage(self) -> Usage:
        """Tokens of the prompts and of the finished answers."""
        prompt = sum(len(request.prompt) for request in self.requests)
        return Usage(prompt_tokens=prompt, completion_tokens=self._num_tokens, total_tokens=prompt + self._num_tokens)


class Reply(Protocol):
    """How an answering is told: as chat or as text."""

    answering: Answering

    async def complete(self) -> BaseModel:
        """The whole reply."""

    def opening(self) -> Sequence[BaseModel]:
        """Chunks of a stream before any event."""

    def chunk(self, numbered: Numbered) -> BaseModel:
        """An event as a chunk of a stream."""

    def usage_chunk(self) -> BaseModel:
        """The last chunk, with the token counts."""


async def complete(reply: Reply) -> BaseModel | Response:
    """Wait for the whole reply, or say why there is none."""
    try:
        return await reply.complete()
    except TimeoutError:
        reply.answering.time_out()
        return error_response(504, TOO_SLOW, "request_timeout")
    except HungUp:
        return Response(status_code=499)  # nobody reads it; the number is nginx's for a client that left
    finally:
        reply.answering.close()


class Source(Protocol):
    """Where the events of a stream come from."""

    @property
    def has_failed(self) -> bool:
        """True where the engine failed, and has said so in the log."""

    def time_out(self) -> None:
        """Note that the time is over."""

    def close(self) -> None:
        """End what is still going at the engine."""


async def reply_events(reply: Reply, *, with_usage: bool) -> AsyncIterator[BaseModel]:
    """A reply in chunks."""
    for opening in reply.opening():
        yield opening
    async for numbered in reply.answering.events():
        yield reply.chunk(numbered)
    if with_usage:
        yield reply.usage_chunk()


async def _sent_events(events: AsyncIterator[BaseModel], source: Source) -> AsyncIterator[str]:
    """Server-sent events; an error is the last event, since the status was sent long ago."""
    try:
        async for event in events:
            yield _event(event)
        yield STREAM_END
    except TimeoutError:
        source.time_out()
        yield _event(ErrorBody(error=error_detail(504, TOO_SLOW, "request_timeout")))
    except HungUp:
        return
    except Exception:
        if not source.has_failed:
            raise  # not the engine's, which has logged it: a bug here
        yield _event(ErrorBody(error=error_detail(500, "the answer failed", "internal_error")))


def _event(value: BaseModel) -> str:
    return f"data: {value.model_dump_json()}\n\n"


class EventStream(StreamingResponse):
    """A stream of events that ends its source at the engine however it is left, even before its first event."""

    def __init__(self, events: AsyncIterator[BaseModel], source: Source) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}  # the latter: nginx would hold chunks back
        super().__init__(_sent_events(events, source), media_type="text/event-stream", headers=headers)
        self.source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.source.close()
