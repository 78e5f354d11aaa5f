"""What computes the rows of a batch: the seam between scheduling and a network.

`ContinuousBatch` decides who gets how many tokens, and draws; a `Computer` holds what was computed of each sequence and
goes on with it. Ours computes with transformers; llama.cpp has one of its own.

Shapes: W places whose logits are wanted, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel

from seallm.model.prefix_cache import PrefixCache
from seallm.model.row_attention import Step, attend_by_rows, measure_token_bytes, run_step
from seallm.model.row_cache import SMALLEST_ROW_TOKENS, Row, RowCache


class Computer(Protocol):
    """Whatever computes many sequences a few tokens at a time.

    Its rows are of a kind of its own; all have `num_tokens`, the number of tokens that are computed.
    """

    num_ids: int
    max_sequence_tokens: int

    def num_known(self, ids: Sequence[int]) -> int:
        """How many of the first ids are computed already."""

    def begin(self, ids: Sequence[int], room: int) -> Any:
        """A row that knows as many of the first ids as are computed already; None where there is no room."""

    def has_room(self, row: Any, tokens: int) -> bool:
        """Have room for more tokens in a row; False where memory is short."""

    def compute(self, work: Sequence[tuple[Any, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        """Go on with rows by the ids that follow; logits (W, V) of places in all these ids, one row after another."""

    def keep(self, row: Any, ids: Sequence[int]) -> None:
        """Keep what the row knows of its first ids for rows that begin alike."""

    def end(self, row: Any, ids: Sequence[int]) -> None:
        """Give a row up, and keep what it knows of these, its first ids."""

    def clear(self) -> None:
        """Give up all rows, and what is kept."""

    @property
    def num_cached_tokens(self) -> int:
        """Tokens for which the rows have memory now."""

    @property
    def num_kept_tokens(self) -> int:
        """Tokens that are kept for later rows."""


class TransformersRows:
    """A computer over a model of transformers.

    Args:
        model: in evaluation mode, on its device.
        cache_bytes: bound on keys and values of rows; a sequence is never longer than what they hold.
        prefix_bytes: bound on keys and values that are kept for later; 0 keeps none.

    Attributes:
        model_positions: of the model, of which the cache may hold fewer.

    Raises:
        ModelError: the model's attention is of a kind that cannot be computed so.
    """

    def __init__(self, model: PreTrainedModel, cache_bytes: int, prefix_bytes: int) -> None:
        attend_by_rows(model)
        self.model = model
        self.num_ids = int(model.get_input_embeddings().num_embeddings)
        self.model_positions = int(model.config.get_text_config(decoder=True).max_position_embeddings)
        token_bytes = measure_token_bytes(model)
        self.max_sequence_tokens = min(self.model_positions, max(cache_bytes // token_bytes, SMALLEST_ROW_TOKENS))
        self._cache = RowCache(token_bytes, cache_bytes, self.max_sequence_tokens)
        self.prefixes = PrefixCache(prefix_bytes // token_bytes)

    def num_known(self, ids: Sequence[int]) -> int:
        """How many of the first ids are kept."""
        return self.prefixes.length(ids)

    def begin(self, ids: Sequence[int], room: int) -> Row | None:
        """A new row with copies of what is kept."""
        row = self._cache.new_row(room)
        if row is not None:
            self.prefixes.copy_into(row, ids)
        return row

    def has_room(self, row: Row, tokens: int) -> bool:
        """As the cache."""
        return self._cache.has_room(row, tokens)

    def compute(self, work: Sequence[tuple[Row, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        """One forward pass for all rows."""
        device = self.model.device
        return run_step(self.model, Step(work, device), torch.tensor(wanted, dtype=torch.long, device=device))

    def keep(self, row: Row, ids: Sequence[int]) -> None:
        """Copy into the tree."""
        self.prefixes.insert(ids, row)

    def end(self, row: Row, ids: Sequence[int]) -> None:
        """Copy into the tree and free the row."""
        self.prefixes.insert(ids, row)
        self._cache.free(row)

    def clear(self) -> None:
        """Give all memory back."""
        self._cache.clear()
        self.prefixes = PrefixCache(self.prefixes.max_tokens)

    @property
    def num_cached_tokens(self) -> int:
        """As the cache."""
        return self._cache.num_tokens

    @property
    def num_kept_tokens(self) -> int:
        """As the tree."""
        return self.prefixes.num_tokens
