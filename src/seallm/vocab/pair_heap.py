"""Pairs of one language by count: the most frequent first, ties to the smaller key.

Counts may fall while a pair waits in the heap. A pair whose count has changed is put right when it reaches the top, so
falling counts cost nothing until they matter.
"""

import numpy as np
from numpy.typing import NDArray

from seallm.base.kernels import kernel
from seallm.vocab.bpe import ID_BITS

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


@kernel
def _precedes(count: int, key: int, other_count: int, other_key: int) -> bool:
    return count > other_count or (count == other_count and key < other_key)


@kernel
def _sift_down(entries: Int32s, counts: Int64s, size: int, key: Int64s) -> None:
    """Let the root sink to its place."""
    entry, count = entries[0], counts[0]
    hole = 0
    while 2 * hole + 1 < size:
        child = 2 * hole + 1
        if child + 1 < size and _precedes(
            counts[child + 1], key[entries[child + 1]], counts[child], key[entries[child]]
        ):
            child += 1
        if not _precedes(counts[child], key[entries[child]], count, key[entry]):
            break
        entries[hole], counts[hole] = entries[child], counts[child]
        hole = child
    entries[hole], counts[hole] = entry, count


@kernel
def _push_language(
    entries: Int32s, counts: Int64s, size: int, key: Int64s, count: Int64s, span: tuple[int, int], what: tuple[int, int]
) -> int:
    """Push the entries of `span` that belong to the language and occur often enough; `what` is (language, minimum)."""
    language, minimum = what
    for entry in range(span[0], span[1]):
        if key[entry] >> (2 * ID_BITS) != language or count[entry] < minimum:
            continue
        hole = size
        size += 1
        while hole > 0:
            parent = (hole - 1) // 2
            if not _precedes(count[entry], key[entry], counts[parent], key[entries[parent]]):
                break
            entries[hole], counts[hole] = entries[parent], counts[parent]
            hole = parent
        entries[hole], counts[hole] = entry, count[entry]
    return size


@kernel
def _refresh_top(entries: Int32s, counts: Int64s, size: int, key: Int64s, count: Int64s, minimum: int) -> int:
    """Until the root's count is the current one: put it right, or drop it where it has become too rare."""
    while size > 0 and counts[0] != count[entries[0]]:
        counts[0] = count[entries[0]]
        if counts[0] < minimum:
            size -= 1
            entries[0], counts[0] = entries[size], counts[size]
        _sift_down(entries, counts, size, key)
    return size


class PairHeap:
    """The heap of one language.

    Args:
        language: only pairs with this number in their key are taken.
        minimum: pairs with fewer occurrences are left out.
    """

    def __init__(self, language: int, minimum: int) -> None:
        self._what = (language, minimum)
        self._entries, self._counts, self._size = np.empty(1024, np.int32), np.empty(1024, np.int64), 0

    def push(self, key: Int64s, count: Int64s, first: int, last: int) -> None:
        """Add the entries `first` to `last` (exclusive) that belong to this language."""
        missing = self._size + last - first - self._entries.size
        if missing > 0:
            extra = max(missing, self._entries.size)
            self._entries = np.concatenate([self._entries, np.empty(extra, np.int32)])
            self._counts = np.concatenate([self._counts, np.empty(extra, np.int64)])
        self._size = _push_language(self._entries, self._counts, self._size, key, count, (first, last), self._what)

    def best(self, key: Int64s, count: Int64s) -> int | None:
        """The entry with the highest current count; None where the heap is empty."""
        self._size = _refresh_top(self._entries, self._counts, self._size, key, count, self._what[1])
        return int(self._entries[0]) if self._size else None

    def pop(self, key: Int64s) -> None:
        """Remove the root."""
        self._size -= 1
        self._entries[0], self._counts[0] = self._entries[self._size], self._counts[self._size]
        _sift_down(self._entries, self._counts, self._size, key)
