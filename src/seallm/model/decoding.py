"""Prompts in, batches of rows that are decoded together out; rows leave a batch when they end, and others join it.

Columns of a batch are positions in its cache. Rows are padded on the left, or between what they share and the rest;
masks say which columns are real, and each row counts its own positions.

Shapes: B rows, P prompts, S tokens that all prompts share, T columns, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from transformers import Cache, PreTrainedModel

from seallm.base.sampling import SamplingSettings
from seallm.model.drawing import draw
from seallm.model.kv_cache import can_join, joined, new_cache, roomy_copies, shared_rows


@dataclass
class Row:
    """One answer.

    Attributes:
        limit: most ids that it may have.
        noise: its random numbers, one an id; None where the likeliest id is taken.
        ids: so far.
        has_ended: no more are wanted.
    """

    limit: int
    noise: npt.NDArray[np.float32] | None
    ids: list[int] = field(default_factory=list)
    has_ended: bool = False


@dataclass(frozen=True)
class Prefill:
    """Prompts after their forward pass: last logits (P, V), cache, which columns are real (P, T), lengths (P, 1)."""

    logits: torch.Tensor
    cache: Cache
    real: torch.Tensor
    lengths: torch.Tensor


@torch.inference_mode()
def prefill(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], prefix: Cache | None = None, shared: int = 0
) -> Prefill:
    """The forward pass of prompts, each without the `shared` first tokens that are in `prefix`."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=model.device)
    lengths = torch.tensor([[len(prompt)] for prompt in prompts], device=model.device)
    column = torch.arange(longest, device=model.device)
    places = column - (longest - lengths)  # (P, T - S), negative where padded
    real = torch.cat([places.new_ones(len(prompts), shared, dtype=torch.bool), places >= 0], dim=1)
    cache = new_cache(model) if prefix is None else shared_rows(prefix, len(prompts))
    output = model(
        input_ids=ids,
        position_ids=shared + places.clamp(min=0),
        attention_mask=None if bool(real.all()) else real.long(),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return Prefill(output.logits[:, -1], cache, real, shared + lengths)


class DecodingBatch:
    """Rows that are decoded together, one id each a step.

    Args:
        model: a causal language model in evaluation mode.
        start: the prompts of the rows; its cache is used up.
        rows: the same number for each prompt, neighbours in place.
        settings: randomness.
    """

    @torch.inference_mode()
    def __init__(self, model: PreTrainedModel, start: Prefill, rows: Sequence[Row], settings: SamplingSettings) -> None:
        repeats = len(rows) // len(start.lengths)
        self.model, self.settings, self.rows = model, settings, list(rows)
        self.logits = start.logits.repeat_interleave(repeats, dim=0)
        self.positions = start.lengths.repeat_interleave(repeats, dim=0)  # (B, 1) of the next id
        self.cache = roomy_copies(start.cache, repeats, use_up=True)
        self.real: torch.Tensor | None = None  # (B, T); not needed where nothing is padded
        if not bool(start.real.all()):
            self.real = start.real.repeat_interleave(repeats, dim=0)

    @property
    def takes_others(self) -> bool:
        """True where rows may join: not in windows, whose columns do not line up."""
        return can_join(self.cache)

    @torch.inference_mode()
    def draw(self) -> torch.Tensor:
        """The next id of each row (B)."""
        numbers = [0.0 if row.noise is None or row.has_ended else float(row.noise[len(row.ids)]) for row in self.rows]
        return draw(self.logits, self.settings, torch.tensor(numbers, device=self.logits.device))

    @torch.inference_mode()
    def keep(self, places: Sequence[int]) -> None:
        """Drop all other rows."""
        index = torch.tensor(places, device=self.positions.device)
        self.rows = [self.rows[place] for place in places]
        self.logits, self.positions = self.logits[index], self.positions[index]
        self.real = None if self.real is None else self.real[index]
        self.cache.batch_select_indices(index)

    @torch.inference_mode()
    def advance(self, ids: torch.Tensor) -> None:
        """Feed ids (B) and compute the logits of the step after them."""
        if self.real is not None:
            self.real = torch.cat([self.real, self.real.new_ones(len(self.real), 1)], dim=1)
        self.logits = self.model(
            input_ids=ids.unsqueeze(1),
            position_ids=self.positions,
            attention_mask=None if self.real is None else self.real.long(),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        self.positions = self.positions + 1

    @torch.inference_mode()
    def join(self, other: "DecodingBatch") -> None:
        """Take the rows of another batch; both caches end in the same column then, and the other is used up."""
        real = [self._columns(), other._columns()]
        skipped = [int(columns.any(dim=0).int().argmax()) for columns in real]  # padding of all rows
        real = [columns[:, first:] for columns, first in zip(real, skipped, strict=True)]
        width = max(columns.shape[1] for columns in real)
        self.cache = joined(self.cache, other.cache, skipped)
        padded = [torch.nn.functional.pad(columns, (width - columns.shape[1], 0)) for columns in real]
        self.real = torch.cat(padded)
        self.real = None if bool(self.real.all()) else self.real
        self.logits = torch.cat([self.logits, other.logits])
        self.positions = torch.cat([self.positions, other.positions])
        self.rows += other.rows

    def _columns(self) -> torch.Tensor:
        if self.real is not None:
            return self.real
        return torch.ones(len(self.rows), self.cache.get_seq_length(), dtype=torch.bool, device=self.positions.device)
