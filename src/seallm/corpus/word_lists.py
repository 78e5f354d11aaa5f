"""Lists of words in, how often a text uses each list out: stop words, and words that tell languages apart.

All lists share one open-addressing table from a unit's hash to the lists it stands in, so counting costs one look-up a
unit, however many languages there are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seallm.base.kernels import kernel
from seallm.corpus.characters import lower_case
from seallm.corpus.hashing import word_key


class WordLists(NamedTuple):
    """The table: hash -> word number -> numbers of its lists."""

    keys: npt.NDArray[np.uint64]  # (slots,) slots is a power of two
    words: npt.NDArray[np.int64]  # (slots,) word number, -1 where the slot is empty
    starts: npt.NDArray[np.int64]  # (words + 1,) into `lists`
    lists: npt.NDArray[np.int64]
    last_rows: npt.NDArray[np.int64]  # (words,) text in which a word was last seen
    list_count: int


def make_word_lists(lists: Sequence[Sequence[str]]) -> WordLists:
    """Build the table from lists of single lower-case words."""
    members: dict[str, list[int]] = {}
    for number, words in enumerate(lists):
        for word in words:
            members.setdefault(word, []).append(number)
    slots = 1 << max(6, (4 * len(members)).bit_length())
    keys, numbers = np.zeros(slots, np.uint64), np.full(slots, -1, np.int64)
    for number, word in enumerate(members):
        key = word_key([lower_case(ord(c)) for c in word])
        slot = key & (slots - 1)
        while numbers[slot] >= 0:
            slot = (slot + 1) & (slots - 1)
        keys[slot], numbers[slot] = key, number
    starts = np.cumsum([0, *(len(m) for m in members.values())]).astype(np.int64)
    flat = np.array([n for m in members.values() for n in m], np.int64)
    return WordLists(keys, numbers, starts, flat, np.full(len(members), -1, np.int64), len(lists))


@kernel
def count_listed(
    table: WordLists,
    unit_hashes: npt.NDArray[np.uint64],
    row: int,
    listed: npt.NDArray[np.int32],
    distinct: npt.NDArray[np.int32],
) -> None:
    """Add the units of text `row` to its counts: `listed` (lists,) of units, `distinct` (lists,) of different words."""
    mask = np.uint64(table.keys.shape[0] - 1)
    for unit_hash in unit_hashes:
        slot = unit_hash & mask
        while table.words[slot] >= 0 and table.keys[slot] != unit_hash:
            slot = (slot + np.uint64(1)) & mask
        word = table.words[slot]
        if word >= 0:
            is_new = table.last_rows[word] != row
            table.last_rows[word] = row
            for position in range(table.starts[word], table.starts[word + 1]):
                listed[table.lists[position]] += 1
                distinct[table.lists[position]] += is_new
