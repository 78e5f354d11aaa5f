"""One model behind a queue: requests in, pieces of text out.

A worker thread owns the batch and answers many requests at once; a request joins and leaves between two tokens.
Everybody else speaks to it through `submit` (events arrive at a callback, from the worker's thread) or `stream` (events
are yielded here). The number of waiting requests is bounded, and a request that nobody waits for any more ends at its
next token.
"""

import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.canonical.repair import repair
from seallm.model.jobs import Batch, Job, Update
from seallm.model.prompt_format import PromptFormat
from seallm.model.text_stream import TextStream
from seallm.serve.answer import Answer
from seallm.serve.requests import (
    AnswerRequest,
    Event,
    Failed,
    Finished,
    Piece,
    PromptScores,
    PromptTooLong,
    QueueFull,
    Ticket,
)

logger = logging.getLogger("seallm.serve")


class Engine:
    """A model that answers.

    Args:
        batch: computes; belongs to this engine alone.
        prompt_format: how the model is asked.
        name: what it is called to users.
        max_sequence_tokens: positions of the model; prompt and answer share them.
        max_rows: answers made at once.
        max_waiting: requests that may wait beside those that are answered.
    """

    def __init__(
        self,
        batch: Batch,
        prompt_format: PromptFormat,
        name: str,
        *,
        max_sequence_tokens: int,
        max_rows: int,
        max_waiting: int,
    ) -> None:
        self.batch, self.format, self.name = batch, prompt_format, name
        self.max_sequence_tokens, self.max_rows, self.max_waiting = max_sequence_tokens, max_rows, max_waiting
        self._stop_ids = prompt_format.stop_ids
        self._changed = threading.Condition()
        self._waiting: deque[Ticket] = deque()  # no answer begun, or not all
        self._begun: set[Ticket] = set()
        self._answers: dict[int, Answer] = {}  # the worker's alone, as the batch
        self._keys = itertools.count()
        self._is_closed = False
        self._mean_seconds = 1.0
        self._worker = threading.Thread(target=self._work, name="seallm-engine", daemon=True)
        self._worker.start()

    @property
    def is_alive(self) -> bool:
        """False once it is closed, or its worker has come to an end by an error that nothing could mend."""
        return self._worker.is_alive()

    @property
    def num_pending(self) -> int:
        """Requests that wait or are being answered."""
        with self._changed:
            return sum(ticket.num_missing > 0 for ticket in self._tickets())

    @property
    def num_waiting(self) -> int:
        """Requests of which nothing was begun yet."""
        with self._changed:
            return self._num_waiting()

    def request(
        self,
        messages: Sequence[Message],
        sampling: SamplingSettings,
        *,
        stops: Sequence[str] = (),
        num_answers: int = 1,
        num_top: int | None = None,
    ) -> AnswerRequest:
        """Encode a conversation, in the canonical text that the model was trained on.

        The answer's length is cut to the positions that are left.

        Raises:
            PromptTooLong: no position is left.
            DataError: a content is not Unicode.
            ModelError: the model's chat template refuses the conversation.
        """
        prompt = self.format.prompt_ids([canonical(message) for message in messages])
        return self.prompt_request(
            AnswerRequest(tuple(prompt), sampling, tuple(stops), num_answers, num_top), what="conversation"
        )

    def prompt_request(self, request: AnswerRequest, *, what: str = "prompt") -> AnswerRequest:
        """A request whose answer's length is cut to the positions that its prompt leaves.

        Raises:
            PromptTooLong: no position is left.
        """
        room = self.max_sequence_tokens - len(request.prompt)
        if room < min(1, request.sampling.max_new_tokens):
            raise PromptTooLong(
                f"The {what} has {len(request.prompt)} tokens; {self.name} has {self.max_sequence_tokens} positions "
                f"for {what} and answer. Shorten it, or leave out earlier messages"
            )
        fitting = replace(request.sampling, max_new_tokens=min(request.sampling.max_new_tokens, room))
        return replace(request, sampling=fitting)

    def submit(
        self, request: AnswerRequest, deliver: Callable[[Event], object], *, is_admitted: bool = False
    ) -> Ticket:
        """Queue a request. For each answer there come Pieces and one Finished; or, at any point, Failed.

        Args:
            request: made by `request` or `prompt_request`.
            deliver: called from the worker's thread; must return at once.
            is_admitted: it belongs to one that was let in already, and is not refused.

        Raises:
            QueueFull: no place is free, and `max_waiting` requests wait already.
        """
        ticket = Ticket(request, deliver)
        with self._changed:
            if self._is_closed or not self.is_alive:
                raise RuntimeError("the engine is closed")
            num_missing = sum(other.num_missing for other in self._tickets())
            waiting = self._num_waiting()
            if not is_admitted and num_missing >= self.max_rows and waiting >= self.max_waiting:
                rounds = (waiting + 1) / self.max_rows
                raise QueueFull(waiting, max(1, round(self._mean_seconds * rounds)))
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def stream(self, request: AnswerRequest) -> Iterator[Piece | PromptScores | Finished]:
        """Submit, and yield events until the last answer is finished; leaving early cancels.

        Raises:
            QueueFull: as `submit`.
            Exception: whatever went wrong in the worker.
        """
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        ticket = self.submit(request, events.put)
        missing = request.num_answers
        try:
            while missing:
                event = events.get()
                if isinstance(event, Failed):
                    raise event.error
                missing -= isinstance(event, Finished)
                yield event
        finally:
            ticket.cancel()

    def close(self) -> None:
        """Cancel everything and end the worker."""
        with self._changed:
            self._is_closed = True
            for ticket in self._tickets():
                ticket.cancel()
            self._changed.notify()
        self._worker.join()

    def _tickets(self) -> set[Ticket]:
        return {*self._waiting, *self._begun}

    def _num_waiting(self) -> int:
        return sum(ticket.num_started == 0 and not ticket.is_cancelled for ticket in self._waiting)

    def _work(self) -> None:
        while self._wait_for_work():
            self._begin_answers()
            try:
                self._step()
            except Exception as error:  # whatever it is, what was computed cannot be relied on: begin anew
                logger.exception("a step failed")
                failed, self._answers = self._answers, {}
                self.batch.clear()
                for answer in failed.values():
                    self._fail(answer.ticket, error)

    def _step(self) -> None:
        """A step of all answers that somebody waits for."""
        for key in [key for key, answer in self._answers.items() if answer.ticket.is_cancelled]:
            self._forget(key)
        for update in self.batch.step():
            self._tell(update)

    def _wait_for_work(self) -> bool:
        """Wait until somebody wants an answer; False once the engine is closed."""
        with self._changed:
            self._waiting = deque(ticket for ticket in self._waiting if not ticket.is_cancelled)
            self._begun = {ticket for ticket in self._begun if ticket.num_missing}
            while not self._is_closed and not self._waiting and not self._answers:
                self._changed.wait()
            return not self._is_closed

    def _begin_answers(self) -> None:
        """Fill free places with the answers of those that wait, in the order of their coming."""
        while len(self._answers) < self.max_rows:
            with self._changed:
                if not self._waiting:
                    return
                ticket = self._waiting[0]
                if ticket.num_started == 0:
                    self._begun.add(ticket)
                    ticket.started = time.monotonic()
                number = ticket.num_started
                ticket.num_started += 1
                if ticket.is_cancelled or ticket.num_started == ticket.request.num_answers:
                    self._waiting.popleft()
            self._begin(ticket, number)

    def _begin(self, ticket: Ticket, number: int) -> None:
        request = ticket.request
        sampling = replace(request.sampling, seed=request.sampling.seed + number)
        job = Job(request.prompt, sampling, self._stop_ids, request.num_top, request.scores_prompt)
        key = next(self._keys)
        try:
            self.batch.add(key, job)
        except Exception as error:  # whatever it is, it concerns this request alone
            logger.exception("a request failed")
            self._fail(ticket, error)
            return
        self._answers[key] = Answer(ticket, number, TextStream(self.format.plain), self._stop_ids)

    def _tell(self, update: Update) -> None:
        answer = self._answers.get(update.key)
        if answer is None:  # a stop string ended it in this very step
            return
        for event in answer.events(update):
            answer.ticket.send(event)
        if answer.is_finished:
            if update.is_last:
                del self._answers[update.key]
            else:
                self._forget(update.key)
            self._count(answer.ticket)

    def _forget(self, key: int) -> None:
        del self._answers[key]
        self.batch.remove(key)

    def _count(self, ticket: Ticket) -> None:
        with self._changed:
            ticket.num_finished += 1
            if not ticket.num_missing:
                self._mean_seconds += 0.2 * (time.monotonic() - ticket.started - self._mean_seconds)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        ticket.send(Failed(error))
        ticket.cancel()


def canonical(message: Message) -> Message:
    """The message as the corpus would write it; one that is nothing but what goes, or no Unicode, as it is."""
    try:
        message.content.encode()
    except UnicodeEncodeError:
        return message
    return replace(message, content=repair(message.content) or message.content)
