"""Many requests at one model: each joins and leaves between two tokens, and common beginnings are computed once.

Every step gives a token to each sequence that is being answered, and reads a bounded part of the prompts of those that
have just come, so that a long prompt does not hold up the others. When memory runs out, the youngest sequence waits and
is computed again later; its answer stays the same.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch

from seallm.base.errors import ModelError
from seallm.model.jobs import Job, Score, Update, scores
from seallm.model.prefix_cache import num_common
from seallm.model.rows import Computer
from seallm.model.sampling import History, adjusted, draw, noise_source

WORTH_WAITING_TOKENS = 32  # a request waits for another that is reading the same beginning, if it is this long
SCORED_STEP_TOKENS = 512  # prompt tokens with log-probabilities a step: each needs a row of logits


@dataclass
class BatchFigures:
    """Counts since the start.

    Attributes:
        prompt_tokens: of all prompts.
        reused_tokens: of these, found computed already.
        answer_tokens: drawn.
        steps: forward passes.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    answer_tokens: int = 0
    steps: int = 0


@dataclass(eq=False)
class _Sequence:
    key: int
    job: Job
    noise: np.random.Generator
    history: History
    ids: list[int]
    row: Any = None  # of the computer's kind
    prompt_scores: list[Score] = field(default_factory=list)

    @property
    def num_pending(self) -> int:
        """Ids whose keys and values are still to be computed."""
        return len(self.ids) - (self.row.num_tokens if self.row else 0)

    @property
    def is_reading(self) -> bool:
        return self.row is not None and self.row.num_tokens < len(self.job.prompt)


class ContinuousBatch:
    """A model that answers many jobs at once. Not for several threads.

    Args:
        computer: the network.
        max_rows: sequences computed at once.
        step_tokens: prompt tokens read in a step.

    Attributes:
        figures: counts since the start.
    """

    def __init__(self, computer: Computer, max_rows: int, step_tokens: int) -> None:
        self.computer, self.max_rows, self.step_tokens = computer, max_rows, step_tokens
        self.figures = BatchFigures()
        self._waiting: deque[_Sequence] = deque()
        self._running: list[_Sequence] = []  # in the order of their coming

    @property
    def num_sequences(self) -> int:
        """Sequences that are computed or wait."""
        return len(self._running) + len(self._waiting)

    def add(self, key: int, job: Job) -> None:
        """Take a job.

        Args:
            key: names it in updates; not in use already.
            job: what to do.

        Raises:
            ModelError: the prompt is empty, leaves no position for its answer, or has an id that the model lacks.
        """
        vocabulary, positions = self.computer.num_ids, self.computer.max_sequence_tokens
        wanted = len(job.prompt) + job.sampling.max_new_tokens
        if not job.prompt or wanted > positions:
            raise ModelError(
                f"A prompt of {len(job.prompt)} tokens and an answer of {job.sampling.max_new_tokens} were asked for; "
                f"expected a prompt, and {positions} tokens in all at most. Shorten either"
            )
        biased = (token_id for token_id, _ in job.sampling.logit_bias)
        if not all(0 <= token_id < vocabulary for token_id in chain(job.prompt, biased)):
            raise ModelError(f"An id is out of range: the model has ids 0 to {vocabulary - 1}. Use its own tokenizer")
        history = History(frozenset(job.prompt))
        noise = noise_source(job.sampling.seed, *job.number)
        self._waiting.append(_Sequence(key, job, noise, history, list(job.prompt)))
        self.figures.prompt_tokens += len(job.prompt)

    @torch.inference_mode()
    def remove(self, key: int) -> None:
        """Forget a sequence that is no longer wanted; what was computed of it may still be of use."""
        for sequence in self._running:
            if sequence.key == key:
                self._leave(sequence)
                return
        self._waiting = deque(s for s in self._waiting if s.key != key)

    def clear(self) -> None:
        """Forget all sequences and all that was computed of them or kept."""
        self._running.clear()
        self._waiting.clear()
        self.computer.clear()

    @torch.inference_mode()
    def step(self) -> list[Update]:
        """Compute a step; updates of all sequences that got a token."""
        self._admit()
        work = self._plan()
        if not work:
            return []
        wanted, drawing, scoring = _wanted_logits(work)
        parts = [(s.row, s.ids[s.row.num_tokens : s.row.num_tokens + count]) for s, count in work]
        logits = self.computer.compute(parts, wanted)
        self.figures.steps += 1
        for sequence, start, first in scoring:
            sequence.prompt_scores += self._prompt_scores(sequence, logits[start:], first)
        for sequence, _ in work:
            self._keep_prompt(sequence)
        places = [place for _, place in drawing]
        if len(places) < len(logits):
            logits = logits[places]
        return self._draw([s for s, _ in drawing], logits) if drawing else []

    def _admit(self) -> None:
        held: list[_Sequence] = []
        while self._waiting and len(self._running) < self.max_rows:
            sequence = self._waiting.popleft()
            known = () if sequence.job.scores_prompt else sequence.ids[:-1]
            if self._is_being_read(sequence, self.computer.num_known(known)):
                held.append(sequence)
                continue
            sequence.row = self.computer.begin(known, len(sequence.ids) + 1)
            if sequence.row is None:
                self._waiting.appendleft(sequence)
                break
            self.figures.reused_tokens += sequence.row.num_tokens
            self._running.append(sequence)
        self._waiting.extendleft(reversed(held))

    def _is_being_read(self, sequence: _Sequence, known: int) -> bool:
        """True where another sequence will soon have computed more of its beginning than is known now."""
        if sequence.job.scores_prompt:
            return False
        reading = (other for other in self._running if other.is_reading and not other.job.scores_prompt)
        shared = (num_common(other.job.prompt, sequence.ids[:-1]) for other in reading)
        return max(shared, default=0) >= known + WORTH_WAITING_TOKENS

    def _plan(self) -> list[tuple[_Sequence, int]]:
        """Who gets how many tokens in this step; all of them have room for these."""
        budget, planned = self.step_tokens, []
        for sequence in list(self._running):
            limit = SCORED_STEP_TOKENS if sequence.job.scores_prompt else budget
            count = 1 if sequence.num_pending == 1 else min(sequence.num_pending, budget, limit)
            budget -= count if sequence.num_pending > 1 else 0
            if count and self._make_room(sequence, count):
                planned.append((sequence, count))
        return [(sequence, count) for sequence, count in planned if sequence.row]  # later ones may have had to wait

    def _make_room(self, sequence: _Sequence, count: int) -> bool:
        """Let the youngest wait until there is room; False where it is the sequence itself that must wait."""
        while sequence.row is not None and not self.computer.has_room(sequence.row, count):
            youngest = self._running[-1]
            self._leave(youngest)
            self._waiting.appendleft(youngest)
        return sequence.row is not None

    def _leave(self, sequence: _Sequence) -> None:
        """Give up the row, and keep what was computed for whoever begins alike."""
        row = sequence.row
        self.computer.end(row, () if sequence.job.scores_prompt else sequence.ids[: row.num_tokens])
        sequence.row = None
        sequence.prompt_scores = []  # told already, or computed again
        self._running.remove(sequence)

    def _keep_prompt(self, sequence: _Sequence) -> None:
        """Once a prompt is read, others may begin with it."""
        row, prompt = sequence.row, sequence.job.prompt
        if row is not None and row.num_tokens == len(prompt) and not sequence.job.scores_prompt:
            self.computer.keep(row, prompt)

    def _prompt_scores(self, sequence: _Sequence, logits: torch.Tensor, first: int) -> list[Score]:
        """Scores of the prompt's ids from number `first` on, whose logits these begin with."""
        targets = sequence.job.prompt[first : sequence.row.num_tokens + 1]
        return scores(logits[: len(targets)], targets, sequence.job.num_top or 0)

    def _draw(self, sequences: Sequence[_Sequence], logits: torch.Tensor) -> list[Update]:
        settings = [s.job.sampling for s in sequences]
        changed = [n for n, s in enumerate(settings) if s.changes_logits]
        final = logits.to(torch.float32, copy=True) if changed else logits  # a copy: scores are of the model's own
        for n in changed:
            final[n] = adjusted(logits[n], settings[n], sequences[n].history)
        noise = [s.noise.random(dtype=np.float32) if s.job.sampling.temperature > 0 else 0.0 for s in sequences]
        ids = draw(final, settings, noise).tolist()
        return [
            self._accept(sequence, token_id, logits[n])
            for n, (sequence, token_id) in enumerate(zip(sequences, ids, strict=True))
        ]

    def _accept(self, sequence: _Sequence, token_id: int, logits: torch.Tensor) -> Update:
        """Add an id to a sequence; the sequence leaves with its last."""
        job, score = sequence.job, None
        is_first = len(sequence.ids) == len(job.prompt)
        prompt_scores = tuple(sequence.prompt_scores) if is_first and job.scores_prompt else None
        if job.sampling.max_new_tokens == 0:
            self._leave(sequence)
            return Update(sequence.key, None, None, prompt_scores, is_last=True)
        if job.num_top is not None:
            (score,) = scores(logits.unsqueeze(0), [token_id], job.num_top)
        sequence.ids.append(token_id)
        sequence.history.answer[token_id] += 1
        self.figures.answer_tokens += 1
        num_new = len(sequence.ids) - len(job.prompt)
        is_last = token_id in job.stop_ids or num_new >= job.sampling.max_new_tokens
        if is_last:
            self._leave(sequence)
        return Update(sequence.key, token_id, score, prompt_scores, is_last=is_last)


def _wanted_logits(
    work: Sequence[tuple[_Sequence, int]],
) -> tuple[list[int], list[tuple[_Sequence, int]], list[tuple[_Sequence, int, int]]]:
    """Which places of a step need logits; where in them each sequence's next token is drawn from; and where scores of
    its prompt begin, with the number of the first id that is scored."""
    wanted: list[int] = []
    drawing: list[tuple[_Sequence, int]] = []
    scoring: list[tuple[_Sequence, int, int]] = []
    start = 0
    for sequence, count in work:
        first = sequence.row.num_tokens
        if sequence.job.scores_prompt and first + 1 < len(sequence.job.prompt):
            scoring.append((sequence, len(wanted), first + 1))
            wanted += range(start, start + count)
        elif count == sequence.num_pending:
            wanted.append(start + count - 1)
        if count == sequence.num_pending:
            drawing.append((sequence, len(wanted) - 1))
        start += count
    return wanted, drawing, scoring
