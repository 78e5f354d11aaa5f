"""Key-value caches that are shared: one prefix for many continuations.

`shared_rows` lets many rows read one row's cache without a copy of their own; `read_only_rows` does so where nothing
is to be remembered: one layer's copies are gone before the next one's are made.
"""

import copy
from typing import Any

import torch
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer


def new_cache(model: PreTrainedModel) -> DynamicCache:
    """An empty cache of the model's kind."""
    return DynamicCache(config=model.config)


class ReadOnlyLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped
    """One layer's keys and values that new ones are seen after, and that stay as they are."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self.keys, self.values = keys, values

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values, the new ones last."""
        return torch.cat([self.keys, key_states], dim=-2), torch.cat([self.values, value_states], dim=-2)


def shared_rows(cache: Cache, rows: int) -> Cache:
    """A one-row cache as seen by `rows` rows; appending to it copies, so the original stays as it is."""
    shared = copy.copy(cache)
    shared.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in shared.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)
        layer.values = layer.values.expand(rows, -1, -1, -1)
    return shared


def read_only_rows(cache: Cache, rows: int) -> Cache:
    """A one-row cache as seen by `rows` rows whose own keys and values nobody asks for afterwards."""
    seen = shared_rows(cache, rows)
    seen.layers = [
        ReadOnlyLayer(layer.keys, layer.values) if type(layer) is DynamicLayer else layer for layer in seen.layers
    ]
    return seen
