"""What is asked of a batch of sequences, and what comes back: the shapes that every engine speaks.

Shapes: B rows, V vocabulary.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from seallm.base.sampling import SamplingSettings


@dataclass(frozen=True, slots=True)
class Score:
    """How likely the model held a token to be, before temperature and penalties.

    Attributes:
        log_probability: natural logarithm.
        top: the likeliest tokens and their log-probabilities, likeliest first.
    """

    log_probability: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Job:
    """A prompt and how to answer it.

    Attributes:
        prompt: token ids, one or more.
        sampling: length and randomness; `max_new_tokens` 0 only reads the prompt.
        stop_ids: an answer ends with the first of these.
        num_top: log-probabilities are wanted, with this many of the likeliest tokens; None: not wanted.
        scores_prompt: they are wanted for the prompt too.
        number: (prompt, answer) numbers that the random numbers depend on, beside the seed.
    """

    prompt: Sequence[int]
    sampling: SamplingSettings
    stop_ids: Collection[int] = ()
    num_top: int | None = None
    scores_prompt: bool = False
    number: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Update:
    """What a step brought a sequence.

    Attributes:
        key: of the sequence.
        token_id: next id of the answer; None where none was wanted.
        score: of the id, if wanted.
        prompt_scores: of all ids of the prompt but the first, with the first update, if wanted.
        is_last: nothing follows.
    """

    key: int
    token_id: int | None
    score: Score | None = None
    prompt_scores: tuple[Score, ...] | None = None
    is_last: bool = False


class Batch(Protocol):
    """Whatever answers many jobs at once. Not for several threads."""

    @property
    def num_sequences(self) -> int:
        """Sequences that are computed or wait."""

    def add(self, key: int, job: Job) -> None:
        """Take a job; `key` names it in updates."""

    def remove(self, key: int) -> None:
        """Forget a job that is no longer wanted."""

    def step(self) -> list[Update]:
        """Go on with all jobs, by a token or so each."""

    def clear(self) -> None:
        """Forget all jobs and whatever was computed: something failed on the way, perhaps for want of memory."""


def scores(logits: torch.Tensor, targets: Sequence[int], num_top: int) -> list[Score]:
    """Scores of ids (B) from logits (B, V), with the `num_top` likeliest ids of each."""
    logs = logits.float().log_softmax(dim=-1)
    own = logs.gather(1, torch.tensor(targets, device=logs.device).unsqueeze(1)).squeeze(1).tolist()
    likely = logs.topk(num_top, dim=-1)
    pairs = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
    return [Score(log, tuple(zip(ids, values, strict=True))) for log, (ids, values) in zip(own, pairs, strict=True)]
