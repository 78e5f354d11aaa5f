"""Rows of segments in, the tensors of one optimiser step out.

Attention is isolated by `position_ids` alone: every segment starts again at 0, so no two neighbours can look like one
document, and `model(..., attention_mask=None, use_cache=False)` keeps them apart (an all-ones mask or a cache would
silently join them).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seallm.train.loop import StepBatch
from seallm.train.segments import IGNORED, Segment

MICRO_BATCH_TOKENS = 4_096  # tokens of one forward on a CPU: its activations stay near the cache


@dataclass(frozen=True)
class TokenBatch:
    """Packed rows as tensors, each (rows, row_tokens).

    Attributes:
        loss_tokens: supervised tokens of the whole step that this batch is a part of: the loss is a mean over them.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    targets: torch.Tensor
    loss_tokens: int


def collate(rows: Sequence[Sequence[Segment]], row_tokens: int, loss_tokens: int, device: torch.device) -> TokenBatch:
    """Lay rows of segments into tensors; what a row leaves free is padding of id 0 that no segment sees."""
    ids = np.zeros((len(rows), row_tokens), np.int64)
    positions = np.zeros_like(ids)  # padding keeps position 0: each of its tokens is alone
    targets = np.full_like(ids, IGNORED)
    for number, row in enumerate(rows):
        at = 0
        for segment in row:
            end = at + len(segment.ids)
            ids[number, at:end] = segment.ids
            positions[number, at:end] = np.arange(segment.position, segment.position + end - at)
            targets[number, at:end] = segment.targets
            at = end
    input_ids, position_ids, wanted = (torch.from_numpy(array).to(device) for array in (ids, positions, targets))
    return TokenBatch(input_ids, position_ids, wanted, loss_tokens)


def step_batch(rows: Sequence[Sequence[Segment]], row_tokens: int, device: torch.device) -> StepBatch[TokenBatch]:
    """One step's rows, cut into parts that are computed one after another.

    The record holds the tokens of the step without padding, and the share of each label among them.
    """
    tokens: Counter[str] = Counter()
    loss_tokens = 0
    for row in rows:
        for segment in row:
            tokens[segment.label] += len(segment.ids)
            loss_tokens += int((segment.targets != IGNORED).sum())
    total = tokens.total()
    size = max(1, MICRO_BATCH_TOKENS // row_tokens) if device.type == "cpu" else len(rows)
    parts = [collate(rows[i : i + size], row_tokens, loss_tokens, device) for i in range(0, len(rows), size)]
    shares = {label: round(tokens[label] / total, 4) for label in sorted(tokens)}
    return StepBatch(parts, total, {"tokens": total, "shares": shares})


def rows_per_step(batch_tokens: int, sequence_tokens: int) -> int:
    """Rows of one optimiser step; at least one."""
    return max(1, batch_tokens // sequence_tokens)
