"""A hash table from 64-bit keys to 32-bit values in two arrays, for use inside numba kernels.

Open addressing with linear probing. Plain arrays instead of numba's typed dictionary: they compile faster, need
12 bytes a slot, and can be handed from kernel to kernel.
"""

import numpy as np
from numpy.typing import NDArray

from seallm.base.kernels import kernel

Keys = NDArray[np.int64]
Values = NDArray[np.int32]

EMPTY = -1
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads neighbouring keys over the table
_SHIFT = np.uint64(29)


def new_table(entries: int) -> tuple[Keys, Values]:
    """An empty table with room for `entries` keys at a load of at most one half."""
    slots = 1 << max(4, (2 * entries - 1).bit_length())
    return np.full(slots, EMPTY, np.int64), np.zeros(slots, np.int32)


@kernel
def find_slot(keys: Keys, key: int) -> int:
    """The slot that holds the key, or the free one where it belongs."""
    mixed = np.uint64(key) * _MIX
    mask = keys.size - 1
    slot = int(np.int64((mixed ^ (mixed >> _SHIFT)) & np.uint64(mask)))
    while keys[slot] != EMPTY and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@kernel
def find(keys: Keys, values: Values, key: int) -> int:
    """The value of a key; -1 where it is missing."""
    slot = find_slot(keys, key)
    return values[slot] if keys[slot] == key else -1


@kernel
def doubled(keys: Keys, values: Values) -> tuple[Keys, Values]:
    """The same entries in a table of twice the size."""
    bigger_keys = np.full(2 * keys.size, EMPTY, np.int64)
    bigger_values = np.zeros(2 * keys.size, np.int32)
    for slot in range(keys.size):
        if keys[slot] != EMPTY:
            new_slot = find_slot(bigger_keys, keys[slot])
            bigger_keys[new_slot] = keys[slot]
            bigger_values[new_slot] = values[slot]
    return bigger_keys, bigger_values
