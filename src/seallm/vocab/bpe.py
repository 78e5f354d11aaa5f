"""Pieces of text in, token ids out: byte-pair encoding in numba, with a merge table that can grow.

The learner encodes millions of pieces, and goes on encoding while it adds merges; the tokenizers library would need a
new tokenizer for each merge. The certificate compares the result with a plain-Python reference.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seallm.base.kernels import kernel
from seallm.vocab.base_tokenizer import BpeTokenizer, byte_alphabet, byte_piece
from seallm.vocab.pair_table import Keys, Values, doubled, find, find_slot, new_table

Ids = NDArray[np.int32]
Offsets = NDArray[np.int64]

ID_BITS = 28
NO_RANK = 2**31 - 1


@kernel
def _encode(symbols: Ids, offsets: Offsets, keys: Keys, ranks: Values, results: Ids, ids: Ids, ends: Offsets) -> int:
    """Encode every piece; `ids` (symbols,) and `ends` (pieces + 1,) are written, the number of ids is returned."""
    longest = 0
    for piece in range(offsets.size - 1):
        longest = max(longest, offsets[piece + 1] - offsets[piece])
    before, after, rank = np.empty(longest, np.int32), np.empty(longest, np.int32), np.empty(longest, np.int32)
    written = 0
    ends[0] = 0
    for piece in range(offsets.size - 1):
        token = symbols[offsets[piece] : offsets[piece + 1]].copy()
        _encode_piece(token, before, after, rank, keys, ranks, results)
        i = 0
        while i < token.size:
            ids[written] = token[i]
            written += 1
            i = after[i]
        ends[piece + 1] = written
    return written


@kernel
def _encode_piece(token: Ids, before: Ids, after: Ids, rank: Values, keys: Keys, ranks: Values, results: Ids) -> None:
    """Merge the leftmost pair of the lowest rank until none is left.

    The piece is a linked list: `before[i]` and `after[i]` are i's neighbours, `rank[i]` that of the pair which begins
    at i. The search runs over the plain array, swallowed positions included, which suits pieces of usual length.
    """
    size = token.size
    for i in range(size):
        before[i] = i - 1
        after[i] = i + 1
    for i in range(size):
        rank[i] = _rank(token, i, after[i], keys, ranks)
    while True:
        best, at = NO_RANK, -1
        for i in range(size):
            if rank[i] < best:
                best, at = rank[i], i
        if at < 0:
            return
        token[at] = results[best]
        rank[after[at]] = NO_RANK
        after[at] = after[after[at]]
        if after[at] < size:
            before[after[at]] = at
        rank[at] = _rank(token, at, after[at], keys, ranks)
        if before[at] >= 0:
            rank[before[at]] = _rank(token, before[at], at, keys, ranks)


@kernel
def _rank(token: Ids, left: int, right: int, keys: Keys, ranks: Values) -> int:
    if right >= token.size:
        return NO_RANK
    found = find(keys, ranks, int(np.int64(token[left]) << ID_BITS | np.int64(token[right])))
    return found if found >= 0 else NO_RANK


@kernel
def _insert_all(keys: Keys, ranks: Values, pairs: NDArray[np.int64], first_rank: int) -> None:
    """Give the pairs (merges, 2) ascending ranks; of equal pairs the last one counts, as in the tokenizers library."""
    for row in range(pairs.shape[0]):
        key = pairs[row, 0] << ID_BITS | pairs[row, 1]
        slot = find_slot(keys, key)
        keys[slot] = key
        ranks[slot] = first_rank + row


class BpeEncoder:
    """Encodes pieces (text that the pre-tokenizer has already cut) with the base's merges and any added later.

    Args:
        base: the tokenizer to start from.
        added_symbols: characters or byte letters to treat as known, with their new ids.
        spare_merges: room for merges added later; it grows where they are more.
    """

    def __init__(self, base: BpeTokenizer, added_symbols: Mapping[str, int], spare_merges: int) -> None:
        self._base = base
        self.vocabulary = {**base.vocabulary, **added_symbols}
        merges = base.merges
        self._keys, self._ranks = new_table(len(merges) + spare_merges)
        self._results = np.zeros(len(merges) + spare_merges, np.int32)
        ids = [(self.vocabulary[a], self.vocabulary[b], self.vocabulary[a + b]) for a, b in merges]
        triples = np.array(ids, np.int64).reshape(-1, 3)
        self._results[: len(merges)] = triples[:, 2]
        _insert_all(self._keys, self._ranks, triples[:, :2].copy(), 0)
        self._num_merges = len(merges)
        self._letters = byte_alphabet()
        self._spelling = str.maketrans({chr(byte): letter for byte, letter in enumerate(self._letters)})

    def add_merge(self, left: int, right: int, result: int, token: str) -> None:
        """Add one merge, which spells a new token, behind all others."""
        self.vocabulary[token] = result
        if self._num_merges == self._results.size:
            self._results = np.concatenate([self._results, np.zeros_like(self._results)])
            self._keys, self._ranks = doubled(self._keys, self._ranks)
        self._results[self._num_merges] = result
        _insert_all(self._keys, self._ranks, np.array([[left, right]], np.int64), self._num_merges)
        self._num_merges += 1

    def spell(self, piece: str) -> str:
        """A piece in the letters of the vocabulary."""
        if self._base.kind == "sentencepiece":
            return piece
        return piece.encode("utf-8").decode("latin-1").translate(self._spelling)

    def symbols(self, piece: str) -> list[int]:
        """The ids a piece starts from before any merge."""
        spelled = self.spell(piece)
        if self._base.ignores_merges and spelled in self.vocabulary:
            return [self.vocabulary[spelled]]
        return [symbol for letter in spelled for symbol in self.symbols_of(letter)]

    def symbols_of(self, letter: str) -> tuple[int, ...]:
        """The ids of one letter: its own, or those of its byte pieces."""
        if letter in self.vocabulary:
            return (self.vocabulary[letter],)
        return tuple(self.vocabulary[byte_piece(byte)] for byte in letter.encode("utf-8"))

    def encode(self, pieces: Sequence[str]) -> tuple[Ids, Offsets]:
        """Token ids of all pieces, one after another, and where each piece ends.

        Returns:
            ids (tokens,) and offsets (pieces + 1,): piece k has `ids[offsets[k]:offsets[k + 1]]`.
        """
        symbols, offsets = self._flat_symbols(pieces)
        return self.encode_symbols(symbols, offsets)

    def encode_symbols(self, symbols: Ids, offsets: Offsets) -> tuple[Ids, Offsets]:
        """As `encode`, for pieces that are symbols already."""
        ids, ends = np.empty(symbols.size, np.int32), np.empty(offsets.size, np.int64)
        written = _encode(symbols, offsets, self._keys, self._ranks, self._results, ids, ends)
        return ids[:written].copy(), ends

    def _flat_symbols(self, pieces: Sequence[str]) -> tuple[Ids, Offsets]:
        """Look up all characters at once: a table over code points instead of a Python loop over text."""
        if self._base.ignores_merges:
            rows = [self.symbols(piece) for piece in pieces]
            offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
            return np.array([symbol for row in rows for symbol in row], np.int32), offsets
        spelled = [self.spell(piece) for piece in pieces]
        codes = np.frombuffer("".join(spelled).encode("utf-32-le"), np.uint32)
        present = np.flatnonzero(np.bincount(codes, minlength=1))
        known = [self.symbols_of(chr(code)) for code in present]
        starts, lengths = np.zeros(0x110000, np.int32), np.zeros(0x110000, np.int32)
        lengths[present] = [len(symbols) for symbols in known]
        starts[present] = np.cumsum(lengths[present]) - lengths[present]
        flat = np.array([symbol for symbols in known for symbol in symbols], np.int32)
        offsets = np.zeros(len(pieces) + 1, np.int64)
        piece_letters = np.array([len(piece) for piece in spelled], np.int64)
        symbols = _expand(codes, piece_letters, starts, lengths, flat, offsets)
        return symbols, offsets


@kernel
def _expand(
    codes: NDArray[np.uint32], piece_letters: Offsets, starts: Ids, lengths: Ids, flat: Ids, offsets: Offsets
) -> Ids:
    """Replace each code point by its symbols `flat[starts[code]:][:lengths[code]]`; `offsets` is written."""
    total = 0
    for code in codes:
        total += lengths[code]
    symbols = np.empty(total, np.int32)
    written, letter = 0, 0
    for piece in range(piece_letters.size):
        for _ in range(piece_letters[piece]):
            code = codes[letter]
            letter += 1
            for k in range(lengths[code]):
                symbols[written] = flat[starts[code] + k]
                written += 1
        offsets[piece + 1] = written
    return symbols
