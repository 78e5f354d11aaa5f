"""A row number in, the pieces of documents that this row holds out: no state, so resuming is instant and exact.

Each source (one language and tier) is an endless sequence of tokens: its documents in one shuffled order after another,
one order per epoch. A stage's rows are cut into blocks of 256; arithmetic on the shares says which tokens of each
source belong to a block, and best-fit packing lays them into its rows. So any row is computed from (seed, stage name,
row number) without looking at those before it, and any number of readers sees the same rows. A shuffled order costs one
permutation of a source's documents, once an epoch.

Rejected: a reader with a position per file (its state must be saved with every checkpoint, and resuming with another
number of readers changes the order), and skipping to a step by reading everything before it.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seallm.train.packing import pack_filling

BLOCK_ROWS = 256
PADDING_SHARE = 256  # one token in 256 (0.4 %) may stay free, so that few documents must be cut to fill a block
SHARE_UNITS = 10**9  # shares are whole numbers of these, so that positions are exact at any step


@dataclass(frozen=True)
class Piece:
    """Tokens `start` to `stop` of one document of one source."""

    source: int
    document: int
    start: int
    stop: int


def random_generator(seed: int, *names: object) -> np.random.Generator:
    """A generator that depends on the seed and the names alone (counter-based, so making one costs microseconds)."""
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *names))).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


@dataclass(frozen=True, eq=False)
class Source:
    """Documents of one language and tier as an endless, shuffled sequence of tokens.

    Attributes:
        name: names its shuffles; sources of the same name and seed have the same order.
        lengths: tokens of each document, (documents,).
        documents: numbers of the documents used, where not all are; their lengths are `lengths`.
    """

    name: str
    lengths: NDArray[np.int64]
    seed: int
    documents: NDArray[np.int64] | None = None

    @functools.cached_property
    def tokens(self) -> int:
        """Tokens of one epoch."""
        return int(self.lengths.sum())

    def order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the documents in the order of this epoch, and where each ends in the epoch's tokens."""
        if epoch not in self._orders:
            if len(self._orders) > 1:  # a block may straddle two epochs, never needs more at once
                self._orders.pop(min(self._orders))
            places = random_generator(self.seed, self.name, epoch).permutation(len(self.lengths))
            self._orders[epoch] = (places, np.cumsum(self.lengths[places]))
        return self._orders[epoch]

    _orders: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=dict, repr=False)

    def cut(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """The documents that tokens `start` to `stop` of the endless sequence belong to, as (document, from, to)."""
        found = []
        while start < stop:
            epoch, inside = divmod(start, self.tokens)
            places, ends = self.order(epoch)
            last = min(stop - epoch * self.tokens, self.tokens)
            for number in range(int(np.searchsorted(ends, inside, "right")), len(places)):
                place, end = int(places[number]), int(ends[number])
                begin = end - int(self.lengths[place])
                if begin >= last:
                    break
                document = place if self.documents is None else int(self.documents[place])
                if end > begin:
                    found.append((document, max(inside, begin) - begin, min(end, last) - begin))
            start = epoch * self.tokens + last
        return found

    def seen(self, tokens: int) -> "Source":
        """The documents that the first `tokens` of the sequence touch, as a source of its own (for replay)."""
        if tokens >= self.tokens:
            return Source(f"{self.name} replay", self.lengths, self.seed, self.documents)
        places, ends = self.order(0)
        kept = np.sort(places[: int(np.searchsorted(ends, tokens, "left")) + 1])
        documents = kept if self.documents is None else self.documents[kept]
        return Source(f"{self.name} replay", self.lengths[kept], self.seed, documents)


@dataclass(frozen=True)
class Part:
    """One source of a stream: its share in SHARE_UNITS, and the token of its sequence at which the stream starts."""

    source: Source
    share: int
    start: int = 0


@dataclass(frozen=True, eq=False)
class TextStream:
    """Rows of packed documents; a pure function of the seed, the name and the row number.

    Attributes:
        name: names the order of rows.
        parts: sources and their shares, which sum to SHARE_UNITS.
        num_rows: rows of the whole stage.
        row_tokens: length of a row.
    """

    name: str
    parts: Sequence[Part]
    num_rows: int
    row_tokens: int
    seed: int

    def row(self, number: int) -> list[Piece]:
        """The pieces that row `number` holds."""
        return self._block(number // BLOCK_ROWS)[number % BLOCK_ROWS]

    def stop(self, part: int) -> int:
        """The token of a part's sequence at which the whole stage ends."""
        whole, rest = divmod(self.num_rows, BLOCK_ROWS)
        return self._position(self.parts[part], whole * self._filled(BLOCK_ROWS) + self._filled(rest))

    @functools.cached_property
    def _blocks(self) -> dict[int, list[list[Piece]]]:
        return {}

    def _block(self, block: int) -> list[list[Piece]]:
        if block not in self._blocks:
            if len(self._blocks) > 1:  # a step may straddle two blocks
                self._blocks.pop(min(self._blocks))
            self._blocks[block] = self._pack(block)
        return self._blocks[block]

    def _filled(self, rows: int) -> int:
        """Tokens laid into a block of so many rows: its room less the padding, or less one per part for rounding."""
        room = rows * self.row_tokens
        return room - max(room // PADDING_SHARE, len(self.parts)) if rows else 0

    def _position(self, part: Part, tokens: int) -> int:
        return part.start + tokens * part.share // SHARE_UNITS

    def _pack(self, block: int) -> list[list[Piece]]:
        rows = min(BLOCK_ROWS, self.num_rows - block * BLOCK_ROWS)
        first = block * self._filled(BLOCK_ROWS)
        last = first + self._filled(rows)
        pieces = [
            Piece(number, *cut)
            for number, part in enumerate(self.parts)
            for cut in part.source.cut(self._position(part, first), self._position(part, last))
        ]
        packed = pack_filling([p.stop - p.start for p in pieces], rows, self.row_tokens)
        order = random_generator(self.seed, self.name, "rows", block).permutation(rows)
        return [[_part_of(pieces[item], start, stop) for item, start, stop in packed[i]] for i in order]


def _part_of(piece: Piece, start: int, stop: int) -> Piece:
    return Piece(piece.source, piece.document, piece.start + start, piece.start + stop)


def language_shares(
    tokens: Mapping[str, int], base_language: str, base_language_share: float, temperature: float
) -> dict[str, float]:
    """Shares of the languages in a stream.

    The base language gets its fixed share; each other one a share proportional to its tokens^(1/temperature) (the
    sampling of multilingual BERT and XLM-R). A language without tokens gets none.

    Args:
        tokens: tokens on hand, by language.
        base_language: the language whose share is fixed.
        base_language_share: its share; where it is the only one it gets everything, where it has no tokens nothing.
        temperature: 1 keeps proportions, large values make the shares equal.

    Returns:
        Shares that sum to 1, of the languages that have tokens.
    """
    weights = {language: n ** (1 / temperature) for language, n in tokens.items() if n and language != base_language}
    base = base_language_share if weights else 1.0
    if not tokens.get(base_language):
        base = 0.0
    total = sum(weights.values())
    shares = {language: (1 - base) * weight / total for language, weight in weights.items()}
    return ({base_language: base} if base else {}) | shares


def in_units(shares: Sequence[float]) -> list[int]:
    """Shares as whole numbers that sum to SHARE_UNITS."""
    ends = np.round(np.cumsum(shares) / np.sum(shares) * SHARE_UNITS).astype(np.int64)
    return [int(n) for n in np.diff(ends, prepend=0)]
