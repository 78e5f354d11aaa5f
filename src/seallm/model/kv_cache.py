"""Key-value caches that are shared: one prompt for many answers, one prefix for many continuations.

transformers' dynamic cache copies all keys and values at every step, to append one token. `roomy_copies` copies once
into buffers with room to write on; `shared_rows` lets many rows read one row's cache without a copy of their own, and
`read_only_rows` does so where nothing is to be remembered: one layer's copies are gone before the next one's are made.
"""

import copy
from typing import Any

import torch
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

ROOM_TOKENS = 128


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped
    """One layer's keys and values (B, heads, T, D) at the start of buffers (B, heads, T + room, D)."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._length = keys.shape[-2]
        self._key_buffer, self._value_buffer = _with_room(keys), _with_room(values)
        self._show()

    def _show(self) -> None:
        self.keys = self._key_buffer[:, :, : self._length]
        self.values = self._value_buffer[:, :, : self._length]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values; return all of them."""
        end = self._length + key_states.shape[-2]
        if end > self._key_buffer.shape[-2]:
            self._key_buffer, self._value_buffer = _with_room(self.keys), _with_room(self.values)
        self._key_buffer[:, :, self._length : end] = key_states
        self._value_buffer[:, :, self._length : end] = value_states
        self._length = end
        self._show()
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows."""
        self._key_buffer, self._value_buffer = self._key_buffer[indices], self._value_buffer[indices]
        self._show()


def _with_room(states: torch.Tensor) -> torch.Tensor:
    rows, heads, tokens, width = states.shape
    buffer = states.new_empty(rows, heads, tokens + ROOM_TOKENS, width)
    buffer[:, :, :tokens] = states
    return buffer


def new_cache(model: PreTrainedModel) -> DynamicCache:
    """An empty cache of the model's kind."""
    return DynamicCache(config=model.config)


class ReadOnlyLayer(DynamicLayer):  # type: ignore[misc]
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


def roomy_copies(cache: Cache, repeats: int, *, use_up: bool = False) -> Cache:
    """A copy with every row `repeats` times, neighbours in place, to be written on token by token.

    Args:
        cache: what is copied.
        repeats: copies of each row.
        use_up: empty `cache` on the way, so that both are never held at once.
    """
    repeated = copy.copy(cache)
    repeated.layers = []
    for layer in cache.layers:
        repeated.layers.append(_roomy_layer(layer, repeats))
        if use_up:
            layer.keys = layer.values = None
    return repeated


def _roomy_layer(layer: Any, repeats: int) -> Any:
    if type(layer) is DynamicLayer:
        keys, values = layer.keys, layer.values
        if repeats > 1:
            keys, values = (states.repeat_interleave(repeats, dim=0) for states in (keys, values))
        return RoomyLayer(keys, values)
    other = copy.copy(layer)  # a sliding window, for example, which stays short by itself
    other.batch_repeat_interleave(repeats)
    return other


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
