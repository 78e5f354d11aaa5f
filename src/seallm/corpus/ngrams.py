"""The units of one text in, its repetition and its MinHash signature out.

Any n-gram's hash follows from two prefix hashes in constant time, so n-grams of every length cost the same. Counting
uses one hash set, emptied between texts by raising an epoch instead of clearing memory.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seallm.base.kernels import kernel
from seallm.corpus.hashing import MULTIPLIER, extend, mix, word_key

NO_SHINGLE = np.uint32(0xFFFFFFFF)
_HALF = np.uint64(32)


class HashSet(NamedTuple):
    """An open-addressing set with counts; a slot of another epoch is empty."""

    keys: npt.NDArray[np.uint64]
    epochs: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    state: npt.NDArray[np.int64]  # (epoch, slots in use)


class Units(NamedTuple):
    """Units of a text, with room for its longest; prefix arrays hold one entry more."""

    hashes: npt.NDArray[np.uint64]
    letters: npt.NDArray[np.int64]
    prefix_hashes: npt.NDArray[np.uint64]
    prefix_letters: npt.NDArray[np.int64]


class MinHash(NamedTuple):
    """Hash functions h -> a h + b mod 2^32 (a odd), and how many words a shingle has."""

    multipliers: npt.NDArray[np.uint32]  # (permutations,)
    increments: npt.NDArray[np.uint32]  # (permutations,)
    shingle_words: int


def make_minhash(permutations: int, shingle_words: int) -> MinHash:
    """Fixed hash functions, the same in every process."""
    values = np.array([word_key([number]) & 0xFFFFFFFF for number in range(2 * permutations)], np.uint32)
    return MinHash(values[:permutations] | np.uint32(1), values[permutations:], shingle_words)


def make_hash_set(most_keys: int) -> HashSet:
    """A set with room for `most_keys` keys at half load."""
    slots = 1 << max(6, (2 * most_keys).bit_length())
    return HashSet(
        np.zeros(slots, np.uint64), np.zeros(slots, np.int64), np.zeros(slots, np.int64), np.zeros(2, np.int64)
    )


def make_units(most_units: int) -> Units:
    """Room for `most_units` units."""
    return Units(
        np.zeros(most_units, np.uint64),
        np.zeros(most_units, np.int64),
        np.zeros(most_units + 1, np.uint64),
        np.zeros(most_units + 1, np.int64),
    )


@kernel
def empty_set(table: HashSet, most_keys: int) -> None:
    """Forget all keys, and use only as many slots as `most_keys` need: a small set stays in the processor's cache."""
    slots = 64
    while slots < 2 * most_keys:
        slots *= 2
    table.state[0] += 1
    table.state[1] = slots


@kernel
def insert(table: HashSet, key: np.uint64) -> int:
    """Put a key in; return how often it is in there now."""
    epoch, mask = table.state[0], np.uint64(table.state[1] - 1)
    slot = key & mask
    while table.epochs[slot] == epoch and table.keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    if table.epochs[slot] != epoch:
        table.epochs[slot] = epoch
        table.keys[slot] = key
        table.counts[slot] = 0
    table.counts[slot] += 1
    return int(table.counts[slot])


@kernel
def sum_prefixes(units: Units, count: int) -> None:
    """Fill the prefix arrays of the first `count` units."""
    for i in range(count):
        units.prefix_hashes[i + 1] = extend(units.prefix_hashes[i], units.hashes[i])
        units.prefix_letters[i + 1] = units.prefix_letters[i] + units.letters[i]


@kernel
def _power(length: int) -> np.uint64:
    """MULTIPLIER ** length mod 2^64."""
    power = np.uint64(1)
    for _ in range(length):
        power *= MULTIPLIER
    return power


@kernel
def _ngram_hash(units: Units, start: int, length: int, power: np.uint64) -> np.uint64:
    return mix(units.prefix_hashes[start + length] - units.prefix_hashes[start] * power)


@kernel
def top_ngram_letters(units: Units, count: int, length: int, seen: HashSet) -> int:
    """Letters in all occurrences of the n-gram that covers most; 0 where none occurs twice (Gopher, table A1)."""
    power, best = _power(length), 0
    empty_set(seen, count)
    for i in range(count - length + 1):
        times = insert(seen, _ngram_hash(units, i, length, power))
        if times > 1:
            best = max(best, times * int(units.prefix_letters[i + length] - units.prefix_letters[i]))
    return best


@kernel
def repeated_ngram_letters(units: Units, count: int, length: int, seen: HashSet) -> int:
    """Letters in n-grams that occurred before; those found do not overlap (Gopher, table A1)."""
    power, letters, i = _power(length), 0, 0
    empty_set(seen, count)
    while i <= count - length:
        if insert(seen, _ngram_hash(units, i, length, power)) > 1:
            letters += int(units.prefix_letters[i + length] - units.prefix_letters[i])
            i += length
        else:
            i += 1
    return letters


@kernel
def sign(units: Units, count: int, length: int, minhash: MinHash, signature: npt.NDArray[np.uint32]) -> None:
    """MinHash (Broder 1997) of all n-grams of `length` units; a shorter text is one shingle, an empty one has none."""
    signature[:] = NO_SHINGLE
    length = min(length, count)
    if length == 0:
        return
    power = _power(length)
    for i in range(count - length + 1):
        shingle = np.uint32(_ngram_hash(units, i, length, power) >> _HALF)
        for j in range(signature.shape[0]):
            # numba widens uint32 products to uint64: cut back to 32 bits, as the definition says
            signature[j] = min(signature[j], np.uint32(shingle * minhash.multipliers[j] + minhash.increments[j]))
