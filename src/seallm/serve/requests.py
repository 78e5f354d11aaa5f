"""What is asked of an engine and what it tells: requests, tickets, events."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from seallm.base.errors import DataError, SeallmError
from seallm.base.sampling import SamplingSettings
from seallm.model.jobs import Score


class PromptTooLong(DataError):
    """A conversation leaves no position for an answer."""


class PromptRefused(DataError):
    """A prompt is longer than the operator lets this server read."""


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
        prompt: token ids; of a conversation, they end with the open header of the assistant's turn.
        stops: strings at which an answer ends, left out of it.
        num_answers: answers to give; answer i is sampled with `sampling.seed + i`.
        num_top: log-probabilities of tokens are wanted, with this many of the likeliest; None: they are not.
        scores_prompt: they are wanted for the prompt too.
    """

    prompt: tuple[int, ...]
    sampling: SamplingSettings
    stops: tuple[str, ...] = ()
    num_answers: int = 1
    num_top: int | None = None
    scores_prompt: bool = False


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token of an answer or a prompt, and how likely the model held it to be."""

    token_id: int
    score: Score


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of an answer: whole characters, never half of one. `tokens` are those it begins with, if wanted."""

    answer: int
    text: str
    tokens: tuple[ScoredToken, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptScores:
    """Scores of all tokens of the prompt but the first; before anything else of the answer."""

    answer: int
    tokens: tuple[ScoredToken, ...]


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


Event = Piece | PromptScores | Finished | Failed


class Ticket:
    """A submitted request. After `cancel` returns, no event is delivered any more.

    Attributes:
        num_started: answers that were begun.
        num_finished: answers that came to an end.
        started: when the first was begun, by the monotonic clock.
    """

    def __init__(self, request: AnswerRequest, deliver: Callable[[Event], object]) -> None:
        self.request = request
        self.num_started = self.num_finished = 0
        self.started = 0.0
        self._deliver = deliver
        self._lock = threading.Lock()
        self._is_cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """True once nobody waits for it."""
        return self._is_cancelled

    @property
    def num_missing(self) -> int:
        """Answers that somebody still waits for."""
        return 0 if self._is_cancelled else self.request.num_answers - self.num_finished

    def cancel(self) -> None:
        """Nobody waits any more: leave the queue, or end at the next token."""
        with self._lock:
            self._is_cancelled = True

    def send(self, event: Event) -> None:
        """Deliver an event, unless cancelled."""
        with self._lock:
            if not self._is_cancelled:
                self._deliver(event)
