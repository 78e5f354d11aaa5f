"""One API request at the engine, as the event loop sees it: events in, a completion or a stream of chunks out.

The engine's worker hands events over to the loop; a client that hangs up and a request that takes too long both end the
request at the engine at once.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from seallm.serve.engine import AnswerRequest, Engine, Event, Failed, Finished, Piece, Ticket, logger
from seallm.serve.schema import AnswerMessage, Choice, Chunk, ChunkChoice, Completion, FinishReason, Usage
from seallm.web.refusals import ErrorBody, error_detail

STREAM_END = "data: [DONE]\n\n"
TOO_SLOW = "the answer took too long; ask for fewer tokens, or try again later"


class HungUp(Exception):
    """The client is gone; nobody reads what would be answered."""


class Answering:
    """A submitted request.

    Args:
        engine: where it is submitted, at once.
        request: what to answer.
        client: the HTTP request, watched for its client's leaving.
        seconds: time until the last event, waiting in the queue included.

    Raises:
        QueueFull: the engine takes no more.
    """

    def __init__(self, engine: Engine, request: AnswerRequest, client: Request, seconds: float) -> None:
        self.request, self.model = request, engine.name
        self.id, self.created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        self._started = time.monotonic()
        self._deadline = self._started + seconds
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self._ticket: Ticket = engine.submit(
            request, lambda event: loop.call_soon_threadsafe(self._events.put_nowait, event)
        )
        self._watch = asyncio.create_task(self._wait_for_hangup(client))
        self._num_tokens = 0
        self._end = "cancelled"

    async def _wait_for_hangup(self, client: Request) -> None:
        while (await client.receive())["type"] != "http.disconnect":
            continue
        self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[Piece | Finished]:
        """Everything until the last answer is finished.

        Raises:
            HungUp: the client left.
            TimeoutError: the time is over.
            Exception: the engine failed.
        """
        missing = self.request.num_answers
        while missing:
            event = await asyncio.wait_for(self._events.get(), max(0.0, self._deadline - time.monotonic()))
            if event is None:
                raise HungUp
            if isinstance(event, Failed):
                self._end = "failed"
                raise event.error
            if isinstance(event, Finished):
                missing -= 1
                self._num_tokens += event.num_tokens
            yield event
        self._end = "finished"

    def close(self) -> None:
        """End the request at the engine if it is still going, and note in the log what was done, without any text."""
        self._ticket.cancel()
        self._watch.cancel()
        seconds = time.monotonic() - self._started
        logger.info(
            "chat %s: %d prompt and %d answer tokens, %.1f s",
            self._end,
            len(self.request.prompt),
            self._num_tokens,
            seconds,
        )

    @property
    def usage(self) -> Usage:
        """Tokens of the prompt and of the finished answers."""
        prompt = len(self.request.prompt)
        return Usage(prompt_tokens=prompt, completion_tokens=self._num_tokens, total_tokens=prompt + self._num_tokens)

    async def complete(self) -> Completion:
        """Wait for all answers.

        Raises:
            HungUp, TimeoutError, Exception: as `events`.
        """
        texts = [""] * self.request.num_answers
        reasons: list[FinishReason] = ["length"] * self.request.num_answers
        async for event in self.events():
            if isinstance(event, Piece):
                texts[event.answer] += event.text
            else:
                reasons[event.answer] = event.reason
        choices = [
            Choice(index=number, message=AnswerMessage(content=text), finish_reason=reason)
            for number, (text, reason) in enumerate(zip(texts, reasons, strict=True))
        ]
        return Completion(id=self.id, created=self.created, model=self.model, choices=choices, usage=self.usage)

    async def chunks(self, *, with_usage: bool) -> AsyncIterator[str]:
        """The answers as server-sent events; an error is the last event, since the status was sent long ago."""
        try:
            for number in range(self.request.num_answers):
                yield self._chunk(ChunkChoice(index=number, delta={"role": "assistant", "content": ""}))
            async for event in self.events():
                if isinstance(event, Piece):
                    yield self._chunk(ChunkChoice(index=event.answer, delta={"content": event.text}))
                else:
                    yield self._chunk(ChunkChoice(index=event.answer, delta={}, finish_reason=event.reason))
            if with_usage:
                yield self._chunk(usage=self.usage)
            yield STREAM_END
        except TimeoutError:
            yield _event(ErrorBody(error=error_detail(504, TOO_SLOW, "request_timeout")))
        except HungUp:
            return
        except Exception:
            if self._end != "failed":
                raise  # not the engine's, which has logged it: a bug here
            yield _event(ErrorBody(error=error_detail(500, "the answer failed", "internal_error")))

    def _chunk(self, choice: ChunkChoice | None = None, usage: Usage | None = None) -> str:
        choices = [] if choice is None else [choice]
        return _event(Chunk(id=self.id, created=self.created, model=self.model, choices=choices, usage=usage))


def _event(value: BaseModel) -> str:
    return f"data: {value.model_dump_json()}\n\n"


class AnswerStream(StreamingResponse):
    """A stream of chunks that ends its request at the engine however it is left, even before its first chunk."""

    def __init__(self, answering: Answering, *, with_usage: bool) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}  # the latter: nginx would hold chunks back
        super().__init__(answering.chunks(with_usage=with_usage), media_type="text/event-stream", headers=headers)
        self.answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.answering.close()
