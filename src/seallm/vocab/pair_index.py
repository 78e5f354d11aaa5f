"""Counted pieces in, an index of adjacent pairs out that merges keep up to date.

Every token position belongs to a linked list (its piece). A pair is kept once per language: its count, and a list of
the places where it stood; those that a merge has changed since are skipped when the list is walked. Each merge shortens
a text by one token and adds at most two places, so the lists never exceed three times the tokens: memory is linear.
Pairs only lose occurrences after the step that created them (a new pair always holds that step's new token), so a heap
whose counts are refreshed when they reach the top is exact.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seallm.base.errors import DataError
from seallm.base.kernels import kernel
from seallm.vocab.bpe import ID_BITS
from seallm.vocab.pair_heap import PairHeap
from seallm.vocab.pair_table import doubled, find, find_slot, new_table
from seallm.vocab.pieces import CountedPieces

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

NONE = -1  # the end of a list, or a position that a merge has swallowed
MAX_TOKENS = (2**31 - 1) // 3  # places are numbered by 32 bits
_ID_MASK = (1 << ID_BITS) - 1


class _Text(NamedTuple):
    """All tokens of all pieces.

    Attributes:
        tokens, after, before, piece: (tokens,) id, neighbours in the piece, and number of the piece.
        language, train, dev: (pieces,) language number, occurrences in the corpus and in the development sentences.
        weight: (pieces,) what one place in the piece adds to its pair.
        train_tokens, dev_tokens: (languages,) current totals.
    """

    tokens: Int32s
    after: Int32s
    before: Int32s
    piece: Int32s
    language: Int32s
    train: Int64s
    dev: Int64s
    weight: Int64s
    train_tokens: Int64s
    dev_tokens: Int64s


class _Pairs(NamedTuple):
    """All pairs, one entry per language they occur in.

    Attributes:
        keys, slots: hash table from `pair_key` to the entry's number.
        key, weight, head: (entries,) the key, the sum of its places' weights, the first of its places.
        place, place_next: (places,) left position of an occurrence, and the next place of the same entry.
        used: (2,) number of entries and of places in use.
    """

    keys: Int64s
    slots: Int32s
    key: Int64s
    weight: Int64s
    head: Int32s
    place: Int32s
    place_next: Int32s
    used: Int64s


@kernel
def pair_key(language: int, left: int, right: int) -> int:
    """Language and two ids in one number; within a language it orders pairs by (left, right)."""
    return int(np.int64(language) << (2 * ID_BITS) | np.int64(left) << ID_BITS | np.int64(right))


@kernel
def _link(offsets: Int64s, text: _Text) -> None:
    for k in range(offsets.size - 1):
        language = text.language[k]
        text.train_tokens[language] += text.train[k] * (offsets[k + 1] - offsets[k])
        text.dev_tokens[language] += text.dev[k] * (offsets[k + 1] - offsets[k])
        for i in range(offsets[k], offsets[k + 1]):
            text.piece[i] = k
            text.before[i] = i - 1 if i > offsets[k] else NONE
            text.after[i] = i + 1 if i + 1 < offsets[k + 1] else NONE


@kernel
def _add_place(text: _Text, pairs: _Pairs, left: int) -> None:
    """Weigh the pair that begins at position `left`, and note the place."""
    piece = text.piece[left]
    key = pair_key(text.language[piece], text.tokens[left], text.tokens[text.after[left]])
    slot = find_slot(pairs.keys, key)
    if pairs.keys[slot] != key:
        entry = pairs.used[0]
        pairs.keys[slot], pairs.slots[slot] = key, entry
        pairs.key[entry], pairs.weight[entry], pairs.head[entry] = key, 0, NONE
        pairs.used[0] += 1
    entry, place = pairs.slots[slot], pairs.used[1]
    pairs.weight[entry] += text.weight[piece]
    pairs.place[place], pairs.place_next[place] = left, pairs.head[entry]
    pairs.head[entry] = place
    pairs.used[1] += 1


@kernel
def _add_all_places(text: _Text, pairs: _Pairs, start: int) -> int:
    """Index positions from `start` downwards until the tables are full; returns the position to go on from."""
    for i in range(start, -1, -1):
        if 2 * pairs.used[0] >= pairs.keys.size or pairs.used[0] == pairs.key.size:
            return i
        if text.after[i] != NONE:
            _add_place(text, pairs, i)
    return NONE


@kernel
def _places(text: _Text, pairs: _Pairs, left: int, right: int) -> Int32s:
    """Ascending positions, in all languages, where the pair stands now."""
    found = np.empty(16, np.int32)
    size = 0
    for language in range(text.train_tokens.size):
        entry = find(pairs.keys, pairs.slots, pair_key(language, left, right))
        place = pairs.head[entry] if entry >= 0 else NONE
        while place != NONE:
            i = pairs.place[place]
            place = pairs.place_next[place]
            if text.tokens[i] == left and text.after[i] != NONE and text.tokens[text.after[i]] == right:
                if size == found.size:
                    bigger = np.empty(2 * size, np.int32)
                    bigger[:size] = found
                    found = bigger
                found[size] = i
                size += 1
    found[:size].sort()
    return found[:size]


@kernel
def _lose(text: _Text, pairs: _Pairs, left: int) -> None:
    """The pair that begins at position `left` is about to vanish."""
    piece = text.piece[left]
    key = pair_key(text.language[piece], text.tokens[left], text.tokens[text.after[left]])
    pairs.weight[find(pairs.keys, pairs.slots, key)] -= text.weight[piece]


@kernel
def _merge(text: _Text, pairs: _Pairs, places: Int32s, left: int, right: int, new: int) -> None:
    """Replace the pair by one token, from left to right; `a a a` becomes `aa a`."""
    for i in places:
        j = text.after[i]
        if text.tokens[i] != left or j == NONE or text.tokens[j] != right:
            continue  # an overlapping occurrence was merged just before
        before, after, piece = text.before[i], text.after[j], text.piece[i]
        _lose(text, pairs, i)
        if before != NONE:
            _lose(text, pairs, before)
        if after != NONE:
            _lose(text, pairs, j)
            text.before[after] = i
        text.tokens[i], text.tokens[j], text.after[i] = new, NONE, after
        text.train_tokens[text.language[piece]] -= text.train[piece]
        text.dev_tokens[text.language[piece]] -= text.dev[piece]
        if before != NONE:
            _add_place(text, pairs, before)
        if after != NONE:
            _add_place(text, pairs, i)


def weight_of(pieces: CountedPieces, weights: Int64s) -> Int64s:
    """(pieces,) occurrences of each piece, weighed."""
    of_piece = weights[pieces.language]
    total: Int64s = of_piece[:, 0] * pieces.train_count + of_piece[:, 1] * pieces.dev_count
    return total


class PairIndex:
    """Current pairs of all languages, and the merge that changes them.

    Args:
        pieces: the encoded text; its `ids` are copied.
        weights: (languages, 2) what one occurrence weighs in the corpus and in the development sentences, by number of
            the language.
        learning: numbers of the languages that merges are chosen for; the others are only weighed.
        min_weight: lighter pairs of a language are never its best.

    Raises:
        DataError: more tokens than 32-bit places can number.
    """

    def __init__(self, pieces: CountedPieces, weights: Int64s, learning: Sequence[int], min_weight: int) -> None:
        size = pieces.ids.size
        if size > MAX_TOKENS:
            raise DataError(
                f"The vocabulary learner got {size:,} tokens of text and takes at most {MAX_TOKENS:,}. "
                "Lower vocab.megabytes_per_language"
            )
        after, before, piece = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
        counts = pieces.language, pieces.train_count, pieces.dev_count, weight_of(pieces, weights)
        totals = np.zeros(len(weights), np.int64), np.zeros(len(weights), np.int64)
        self._text = _Text(pieces.ids.copy(), after, before, piece, *counts, *totals)
        self._weights = weights
        _link(pieces.offsets, self._text)
        self._pairs = self._index(size)
        self._heaps = {language: PairHeap(language, min_weight) for language in learning}
        self._push_from(0, learning)

    def _index(self, size: int) -> _Pairs:
        keys, slots = new_table(1 << 12)
        entries = np.empty(1 << 12, np.int64), np.empty(1 << 12, np.int64), np.empty(1 << 12, np.int32)
        places = np.empty(3 * size, np.int32), np.empty(3 * size, np.int32)
        pairs = _Pairs(keys, slots, *entries, *places, np.zeros(2, np.int64))
        position = _add_all_places(self._text, pairs, size - 1)
        while position != NONE:
            pairs = _with_room(pairs, int(pairs.used[0]))
            position = _add_all_places(self._text, pairs, position)
        return pairs

    def _push_from(self, first_entry: int, languages: Iterable[int]) -> None:
        for language in languages:
            if language in self._heaps:
                heap = self._heaps[language]
                heap.push(self._pairs.key, self._pairs.weight, first_entry, int(self._pairs.used[0]))

    @property
    def train_tokens(self) -> Int64s:
        """(languages,) tokens of the corpus text under the merges so far."""
        return self._text.train_tokens

    @property
    def dev_tokens(self) -> Int64s:
        """(languages,) tokens of the development sentences under the merges so far."""
        return self._text.dev_tokens

    def weighted_tokens(self, language: int) -> int:
        """Tokens of a language's corpus and sentences under the merges so far, weighed as its pairs are."""
        in_corpus, in_sentences = self._weights[language]
        return int(in_corpus * self.train_tokens[language] + in_sentences * self.dev_tokens[language])

    def uses(self, language: int, num_ids: int) -> Int64s:
        """(num_ids,) weight of all places where each token stands in a language's texts now."""
        text = self._text
        found = (text.language[text.piece] == language) & (text.tokens != NONE)
        uses = np.zeros(num_ids, np.int64)
        np.add.at(uses, text.tokens[found], text.weight[text.piece[found]])
        return uses

    def best(self, language: int) -> tuple[int, int, int] | None:
        """The heaviest pair of a language as (left, right, weight), ties to the smaller ids; None: none is left."""
        entry = self._heaps[language].best(self._pairs.key, self._pairs.weight)
        if entry is None:
            return None
        key = int(self._pairs.key[entry])
        return key >> ID_BITS & _ID_MASK, key & _ID_MASK, int(self._pairs.weight[entry])

    def reject_best(self, language: int) -> None:
        """Never offer the current best pair of a language again."""
        self._heaps[language].pop(self._pairs.key)

    def weight(self, language: int, left: int, right: int) -> int:
        """Weight of a pair in one language."""
        entry = find(self._pairs.keys, self._pairs.slots, pair_key(language, left, right))
        return int(self._pairs.weight[entry]) if entry >= 0 else 0

    def merge(self, left: int, right: int, new: int) -> list[int]:
        """Replace a pair by a token that no text holds yet; returns the languages in whose text it stood."""
        places = _places(self._text, self._pairs, left, right)
        first_entry = int(self._pairs.used[0])
        self._pairs = _with_room(self._pairs, 2 * places.size)
        before = self.train_tokens + self.dev_tokens
        _merge(self._text, self._pairs, places, left, right, new)
        touched = [int(k) for k in np.flatnonzero(self.train_tokens + self.dev_tokens != before)]
        self._push_from(first_entry, touched)
        return touched


def _with_room(pairs: _Pairs, more: int) -> _Pairs:
    """The same pairs with room for more entries."""
    needed = int(pairs.used[0]) + more
    keys, slots = pairs.keys, pairs.slots
    while 2 * needed > keys.size:
        keys, slots = doubled(keys, slots)
    if needed <= pairs.key.size:
        return pairs._replace(keys=keys, slots=slots)
    extra = max(needed, 2 * pairs.key.size) - pairs.key.size
    return pairs._replace(
        keys=keys,
        slots=slots,
        key=np.concatenate([pairs.key, np.empty(extra, np.int64)]),
        weight=np.concatenate([pairs.weight, np.empty(extra, np.int64)]),
        head=np.concatenate([pairs.head, np.empty(extra, np.int32)]),
    )
