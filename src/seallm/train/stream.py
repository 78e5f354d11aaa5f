"""A row number in, the pieces of documents that this row holds out: no state, so resuming is instant and exact.

A stream is made of sources, endless shuffled sequences of tokens, each with a share. Its rows are cut into blocks of
256; arithmetic on the shares says which tokens of each source belong to a block, and best-fit packing lays them into
its rows. So any row is computed from (seed, stream name, row number) without looking at those before it, and any number
of readers sees the same rows.

Rejected: a reader with a position per file (its state must be saved with every checkpoint, and resuming with another
number of readers changes the order), and skipping to a step by reading everything before it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seallm.train.draws import random_generator
from seallm.train.packing import pack_filling
from seallm.train.shares import SHARE_UNITS, in_units
from seallm.train.sources import Source

BLOCK_ROWS = 256
PADDING_SHARE = 256  # one token in 256 (0.4 %) may stay free, so that few documents must be cut to fill a block


@dataclass(frozen=True)
class Piece:
    """Tokens `start` to `stop` of one document of one source."""

    source: int
    document: int
    start: int
    stop: int


@dataclass(frozen=True)
class Part:
    """One source of a stream: its share in SHARE_UNITS, and the token of its sequence at which the stream starts."""

    source: Source
    share: int
    start: int = 0


class RowStream(Protocol):
    """Rows of packed documents by number; attributes as in `TextStream`."""

    @property
    def parts(self) -> Sequence[Part]:
        """Sources and their shares."""

    @property
    def num_rows(self) -> int:
        """Rows of the whole stream."""

    @property
    def row_tokens(self) -> int:
        """Length of a row."""

    def row(self, number: int) -> list[Piece]:
        """The pieces that row `number` holds."""

    def stop(self, part: int) -> int:
        """The token of a part's sequence at which the whole stream ends."""


@dataclass(frozen=True, eq=False)
class TextStream:
    """Rows of packed documents; a pure function of the seed, the name and the row number.

    Attributes:
        name: names the order of rows.
        parts: sources and their shares, which sum to SHARE_UNITS.
        num_rows: rows of the whole stream.
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
        """The token of a part's sequence at which the whole stream ends."""
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


@dataclass(frozen=True)
class Interleaving:
    """Rows of several streams as one sequence, evenly spread by their shares; any row is found without the others.

    Attributes:
        units: share of each stream, in any unit.
    """

    units: Sequence[int]

    def place(self, number: int) -> tuple[int, int]:
        """The stream that row `number` belongs to, and the row's number within it."""
        rest = sum(self.units)
        for stream, units in enumerate(self.units):
            before = number * units // rest if units else 0
            if units and (number + 1) * units // rest > before:
                return stream, before
            number, rest = number - before, rest - units
        raise AssertionError("the last stream with a share takes every row that is left")

    def counts(self, rows: int) -> list[int]:
        """How many of the first rows belong to each stream."""
        rest, counts = sum(self.units), []
        for units in self.units:
            counts.append(rows * units // rest if units else 0)
            rows, rest = rows - counts[-1], rest - units
        return counts


@dataclass(frozen=True, eq=False)
class PureStream:
    """Rows that hold documents of one language each: a stream a language, interleaved by the languages' shares.

    Attributes:
        languages: the language of each part.
        The others are as in `TextStream`.
    """

    name: str
    parts: Sequence[Part]
    num_rows: int
    row_tokens: int
    seed: int
    languages: Sequence[str]

    @functools.cached_property
    def _numbers(self) -> list[list[int]]:
        """Numbers of the parts of each language."""
        found: dict[str, list[int]] = {}
        for number, language in enumerate(self.languages):
            found.setdefault(language, []).append(number)
        return list(found.values())

    @functools.cached_property
    def _interleaving(self) -> Interleaving:
        return Interleaving([sum(self.parts[n].share for n in numbers) for numbers in self._numbers])

    @functools.cached_property
    def _streams(self) -> list[TextStream]:
        streams = []
        for numbers, rows in zip(self._numbers, self._interleaving.counts(self.num_rows), strict=True):
            own = [self.parts[n] for n in numbers]
            units = in_units([part.share for part in own]) if rows else [0] * len(own)
            parts = [Part(part.source, share, part.start) for part, share in zip(own, units, strict=True)]
            name = f"{self.name} {self.languages[numbers[0]]}"
            streams.append(TextStream(name, parts, rows, self.row_tokens, self.seed))
        return streams

    def row(self, number: int) -> list[Piece]:
        """The pieces that row `number` holds."""
        stream, place = self._interleaving.place(number)
        numbers = self._numbers[stream]
        return [Piece(numbers[p.source], p.document, p.start, p.stop) for p in self._streams[stream].row(place)]

    def stop(self, part: int) -> int:
        """The token of a part's sequence at which the whole stream ends."""
        stream = next(n for n, numbers in enumerate(self._numbers) if part in numbers)
        return self._streams[stream].stop(self._numbers[stream].index(part))
