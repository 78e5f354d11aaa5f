"""One question, two models, blind: both answers side by side out, and a judgement of them in.

The sides are drawn here and the names of the models leave only with a judgement, so that nobody can look them up. What
was said is handed to `keep`, which puts it where judgements live.
"""

import asyncio
import secrets
import threading
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.serve.answering import Answering, Numbered
from seallm.serve.engine import Engine
from seallm.serve.replies import FinishReason
from seallm.serve.requests import Finished, Piece
from seallm.serve.schema import Shape

Side = Literal["left", "right"]
Verdict = Literal["left", "right", "tie", "both_bad"]
SIDES: tuple[Side, Side] = ("left", "right")
MAX_OPEN_PAIRS = 1_000  # that wait for a judgement; beyond it the oldest can no longer be judged


@dataclass(frozen=True)
class Pair:
    """Two answers to one conversation.

    Attributes:
        messages: the conversation, system prompt included, as the models read it.
        models: names, left first.
        texts: the answers, left first.
    """

    messages: tuple[Message, ...]
    models: tuple[str, str]
    texts: tuple[str, str]


@dataclass(frozen=True)
class Judgement:
    """What somebody said of a pair."""

    pair: Pair
    verdict: Verdict
    annotator: str


class JudgeRequest(Shape):
    """Body of POST /page/judgements."""

    id: str = Field(max_length=40)
    """Of the pair, from the end of its stream."""
    verdict: Verdict
    """The better side."""
    annotator: str = Field(min_length=1, max_length=200)
    """Whose judgement it is."""


class Judged(BaseModel):
    """Answer of POST /page/judgements: which model was where."""

    left: str
    right: str


class SideChunk(BaseModel):
    """More of one side."""

    side: Side
    text: str = ""
    finish_reason: FinishReason | None = None


class PairEnd(BaseModel):
    """Last event of a pair."""

    id: str | None
    """What a judgement names; None where there is nothing to judge: an answer is empty, or both are the same."""


class Comparing:
    """Two models, and the pairs of answers that wait for a judgement.

    Args:
        engines: of two names.
        keep: takes a judgement to where it is kept; raises a SeallmError where that fails.

    Raises:
        DataError: both models have one name.
    """

    def __init__(self, engines: tuple[Engine, Engine], keep: Callable[[Judgement], None]) -> None:
        self.engines, self._keep = engines, keep
        if engines[0].name == engines[1].name:
            raise DataError(f"both models are called {engines[0].name!r}; judgements could not tell them apart")
        self._open: OrderedDict[str, Pair] = OrderedDict()
        self._lock = threading.Lock()

    def drawn(self) -> tuple[Engine, Engine]:
        """Both engines, left first."""
        first, second = self.engines
        return (first, second) if secrets.randbits(1) else (second, first)

    def offer(self, pair: Pair) -> str | None:
        """Take a pair that may be judged; None where there is nothing to choose."""
        texts = [text.strip() for text in pair.texts]
        if not all(texts) or texts[0] == texts[1]:
            return None
        number = uuid.uuid4().hex
        with self._lock:
            self._open[number] = pair
            while len(self._open) > MAX_OPEN_PAIRS:
                self._open.popitem(last=False)
        return number

    def judge(self, asked: JudgeRequest) -> Judged:
        """Keep a judgement, and say which model was where.

        Raises:
            DataError: there is no such pair that waits, or the name cannot be used.
            SeallmError: it could not be kept; the pair waits on.
        """
        with self._lock:
            pair = self._open.pop(asked.id, None)
        if pair is None:
            raise DataError(
                "id: no such pair waits for a judgement; it was judged already, or the server was restarted"
            )
        try:
            self._keep(Judgement(pair, asked.verdict, asked.annotator))
        except Exception:
            with self._lock:
                self._open[asked.id] = pair
            raise
        return Judged(left=pair.models[0], right=pair.models[1])


class PairReply:
    """Both answers in one stream.

    Args:
        comparing: takes the pair at the end.
        sides: both requests at their engines, left first.
        messages: what they answer.
    """

    def __init__(self, comparing: Comparing, sides: tuple[Answering, Answering], messages: Sequence[Message]) -> None:
        self._comparing, self._sides, self._messages = comparing, sides, tuple(messages)

    async def events(self) -> AsyncIterator[BaseModel]:
        """Pieces of both sides as they come, then what a judgement needs.

        Raises:
            HungUp: the client left.
            TimeoutError: the time is over.
            Exception: an engine failed.
        """
        texts = ["", ""]
        async for number, event in self._merged():
            if isinstance(event, Piece):
                texts[number] += event.text
                yield SideChunk(side=SIDES[number], text=event.text)
            elif isinstance(event, Finished):
                yield SideChunk(side=SIDES[number], finish_reason=event.reason)
        left, right = (side.engine.name for side in self._sides)
        yield PairEnd(id=self._comparing.offer(Pair(self._messages, (left, right), (texts[0], texts[1]))))

    async def _merged(self) -> AsyncIterator[tuple[int, object]]:
        arrived: asyncio.Queue[tuple[int, Numbered | BaseException | None]] = asyncio.Queue()

        async def follow(number: int, answering: Answering) -> None:
            end: BaseException | None = None
            try:
                async for numbered in answering.events():
                    arrived.put_nowait((number, numbered))
            except Exception as error:  # told to whoever reads, below
                end = error
            arrived.put_nowait((number, end))

        tasks = [asyncio.create_task(follow(number, side)) for number, side in enumerate(self._sides)]
        missing = len(tasks)
        try:
            while missing:
                number, found = await arrived.get()
                if isinstance(found, BaseException):
                    raise found
                if found is None:
                    missing -= 1
                else:
                    yield number, found.event
        finally:
            for task in tasks:
                task.cancel()

    @property
    def has_failed(self) -> bool:
        """True where an engine failed, and has said so in the log."""
        return any(side.has_failed for side in self._sides)

    def time_out(self) -> None:
        """Note that the time is over."""
        for side in self._sides:
            side.time_out()

    def close(self) -> None:
        """End both requests at their engines."""
        for side in self._sides:
            side.close()
