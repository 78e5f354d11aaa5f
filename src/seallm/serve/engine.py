"""One model behind a queue: requests in, pieces of text out.

A worker thread owns the network and answers one request after the other. Everybody else speaks to it through `submit`
(events arrive at a callback, from the worker's thread) or `stream` (events are yielded here). The number of waiting
requests is bounded, and a request that nobody waits for any more ends at its next token. Generating for several
requests at once would change the worker's loop and nothing outside it.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from transformers import PreTrainedModel

from seallm.base.errors import DataError, SeallmError
from seallm.base.records import Message
from seallm.base.runtime import Runtime, available_cores
from seallm.canonical.repair import repair
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.model.generation import SamplingSettings, stream, stream_text
from seallm.model.places import find_model
from seallm.serve.stops import StopStrings

logger = logging.getLogger("seallm.serve")


class PromptTooLong(DataError):
    """A conversation leaves no position for an answer."""


class QueueFull(SeallmError):
    """Too many requests wait already.

    Attributes:
        retry_seconds: when a place is likely to be free.
    """

    def __init__(self, num_waiting: int, retry_seconds: int) -> None:
        super().__init__(f"{num_waiting} requests are waiting already; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


@dataclass(frozen=True)
class AnswerRequest:
    """What the worker needs to know.

    Attributes:
        prompt: ids that end with the open header of the assistant's turn.
        stops: strings at which an answer ends, left out of it.
        num_answers: answers to give; answer i is sampled with `sampling.seed + i`.
    """

    prompt: tuple[int, ...]
    sampling: SamplingSettings
    stops: tuple[str, ...] = ()
    num_answers: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of an answer: whole characters, never half of one."""

    answer: int
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """An answer's end.

    Attributes:
        reason: "stop" at its end of turn or a stop string, "length" where it ran out of tokens.
        num_tokens: tokens generated, without the end of turn.
    """

    answer: int
    reason: Literal["stop", "length"]
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The request's end by an error of ours; nothing follows."""

    error: Exception


Event = Piece | Finished | Failed


class Ticket:
    """A submitted request. After `cancel` returns, no event is delivered any more."""

    def __init__(self, request: AnswerRequest, deliver: Callable[[Event], object]) -> None:
        self.request = request
        self._deliver = deliver
        self._lock = threading.Lock()
        self._is_cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """True once nobody waits for it."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Nobody waits any more: leave the queue, or end at the next token."""
        with self._lock:
            self._is_cancelled = True

    def send(self, event: Event) -> None:
        """Deliver an event, unless cancelled."""
        with self._lock:
            if not self._is_cancelled:
                self._deliver(event)


class Engine:
    """A model that answers.

    Args:
        model: in evaluation mode, on its device.
        chat_format: of the model's tokenizer.
        name: what it is called to users.
        max_waiting: requests that may wait beside the one being answered.

    Attributes:
        max_sequence_tokens: positions of the model; prompt and answer share them.
    """

    def __init__(self, model: PreTrainedModel, chat_format: ChatFormat, name: str, *, max_waiting: int = 16) -> None:
        self.model, self.format, self.name, self.max_waiting = model, chat_format, name, max_waiting
        self.max_sequence_tokens = int(model.config.get_text_config().max_position_embeddings)
        self._stop_ids = _stop_ids(model, chat_format)
        self._changed = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._current: Ticket | None = None
        self._is_closed = False
        self._mean_seconds = 1.0
        self._worker = threading.Thread(target=self._work, name="seallm-engine", daemon=True)
        self._worker.start()

    @property
    def num_pending(self) -> int:
        """Requests that wait or are being answered."""
        with self._changed:
            return self._count()

    def request(
        self,
        messages: Sequence[Message],
        sampling: SamplingSettings,
        *,
        stops: Sequence[str] = (),
        num_answers: int = 1,
    ) -> AnswerRequest:
        """Encode a conversation, in the canonical text that the model was trained on.

        The answer's length is cut to the positions that are left.

        Raises:
            PromptTooLong: no position is left.
            DataError: a content is not Unicode.
        """
        prompt = self.format.prompt_ids([_canonical(message) for message in messages])
        room = self.max_sequence_tokens - len(prompt)
        if room < 1:
            raise PromptTooLong(
                f"The conversation has {len(prompt)} tokens; {self.name} has {self.max_sequence_tokens} positions for "
                "conversation and answer. Shorten it, or leave out earlier messages"
            )
        fitting = replace(sampling, max_new_tokens=min(sampling.max_new_tokens, room))
        return AnswerRequest(tuple(prompt), fitting, tuple(stops), num_answers)

    def submit(self, request: AnswerRequest, deliver: Callable[[Event], object]) -> Ticket:
        """Queue a request. For each answer in turn there come Pieces and one Finished; or, at any point, Failed.

        Args:
            request: made by `request`.
            deliver: called from the worker's thread; must return at once.

        Raises:
            QueueFull: `max_waiting` requests wait already.
        """
        ticket = Ticket(request, deliver)
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the engine is closed")
            self._waiting = deque(t for t in self._waiting if not t.is_cancelled)
            if self._count() > self.max_waiting:
                waiting = len(self._waiting)
                raise QueueFull(waiting, max(1, round(self._mean_seconds * (waiting + 1))))
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def stream(self, request: AnswerRequest) -> Iterator[Piece | Finished]:
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
            for ticket in (*self._waiting, *([self._current] if self._current else ())):
                ticket.cancel()
            self._changed.notify()
        self._worker.join()

    def _count(self) -> int:
        return sum(not t.is_cancelled for t in self._waiting) + (self._current is not None)

    def _work(self) -> None:
        while (ticket := self._next()) is not None:
            started = time.monotonic()
            try:
                for number in range(ticket.request.num_answers):
                    if not ticket.is_cancelled:
                        self._answer(ticket, number)
            except Exception as error:  # whatever it is, it concerns this request alone
                logger.exception("a request failed")
                ticket.send(Failed(error))
            if not ticket.is_cancelled:
                self._mean_seconds += 0.2 * (time.monotonic() - started - self._mean_seconds)

    def _next(self) -> Ticket | None:
        """The next request that somebody waits for; None once the engine is closed."""
        with self._changed:
            self._current = None
            while not self._is_closed:
                while self._waiting:
                    ticket = self._waiting.popleft()
                    if not ticket.is_cancelled:
                        self._current = ticket
                        return ticket
                self._changed.wait()
        return None

    def _answer(self, ticket: Ticket, number: int) -> None:
        request = ticket.request
        sampling = replace(request.sampling, seed=request.sampling.seed + number)
        num_tokens, has_ended = 0, False

        def content_ids() -> Iterator[int]:
            nonlocal num_tokens, has_ended
            for token_id in stream(self.model, request.prompt, self._stop_ids, sampling):
                has_ended = token_id in self._stop_ids
                if has_ended or ticket.is_cancelled:
                    return
                num_tokens += 1
                yield token_id

        stops = StopStrings(request.stops)
        for text in stream_text(self.format, content_ids()):
            if num_tokens == sampling.max_new_tokens and not has_ended:
                text = text.rstrip("\ufffd")  # the tokens ran out in the middle of a character
            if shown := stops.feed(text):
                ticket.send(Piece(number, shown))
            if stops.found:
                break
        if rest := stops.flush():
            ticket.send(Piece(number, rest))
        ticket.send(Finished(number, "stop" if has_ended or stops.found else "length", num_tokens))


def _stop_ids(model: PreTrainedModel, chat_format: ChatFormat) -> frozenset[int]:
    """Ids that end an answer: the end of turn, the opening of another turn, and what the model's makers name."""
    named = getattr(model.generation_config, "eos_token_id", None)
    others = [named] if isinstance(named, int) else list(named or ())
    return frozenset({chat_format.end_id, chat_format.marker_id, *others})


def serving_runtime() -> Runtime:
    """All cores; or a GPU, in bfloat16, where there is one."""
    import torch

    has_gpu = torch.cuda.is_available()
    return Runtime(1, available_cores(), "cuda" if has_gpu else "cpu", "bfloat16" if has_gpu else "float32", False)


def load_engine(place: Path, *, max_waiting: int = 16) -> Engine:
    """Load the model that `place` stands for (`places.find_model`).

    Raises:
        ModelError: there is no finished model, it is damaged, or it was not made for conversations.
    """
    found = find_model(place)
    chat_format = ChatFormat(load_tokenizer(found.folder))  # before the weights: it fails sooner
    return Engine(load_model(found.folder, serving_runtime()), chat_format, found.name, max_waiting=max_waiting)


def _canonical(message: Message) -> Message:
    """The message as the corpus would write it; one that is nothing but what goes, or no Unicode, as it is."""
    try:
        message.content.encode()
    except UnicodeEncodeError:
        return message
    return replace(message, content=repair(message.content) or message.content)
