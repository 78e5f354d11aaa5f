"""Key-value caches that are shared: one prefix for many continuations, without a copy."""

import copy

from transformers import Cache, DynamicCache, PreTrainedModel


def new_cache(model: PreTrainedModel) -> DynamicCache:
    """An empty cache of the model's kind."""
    return DynamicCache(config=model.config)


def shared_rows(cache: Cache, rows: int) -> Cache:
    """A one-row cache as seen by `rows` rows; appending to it copies, so the original stays as it is."""
    shared = copy.copy(cache)
    shared.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in shared.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)
        layer.values = layer.values.expand(rows, -1, -1, -1)
    return shared
