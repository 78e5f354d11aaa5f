"""Pairs of one language by weight: the heaviest first, ties to the smaller key.

Weights may fall while a pair waits in the heap. A pair whose weight has changed is put right when it reaches the top,
so falling weights cost nothing until they matter.
"""

import numpy as np
from numpy.typing import NDArray

from seallm.base.kernels import kernel
from seallm.vocab.bpe import ID_BITS

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


@kernel
def _precedes(weight: int, key: int, other_weight: int, other_key: int) -> bool:
    return weight > other_weight or (weight == other_weight and key < other_key)


@kernel
def _sift_down(entries: Int32s, weights: Int64s, size: int, key: Int64s) -> None:
    """Let the root sink to its place."""
    entry, weight = entries[0], weights[0]
    hole = 0
    while 2 * hole + 1 < size:
        child = 2 * hole + 1
        if child + 1 < size and _precedes(
            weights[child + 1], key[entries[child + 1]], weights[child], key[entries[child]]
        ):
            child += 1
        if not _precedes(weights[child], key[entries[child]], weight, key[entry]):
            break
        entries[hole], weights[hole] = entries[child], weights[child]
        hole = child
    entries[hole], weights[hole] = entry, weight


@kernel
def _push_language(
    entries: Int32s,
    weights: Int64s,
    size: int,
    key: Int64s,
    weight: Int64s,
    span: tuple[int, int],
    what: tuple[int, int],
) -> int:
    """Push the entries of `span` that belong to the language and are heavy enough; `what` is (language, minimum)."""
    language, minimum = what
    for entry in range(span[0], span[1]):
        if key[entry] >> (2 * ID_BITS) != language or weight[entry] < minimum:
            continue
        hole = size
        size += 1
        while hole > 0:
            parent = (hole - 1) // 2
            if not _precedes(weight[entry], key[entry], weights[parent], key[entries[parent]]):
                break
            entries[hole], weights[hole] = entries[parent], weights[parent]
            hole = parent
        entries[hole], weights[hole] = entry, weight[entry]
    return size


@kernel
def _refresh_top(entries: Int32s, weights: Int64s, size: int, key: Int64s, weight: Int64s, minimum: int) -> int:
    """Until the root's weight is the current one: put it right, or drop it where it has become too light."""
    while size > 0 and weights[0] != weight[entries[0]]:
        weights[0] = weight[entries[0]]
        if weights[0] < minimum:
            size -= 1
            entries[0], weights[0] = entries[size], weights[size]
        _sift_down(entries, weights, size, key)
    return size


class PairHeap:
    """The heap of one language.

    Args:
        language: only pairs with this number in their key are taken.
        minimum: lighter pairs are left out.
    """

    def __init__(self, language: int, minimum: int) -> None:
        self._what = (language, minimum)
        self._entries, self._weights, self._size = np.empty(1024, np.int32), np.empty(1024, np.int64), 0

    def push(self, key: Int64s, weight: Int64s, first: int, last: int) -> None:
        """Add the entries `first` to `last` (exclusive) that belong to this language."""
        missing = self._size + last - first - self._entries.size
        if missing > 0:
            extra = max(missing, self._entries.size)
            self._entries = np.concatenate([self._entries, np.empty(extra, np.int32)])
            self._weights = np.concatenate([self._weights, np.empty(extra, np.int64)])
        self._size = _push_language(self._entries, self._weights, self._size, key, weight, (first, last), self._what)

    def best(self, key: Int64s, weight: Int64s) -> int | None:
        """The entry with the highest current weight; None where the heap is empty."""
        self._size = _refresh_top(self._entries, self._weights, self._size, key, weight, self._what[1])
        return int(self._entries[0]) if self._size else None

    def pop(self, key: Int64s) -> None:
        """Remove the root."""
        self._size -= 1
        self._entries[0], self._weights[0] = self._entries[self._size], self._weights[self._size]
        _sift_down(self._entries, self._weights, self._size, key)
