"""Lengths of documents in, an endless shuffled sequence of their tokens out, any place of which is reached at once.

A source is one language and tier: its documents in one shuffled order after another, one order per epoch. Documents are
shuffled in two steps. Document i belongs to group i mod g, where g is the first prime number that leaves at most 4,096
documents in a group: each group is an even sample of the whole source, and its tokens are summed once, when the store
is made. An epoch shuffles the groups, then the documents of each group that is read. So reaching any place of any epoch
costs one permutation of g numbers and one of 4,096, and no state.

Rejected: one permutation of all documents (seconds and gigabytes for 100 million of them, in every process), and one
keyed permutation of document numbers without groups (it tells which document is the n-th, not which holds a token).
"""

import functools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seallm.train.draws import random_generator

GROUP_DOCUMENTS = 4_096
CACHED_GROUPS = 8  # orders kept at hand: a block of long rows reads a few groups, one after another


def num_groups(documents: int) -> int:
    """Groups of a source of so many documents: 1, or a prime number, so that no rhythm of the corpus falls into one."""
    least = -(-documents // GROUP_DOCUMENTS)
    while least > 2 and any(least % divisor == 0 for divisor in range(2, int(least**0.5) + 1)):
        least += 1
    return max(1, least)


def group_sums(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of each group: of documents g, g + n, g + 2n, ... where n is the number of groups, (n,)."""
    groups = num_groups(len(lengths))
    rows = np.zeros(-(-len(lengths) // groups) * groups, np.int64)
    rows[: len(lengths)] = lengths
    return rows.reshape(-1, groups).sum(0) if len(lengths) else np.zeros(1, np.int64)


@dataclass(frozen=True, eq=False)
class Documents:
    """Lengths of the documents of one source, which may be memory-mapped.

    Attributes:
        offsets: where each document starts, and the total, (documents + 1,).
        groups: tokens of each group, (groups,).
    """

    offsets: NDArray[np.int64]
    groups: NDArray[np.int64]

    @classmethod
    def of_lengths(cls, lengths: NDArray[np.int64]) -> "Documents":
        """Documents of these lengths, (documents,)."""
        return cls(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), group_sums(lengths))

    def members(self, group: int) -> NDArray[np.int64]:
        """Numbers of the documents of a group."""
        return np.arange(group, len(self.offsets) - 1, len(self.groups))

    def lengths(self, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of some documents."""
        return self.offsets[documents + 1] - self.offsets[documents]


@dataclass(frozen=True, eq=False)
class Source:
    """Documents of one language and tier as an endless, shuffled sequence of tokens.

    Attributes:
        name: names its shuffles; sources of the same name and seed have the same order.
        documents: lengths of all documents.
        groups: numbers of the groups used, where not all are.
        rest: documents used of one group more, of which not all are.
    """

    name: str
    documents: Documents
    seed: int
    groups: NDArray[np.int64] | None = None
    rest: NDArray[np.int64] | None = None

    @functools.cached_property
    def _sums(self) -> NDArray[np.int64]:
        """Tokens of each group used, in the order of `groups`; the rest is the last."""
        sums = self.documents.groups if self.groups is None else self.documents.groups[self.groups]
        return sums if self.rest is None else np.append(sums, self.documents.lengths(self.rest).sum())

    @functools.cached_property
    def tokens(self) -> int:
        """Tokens of one epoch."""
        return int(self._sums.sum())

    def _members(self, place: int) -> NDArray[np.int64]:
        """Documents of the group at a place of `_sums`."""
        if self.rest is not None and place == len(self._sums) - 1:
            return self.rest
        return self.documents.members(place if self.groups is None else int(self.groups[place]))

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the groups in the order of this epoch, and where each ends in the epoch's tokens."""
        if epoch not in self._epochs:
            if len(self._epochs) > 1:  # a block may straddle two epochs, never needs more at once
                self._epochs.pop(min(self._epochs))
            places = random_generator(self.seed, self.name, epoch).permutation(len(self._sums))
            self._epochs[epoch] = (places, np.cumsum(self._sums[places]))
        return self._epochs[epoch]

    def _order(self, epoch: int, place: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Documents of one group in the order of this epoch, and where each ends in the group's tokens."""
        key = (epoch, place)
        if key not in self._orders:
            if len(self._orders) >= CACHED_GROUPS:
                self._orders.pop(next(iter(self._orders)))
            members = random_generator(self.seed, self.name, epoch, place).permutation(self._members(place))
            self._orders[key] = (members, np.cumsum(self.documents.lengths(members)))
        return self._orders[key]

    _epochs: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=dict, repr=False)
    _orders: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = field(
        default_factory=dict, repr=False
    )

    def cut(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """The documents that tokens `start` to `stop` of the endless sequence belong to, as (document, from, to)."""
        found: list[tuple[int, int, int]] = []
        while start < stop:
            epoch, inside = divmod(start, self.tokens)
            places, ends = self._epoch(epoch)
            number = int(np.searchsorted(ends, inside, "right"))
            place, end = int(places[number]), int(ends[number])
            before = end - int(self._sums[place])
            last = min(stop - epoch * self.tokens, end)
            found += self._cut_group(epoch, place, inside - before, last - before)
            start = epoch * self.tokens + last
        return found

    def _cut_group(self, epoch: int, place: int, start: int, stop: int) -> list[tuple[int, int, int]]:
        members, ends = self._order(epoch, place)
        first = int(np.searchsorted(ends, start, "right"))
        last = int(np.searchsorted(ends, stop, "left")) + 1
        found = []
        for document, end in zip(members[first:last].tolist(), ends[first:last].tolist(), strict=True):
            begin = end - int(self.documents.offsets[document + 1] - self.documents.offsets[document])
            if end > begin:
                found.append((document, max(start, begin) - begin, min(end, stop) - begin))
        return found

    def seen(self, tokens: int, name: str = "replay") -> "Source":
        """The documents that the first `tokens` of the sequence touch, as a source of its own (for replay)."""
        name = f"{self.name} {name}"
        if tokens >= self.tokens:
            return Source(name, self.documents, self.seed, self.groups, self.rest)
        places, ends = self._epoch(0)
        whole = int(np.searchsorted(ends, tokens, "right"))
        place, before = int(places[whole]), int(ends[whole] - self._sums[places[whole]])
        members, inner_ends = self._order(0, place)
        touched = int(np.searchsorted(inner_ends, tokens - before, "left")) + 1 if tokens > before else 0
        groups = np.sort(places[:whole])
        assert self.groups is None, "a replay of a replay is a replay of the source itself"
        assert self.rest is None
        return Source(name, self.documents, self.seed, groups, np.sort(members[:touched]))
