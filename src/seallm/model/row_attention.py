"""A forward pass of many rows of a cache at once, whatever each of them needs.

A step packs the new tokens of all rows into one sequence, so that the weights are read once: one token of every row
that is being answered, and a part of the prompt of rows that are being read (Yu et al. 2022, Agrawal et al. 2024).
Everything but attention sees ordinary tokens with positions; the step tells attention which row each token belongs to.

Shapes: N tokens of a step, H heads, K key heads with G = H / K heads each, T tokens of a row, D width of a head.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from seallm.base.errors import ModelError
from seallm.model.row_cache import Pool, Row, RowCache

ROWS = "seallm-rows"
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass
class _Decoded:
    """The rows of one pool that get one token each.

    Attributes:
        tokens: places of their tokens in the step (n).
        places: of the rows in the pool (n), rising.
        positions: of the new tokens (n).
        num_rows: rows of the pool that are looked at, from the first on.
        longest: tokens of the longest row after this step.
        is_whole: each of the rows that are looked at gets a token.
    """

    pool: Pool
    tokens: torch.Tensor
    places: torch.Tensor
    positions: torch.Tensor
    num_rows: int
    longest: int
    is_whole: bool
    masks: dict[int | None, torch.Tensor] = field(default_factory=dict)
    lines: dict[int, torch.Tensor] = field(default_factory=dict)

    def write(self, buffer: torch.Tensor, new: torch.Tensor) -> None:
        """Put the new states (N, K, D) of these rows into a layer's buffer."""
        _, heads, tokens, width = buffer.shape
        if heads not in self.lines:  # of the buffer as (rows * K * tokens, D); ten times as fast as three indices
            first = (self.places * heads * tokens + self.positions).unsqueeze(1)
            self.lines[heads] = (first + torch.arange(heads, device=first.device) * tokens).flatten()
        buffer.view(-1, width).index_copy_(0, self.lines[heads], new.index_select(0, self.tokens).view(-1, width))

    def mask(self, window: int | None) -> torch.Tensor:
        """What each row sees (rows, 1, 1, T)."""
        if window not in self.masks:
            ends = self.positions.new_zeros(self.num_rows).index_copy_(0, self.places, self.positions)
            column = torch.arange(self.longest, device=ends.device)
            self.masks[window] = _visible(ends[:, None, None, None], column, window)
        return self.masks[window]


@dataclass
class _Read:
    """A row that gets several tokens: `start` is the place of the first in the step, `count` how many they are."""

    row: Row
    start: int
    count: int
    masks: dict[int | None, torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, device: torch.device) -> torch.Tensor:
        """What each token sees (1, 1, count, T)."""
        if window not in self.masks:
            before = self.row.num_tokens
            queries = torch.arange(before, before + self.count, device=device)
            column = torch.arange(before + self.count, device=device)
            self.masks[window] = _visible(queries[None, None, :, None], column, window)
        return self.masks[window]


def _visible(positions: torch.Tensor, column: torch.Tensor, window: int | None) -> torch.Tensor:
    seen = column <= positions
    return seen if window is None else seen & (column > positions - window)


class Step:
    """The new tokens of some rows, packed.

    Args:
        work: rows and their new ids, one or more each; every row has room for them.
        device: of the model.
    """

    def __init__(self, work: Sequence[tuple[Row, Sequence[int]]], device: torch.device) -> None:
        self.work, self.device = work, device
        starts, total = [], 0
        for _, ids in work:
            starts.append(total)
            total += len(ids)
        self.ids = torch.tensor([[i for _, ids in work for i in ids]], device=device)  # (1, N)
        positions = [p for row, ids in work for p in range(row.num_tokens, row.num_tokens + len(ids))]
        self.positions = torch.tensor([positions], device=device)
        self._reads = [_Read(r, start, len(ids)) for (r, ids), start in zip(work, starts, strict=True) if len(ids) > 1]
        single = [(row, start) for (row, ids), start in zip(work, starts, strict=True) if len(ids) == 1]
        self._decoded = [
            self._pool_rows(pool, [(r, s) for r, s in single if r.pool is pool])
            for pool in {id(row.pool): row.pool for row, _ in single}.values()
        ]

    def _pool_rows(self, pool: Pool, rows: Sequence[tuple[Row, int]]) -> _Decoded:
        def tensor(values: Sequence[int]) -> torch.Tensor:
            return torch.tensor(values, device=self.device)

        rows = sorted(rows, key=lambda pair: pair[0].place)
        num_rows = rows[-1][0].place + 1
        return _Decoded(
            pool,
            tensor([start for _, start in rows]),
            tensor([row.place for row, _ in rows]),
            tensor([row.num_tokens for row, _ in rows]),
            num_rows,
            max(row.num_tokens for row, _ in rows) + 1,
            len(rows) == num_rows,
        )

    def attend(
        self,
        layer: int,
        states: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        attend: Attention,
        window: int | None,
    ) -> torch.Tensor:
        """Write the new keys and values of a layer, and attend.

        Args:
            layer: number of the layer.
            states: queries (1, H, N, D), keys and values (1, K, N, D).
            attend: function of grouped queries, keys, values and a mask.
            window: how far back a token sees; None: to the beginning.

        Returns:
            (1, N, H, D).
        """
        query, key, value = (s[0].transpose(0, 1) for s in states)  # (N, heads, D)
        key_heads = key.shape[1]
        grouped = query.reshape(len(query), key_heads, -1, query.shape[2])  # (N, K, G, D): G heads read the same keys
        output = value.new_empty(*grouped.shape[:3], value.shape[2])
        for part in self._decoded:
            keys, values = part.pool.buffer(layer, "keys", key), part.pool.buffer(layer, "values", value)
            part.write(keys, key)
            part.write(values, value)
            asked = grouped.index_select(0, part.tokens)
            if not part.is_whole:
                asked = grouped.new_zeros(part.num_rows, *grouped.shape[1:]).index_copy_(0, part.places, asked)
            seen = slice(None, part.num_rows), slice(None), slice(None, part.longest)
            found = attend(asked, keys[seen], values[seen], part.mask(window))
            output.index_copy_(0, part.tokens, found if part.is_whole else found.index_select(0, part.places))
        for read in self._reads:
            place, before, end = read.row.place, read.row.num_tokens, read.row.num_tokens + read.count
            keys, values = read.row.pool.buffer(layer, "keys", key), read.row.pool.buffer(layer, "values", value)
            new = slice(read.start, read.start + read.count)
            keys[place, :, before:end] = key[new].transpose(0, 1)
            values[place, :, before:end] = value[new].transpose(0, 1)
            asked = grouped[new].permute(1, 2, 0, 3).flatten(1, 2).unsqueeze(0)  # (1, K, G * count, D)
            mask = read.mask(window, self.device).repeat(1, 1, grouped.shape[2], 1)
            found = attend(asked, keys[place : place + 1, :, :end], values[place : place + 1, :, :end], mask)
            output[new] = found[0].view(key_heads, grouped.shape[2], read.count, -1).permute(2, 0, 1, 3)
        return output.flatten(1, 2).unsqueeze(0)

    def finish(self) -> None:
        """Count the new tokens as known."""
        for row, ids in self.work:
            row.num_tokens += len(ids)


def run_step(model: PreTrainedModel, step: Step, wanted: torch.Tensor) -> torch.Tensor:
    """Compute a step.

    Args:
        model: prepared by `attend_by_rows`.
        step: the tokens.
        wanted: places in the step (W) whose logits are wanted.

    Returns:
        Logits (W, V).
    """
    no_mask = torch.empty(1, 1, 1, 1, device=step.device)  # four dimensions: transformers then makes none of its own
    logits: torch.Tensor = model(
        input_ids=step.ids,
        position_ids=step.positions,
        attention_mask=no_mask,
        use_cache=False,
        logits_to_keep=wanted,
        row_step=step,
    ).logits[0]
    step.finish()
    return logits


def attend_by_rows(model: PreTrainedModel) -> None:
    """Let forwards of a model be steps; others stay as they are (`sdpa`).

    Raises:
        ModelError: the model's attention cannot be exchanged, or is of a kind that this cache cannot hold.
    """
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if kinds or getattr(config, "attention_chunk_size", None) or not model._supports_attention_backend:
        raise ModelError(
            f"{type(model).__name__} has attention of another kind ({', '.join(sorted(kinds)) or 'its own'}); expected "
            "full or sliding attention through transformers' attention interface. Serve it with --engine vllm"
        )
    AttentionInterface.register(ROWS, _attend)
    AttentionMaskInterface.register(ROWS, sdpa_mask)
    model.set_attn_implementation(ROWS)


@contextmanager
def attention_kept(model: PreTrainedModel) -> Iterator[None]:
    """Leave a model's attention as it was found."""
    before = model.config._attn_implementation
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Attention output (1, N, H, D) of query (1, H, N, D), key and value (1, K, N, D)."""
    step: Step | None = settings.pop("row_step", None)
    if step is None:
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return found
    attend: Attention = partial(
        _attention, scale=settings.get("scaling"), cap=settings.get("softcap"), sinks=settings.get("s_aux")
    )
    states = (query.to(value.dtype), key.to(value.dtype), value)
    return step.attend(int(module.layer_idx), states, attend, settings.get("sliding_window")), None  # type: ignore[arg-type]


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    *,
    scale: float | None,
    cap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Attention of queries (R, K, G * n, D), n tokens of each head in turn, to (R, K, T, D).

    Args:
        query: (R, K, G * n, D).
        key: (R, K, T, D).
        value: as key.
        mask: what is seen, (R, 1, 1 or G * n, T).
        scale: of the scores; None: 1 / sqrt(D).
        cap: scores stay within it, softly (Gemma 2).
        sinks: a score a head (H) that takes probability and gives nothing (gpt-oss).
    """
    if cap is None and sinks is None:
        return scaled_dot_product_attention(query, key, value, mask, scale=scale)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if cap is not None:
        scores = cap * (scores / cap).tanh()
    scores = scores.masked_fill(~mask, float("-inf")).float()
    if sinks is not None:
        by_head = sinks.view(1, key.shape[1], -1, 1)
        column = by_head.repeat_interleave(query.shape[2] // by_head.shape[2], dim=2).float()
        scores = torch.cat([scores, column.expand(len(query), -1, -1, -1)], dim=-1)
    return scores.softmax(dim=-1)[..., : key.shape[2]].to(value.dtype) @ value


_token_bytes: WeakKeyDictionary[PreTrainedModel, tuple[torch.dtype, int]] = WeakKeyDictionary()


@torch.inference_mode()
def measure_token_bytes(model: PreTrainedModel) -> int:
    """Bytes of one token's keys and values; found by a trial, which also shows that steps compute what forwards do.

    Raises:
        ModelError: they do not.
    """
    if _token_bytes.get(model, (None, 0))[0] == model.dtype:
        return _token_bytes[model][1]
    cache = RowCache(1, 0, 8)
    row = cache.new_row(8)
    assert row is not None, "there is always room for one row"
    ids = [number % model.get_input_embeddings().num_embeddings for number in (3, 1, 4, 1, 5)]
    last = torch.tensor([0], device=model.device)
    run_step(model, Step([(row, ids[:4])], model.device), last)
    found = run_step(model, Step([(row, ids[4:])], model.device), last)[0].float()
    with attention_kept(model):
        model.set_attn_implementation("eager")
        plain = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0, -1].float()
    rounding = 1e-3 if model.dtype == torch.float32 else 0.15  # in bfloat16, sdpa and eager differ by up to 0.05
    if not bool((found - plain).norm() <= rounding * plain.norm()):
        raise ModelError(
            f"{type(model).__name__} computes something else when its key-value cache is shared. Serve it with "
            "--engine vllm"
        )
    total = sum(b[0, :, 0].numel() * b.element_size() for b in row.pool.buffers.values())
    _token_bytes[model] = model.dtype, total
    return total
