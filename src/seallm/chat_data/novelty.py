"""Texts in, how much each resembles those before it out: ROUGE-L over words, or over clusters where no spaces are.

ROUGE-L (Lin 2004, section 3.1, with beta = 1) of two texts is 2 L / (n + m), where n and m are their units and L is the
length of their longest common subsequence. Units are those of the corpus stage: words, or a base letter with its marks
in Thai, Lao, Khmer, Burmese and Chinese; case, punctuation and the values of digits do not count. Self-instruct keeps
what is less than 0.7 similar to everything before it (Wang et al. 2023, section 2.2).

The subsequence is counted 64 units at a time by bits (Hyyrö 2004), and not at all where the lengths alone rule it out.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.kernels import kernel, string_buffers
from seallm.corpus.characters import CharacterTables, character_tables
from seallm.corpus.ngrams import Units, make_units
from seallm.corpus.statistics import cut_units

_WORD_BITS = 64
_FIRST_ROOM = 1024
_ONE = np.uint64(1)
_NONE = np.uint64(0)
_ALL = np.uint64(2**64 - 1)


class Closest(NamedTuple):
    """The text of a pool that resembles another most.

    Attributes:
        similarity: ROUGE-L, 0 to 1.
        number: which text it is, in the order they came; -1 where nothing is alike at all.
    """

    similarity: float
    number: int


def unit_hashes(texts: Sequence[str]) -> list[npt.NDArray[np.uint64]]:
    """The hashes of the units of each text, in order."""
    offsets, data = string_buffers(pa.array(texts, pa.large_string()))
    room = int(np.diff(offsets).max(initial=0)) + 1
    found = np.zeros(int(offsets[-1]) + 1, np.uint64)
    counts = np.zeros(len(texts), np.int64)
    _cut_all(offsets, data, character_tables(), make_units(room), found, counts)
    return np.split(found[: counts.sum()], np.cumsum(counts)[:-1]) if len(texts) else []


@kernel
def _cut_all(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    tables: CharacterTables,
    units: Units,
    found: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int64],
) -> None:
    written = 0
    for row in range(counts.shape[0]):
        count = cut_units(data[offsets[row] : offsets[row + 1]], tables, units)
        found[written : written + count] = units.hashes[:count]
        counts[row] = count
        written += count


class NoveltyPool:
    """Texts that new ones are compared with; it grows.

    Args:
        texts: the first of them.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._numbers: dict[int, int] = {}  # of each unit that occurs, by hash
        self._units = np.zeros(_FIRST_ROOM, np.int32)
        self._ends = np.zeros(_FIRST_ROOM, np.int64)  # where each text's units end
        self._count = 0
        self._rows = np.full(_FIRST_ROOM, -1, np.int32)  # scratch: row of a unit in the table of places
        for units in unit_hashes(list(texts)):
            self._append(units)

    def __len__(self) -> int:
        return self._count

    def add(self, text: str) -> None:
        """Put a text in."""
        self._append(unit_hashes([text])[0])

    def closest(self, text: str) -> Closest:
        """The text in the pool that is most similar; of equals the first."""
        known = (self._numbers.get(int(unit), -1) for unit in unit_hashes([text])[0])
        candidate = np.fromiter(known, np.int32)
        if not len(candidate) or not self._count:
            return Closest(0.0, -1)
        similarity, number = _closest(candidate, self._units, self._ends[: self._count], self._rows)
        return Closest(float(similarity), int(number))

    def _append(self, units: npt.NDArray[np.uint64]) -> None:
        start = int(self._ends[self._count - 1]) if self._count else 0
        end = start + len(units)
        self._units = _with_room(self._units, end)
        self._ends = _with_room(self._ends, self._count + 1)
        for place, unit in enumerate(units.tolist(), start):
            self._units[place] = self._numbers.setdefault(unit, len(self._numbers))
        self._rows = _with_room(self._rows, len(self._numbers), -1)
        self._ends[self._count] = end
        self._count += 1


def _with_room(array: npt.NDArray[Any], needed: int, filling: int = 0) -> npt.NDArray[Any]:
    """The array, or one twice as long or more that starts like it."""
    if needed <= len(array):
        return array
    longer = np.full(max(needed, 2 * len(array)), filling, array.dtype)
    longer[: len(array)] = array
    return longer


@kernel
def _closest(
    candidate: npt.NDArray[np.int32],
    pool: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int32],
) -> tuple[float, int]:
    """Greatest ROUGE-L of a text (n unit numbers, -1 where the pool lacks a unit) over the pool's, and whose it is."""
    n = candidate.shape[0]
    words = (n + _WORD_BITS - 1) // _WORD_BITS
    places = np.zeros((n, words), np.uint64)  # row r: at which places of the candidate the unit of row r stands
    used = 0
    for place in range(n):
        unit = candidate[place]
        if unit >= 0:
            if rows[unit] < 0:
                rows[unit] = used
                used += 1
            places[rows[unit], place // _WORD_BITS] |= _ONE << np.uint64(place % _WORD_BITS)
    state = np.empty(words, np.uint64)
    best, best_number, start = 0.0, -1, 0
    for number in range(ends.shape[0]):
        end = ends[number]
        m = end - start
        if m > 0 and 2.0 * min(n, m) > best * (n + m):
            common = _common_length(pool[start:end], rows, places, state, n)
            similarity = 2.0 * common / (n + m)
            if similarity > best:
                best, best_number = similarity, number
        start = end
    for place in range(n):
        if candidate[place] >= 0:
            rows[candidate[place]] = -1
    return best, best_number


@kernel
def _common_length(
    other: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
    places: npt.NDArray[np.uint64],
    state: npt.NDArray[np.uint64],
    n: int,
) -> int:
    """Length of the longest common subsequence: the zeros that are left among the first n bits of the state."""
    state[:] = _ALL
    for i in range(other.shape[0]):
        row = rows[other[i]]
        if row < 0:
            continue
        carry = _NONE
        for word in range(state.shape[0]):
            before = state[word]
            hit = before & places[row, word]
            total = before + hit
            overflows = total < before
            total += carry
            carry = _ONE if overflows or total < carry else _NONE
            state[word] = total | (before & ~hit)
    common = 0
    for place in range(n):
        common += (state[place // _WORD_BITS] >> np.uint64(place % _WORD_BITS)) & _ONE == _NONE
    return common
