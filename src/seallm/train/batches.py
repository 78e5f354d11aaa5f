"""Rows of segments in, the tensors of one optimiser step out, cut into what each process computes at once.

Attention is isolated by `position_ids` alone: every segment starts again at 0, so no two neighbours can look like one
document, and `model(..., attention_mask=None, use_cache=False)` keeps them apart (an all-ones mask or a cache would
silently join them). On GPUs the ends of the segments do it instead: see `seallm.model.segment_attention`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seallm.train.loop import StepBatch
from seallm.train.processes import Share
from seallm.train.segments import IGNORED, Segment


@dataclass(frozen=True)
class TokenBatch:
    """Packed rows as tensors, each (rows, row_tokens) where nothing else is said.

    Attributes:
        places: flat places in (rows * row_tokens) that have a target, rising, (supervised,).
        ends: where segments end in the flat tokens, 0 first, int32, (segments + 1,); padding is segments too.
        longest_segment: tokens.
        loss_tokens: supervised tokens of the whole step that this batch is a part of: the loss is a mean over them.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    targets: torch.Tensor
    places: torch.Tensor
    ends: torch.Tensor
    longest_segment: int
    loss_tokens: int


def collate(rows: Sequence[Sequence[Segment]], row_tokens: int, loss_tokens: int, device: torch.device) -> TokenBatch:
    """Lay rows of segments into tensors; what a row leaves free is padding of id 0 that no segment sees."""
    ids = np.zeros((len(rows), row_tokens), np.int64)
    positions = np.zeros_like(ids)  # padding keeps position 0: each of its tokens is alone
    targets = np.full_like(ids, IGNORED)
    ends = [0]
    for number, row in enumerate(rows):
        at = 0
        for segment in row:
            end = at + len(segment.ids)
            ids[number, at:end] = segment.ids
            positions[number, at:end] = np.arange(segment.position, segment.position + end - at)
            targets[number, at:end] = segment.targets
            at = end
            ends[len(ends) - bool(segment.position) :] = [number * row_tokens + end]  # one that goes on is no new one
        if at < row_tokens:
            ends.append((number + 1) * row_tokens)
    limits = np.asarray(ends, np.int32)
    places = np.flatnonzero(targets != IGNORED)
    return TokenBatch(
        input_ids=_to(ids, device),
        position_ids=_to(positions, device),
        targets=_to(targets, device),
        places=_to(places, device),
        ends=_to(limits, device),
        longest_segment=int(np.diff(limits).max(initial=0)),
        loss_tokens=loss_tokens,
    )


def _to(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    # a copy from pinned memory does not wait for what the GPU is doing
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def step_batch(rows: Sequence[Sequence[Segment]], row_tokens: int, device: torch.device) -> StepBatch[TokenBatch]:
    """One step's rows; their parts are made when a process asks for its own.

    The record holds the tokens of the step without padding, and the share of each label among them.
    """
    tokens: Counter[str] = Counter()
    loss_tokens = 0
    for row in rows:
        for segment in row:
            tokens[segment.label] += len(segment.ids)
            loss_tokens += int((segment.targets != IGNORED).sum())
    total = tokens.total()

    def parts(share: Share) -> Iterator[TokenBatch]:
        # one by one: a GPU computes one while the next is laid out
        return (collate(mine, row_tokens, loss_tokens, device) for mine in own_rows(rows, row_tokens, share))

    shares = {label: round(tokens[label] / total, 4) for label in sorted(tokens)}
    return StepBatch(parts, total, {"tokens": total, "shares": shares}, loss_tokens)


def own_rows(rows: Sequence[Sequence[Segment]], row_tokens: int, share: Share) -> list[Sequence[Sequence[Segment]]]:
    """The rows of this process, in runs that are computed at once; every process gets as many runs.

    One that has no row for a run gets a row of padding: all must take part in every exchange of weights.
    """
    most = -(-len(rows) // share.processes)
    size = min(max(1, share.micro_batch_tokens // row_tokens), most)
    runs = []
    for start in range(0, len(rows), size * share.processes):
        first = start + share.rank * size
        mine = rows[first : min(first + size, start + size * share.processes)]
        runs.append(mine or [()])
    return runs


def rows_per_step(batch_tokens: int, sequence_tokens: int) -> int:
    """Rows of one optimiser step; at least one."""
    return max(1, batch_tokens // sequence_tokens)
