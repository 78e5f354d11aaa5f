"""Rows of a file through the engine's queue, a few at a time, while others chat: progress, answers, and a way to stop.

All batches together hold at most half of the engine's places: who asks in between waits for an answer and not for a
file. Batches live in memory until the server ends; only the newest are kept.
"""

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from seallm.base.errors import DataError, ModelError
from seallm.serve.batch_files import BatchRow, FileKind, RowAnswer, answered_file
from seallm.serve.engine import Engine
from seallm.serve.requests import AnswerRequest, Event, Failed, Finished, Piece, QueueFull, Ticket

logger = logging.getLogger("seallm.serve")
State = Literal["running", "finished", "stopped"]
MAX_KEPT = 20
MAX_RUNNING = 4
POLL_SECONDS = 0.2  # until a waiting batch sees that it was stopped


class TooManyBatches(DataError):
    """As many batches are running as may."""


@dataclass(frozen=True)
class Progress:
    """How far a batch is.

    Attributes:
        answered: rows with an answer.
        problems: line and reason of rows without, in the order of their coming.
        seconds: since it was begun, until its end.
    """

    state: State
    num_rows: int
    answered: int
    problems: Sequence[tuple[int, str]]
    seconds: float


class Batch:
    """One file that is being answered, by a thread of its own.

    Args:
        engine: answers.
        name: of the file.
        kind: of the file.
        rows: all of them.
        encode: a row to a request; raises DataError or ModelError where it cannot be answered.
        places: shared with other batches; a row takes one while it is answered.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        kind: FileKind,
        rows: Sequence[BatchRow],
        encode: Callable[[BatchRow], AnswerRequest],
        places: threading.Semaphore,
    ) -> None:
        self.id, self.name, self.kind = uuid.uuid4().hex, name, kind
        self._engine, self._rows, self._encode = engine, rows, encode
        self._answers: dict[int, RowAnswer] = {}
        self._texts: dict[int, list[str]] = {}
        self._tickets: dict[int, Ticket] = {}
        self._holding: set[int] = set()  # numbers of rows that hold a place
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._places = places
        self._begun, self._ended = time.monotonic(), 0.0
        threading.Thread(target=self._run, name="seallm-batch", daemon=True).start()

    @property
    def is_running(self) -> bool:
        """False once every row is done, or it was stopped."""
        return not self._ended

    def progress(self) -> Progress:
        """How far it is now."""
        with self._lock:
            answers = dict(self._answers)
            ended = self._ended
        problems = [(self._rows[n].line, answer.problem) for n, answer in answers.items() if answer.problem]
        state: State = "running" if not ended else "finished" if len(answers) == len(self._rows) else "stopped"
        seconds = (ended or time.monotonic()) - self._begun
        return Progress(state, len(self._rows), len(answers) - len(problems), problems, seconds)

    def file(self) -> bytes:
        """What is answered so far, for a download."""
        with self._lock:
            answers = dict(self._answers)
        return answered_file(self.kind, self._rows, answers)

    def stop(self) -> None:
        """End it; what is answered stays."""
        with self._lock:
            self._stop.set()
            tickets, holding = list(self._tickets.values()), list(self._holding)
            self._ended = self._ended or time.monotonic()
        for ticket in tickets:
            ticket.cancel()
        for number in holding:
            self._leave(number)

    def _run(self) -> None:
        for number, row in enumerate(self._rows):
            if row.problem:
                self._done(number, RowAnswer(problem=row.problem))
                continue
            if not self._take_place(number):
                return
            try:
                self._submit(number, self._encode(row))
            except (DataError, ModelError) as error:
                self._done(number, RowAnswer(problem=str(error)))
            except Exception:  # whatever it is, it concerns this row alone
                logger.exception("a row of a batch failed")
                self._done(number, RowAnswer(problem="the answer failed"))

    def _take_place(self, number: int) -> bool:
        """Wait for a place; False once the batch is stopped."""
        while not self._places.acquire(timeout=POLL_SECONDS):
            if self._stop.is_set():
                return False
        with self._lock:
            self._holding.add(number)
            is_stopped = self._stop.is_set()
        if is_stopped:
            self._leave(number)
        return not is_stopped

    def _leave(self, number: int) -> None:
        """Give a row's place back, once."""
        with self._lock:
            held = number in self._holding
            self._holding.discard(number)
        if held:
            self._places.release()

    def _submit(self, number: int, request: AnswerRequest) -> None:
        while not self._stop.is_set():
            try:
                ticket = self._engine.submit(request, lambda event: self._hear(number, event))
            except QueueFull as error:
                self._stop.wait(error.retry_seconds)
                continue
            with self._lock:
                if number not in self._answers:
                    self._tickets[number] = ticket
            if self._stop.is_set():  # it was stopped in this very moment
                ticket.cancel()
            return

    def _hear(self, number: int, event: Event) -> None:
        if isinstance(event, Piece):
            self._texts.setdefault(number, []).append(event.text)
        elif isinstance(event, Finished):
            text = "".join(self._texts.pop(number, ()))
            problem = "" if text.strip() else "the model had nothing to say"
            self._done(number, RowAnswer(text, event.reason, problem))
        elif isinstance(event, Failed):
            self._done(number, RowAnswer(problem="the answer failed"))

    def _done(self, number: int, answer: RowAnswer) -> None:
        with self._lock:
            self._answers[number] = answer
            self._tickets.pop(number, None)
            if len(self._answers) == len(self._rows):
                self._ended = self._ended or time.monotonic()
        self._leave(number)


class Batches:
    """The batches of one server."""

    def __init__(self) -> None:
        self._places: threading.Semaphore | None = None  # as many as suit the engine, known with the first batch
        self._batches: OrderedDict[str, Batch] = OrderedDict()
        self._lock = threading.Lock()

    def start(
        self,
        engine: Engine,
        name: str,
        kind: FileKind,
        rows: Sequence[BatchRow],
        encode: Callable[[BatchRow], AnswerRequest],
    ) -> Batch:
        """Begin one, as `Batch` says, and forget the oldest finished ones beyond those that are kept.

        Raises:
            TooManyBatches: as many are running as may.
        """
        with self._lock:
            if sum(batch.is_running for batch in self._batches.values()) >= MAX_RUNNING:
                raise TooManyBatches(f"{MAX_RUNNING} batches are running already; wait for one, or stop one")
            if self._places is None:
                self._places = threading.Semaphore(max(1, engine.max_rows // 2))
            batch = Batch(engine, name, kind, rows, encode, self._places)
            self._batches[batch.id] = batch
            ended = [number for number, other in self._batches.items() if not other.is_running]
            for number in ended[: max(0, len(self._batches) - MAX_KEPT)]:
                del self._batches[number]
        return batch

    def find(self, number: str) -> Batch | None:
        """A batch by its id; None where it is not, or no longer, known."""
        with self._lock:
            return self._batches.get(number)

    def stop(self) -> None:
        """End all of them."""
        with self._lock:
            batches = list(self._batches.values())
        for batch in batches:
            batch.stop()
