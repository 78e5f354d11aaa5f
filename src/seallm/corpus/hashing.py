"""64-bit hashes that kernels and Python share: of a word, of a string, and the finisher that spreads their bits.

Not cryptographic: they tell words, lines, n-grams and texts apart (a wrong hit among 100 million texts has a chance of
3 in 10,000) and put documents in an order that has nothing to do with their content.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.kernels import kernel, string_buffers

# numba turns uint64 with int64 into float64, so every constant of a kernel's hash arithmetic is a uint64
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_FNV_START, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
MASK = 2**64 - 1


@kernel
def mix(value: np.uint64) -> np.uint64:
    """Finisher of MurmurHash3 (public domain): every bit of the input moves every bit of the output."""
    value ^= value >> _SHIFT
    value *= _FIRST
    value ^= value >> _SHIFT
    value *= _SECOND
    return value ^ (value >> _SHIFT)


@kernel
def extend(value: np.uint64, item: np.uint64) -> np.uint64:
    """The hash of a sequence with one more item."""
    return value * MULTIPLIER + item + np.uint64(1)


@kernel
def hash_bytes(data: npt.NDArray[np.uint8], start: int, end: int) -> np.uint64:
    """FNV-1a of `data[start:end]`, finished by `mix`."""
    value = _FNV_START
    for position in range(start, end):
        value = (value ^ np.uint64(data[position])) * _FNV_PRIME
    return mix(value)


@kernel
def _hash_all(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], hashes: npt.NDArray[np.uint64]) -> None:
    for row in range(hashes.shape[0]):
        hashes[row] = hash_bytes(data, offsets[row], offsets[row + 1])


def hash_strings(strings: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each string's bytes: (n,) uint64."""
    offsets, data = string_buffers(strings)
    hashes = np.empty(len(strings), np.uint64)
    _hash_all(offsets, data, hashes)
    return hashes


def word_key(codes: list[int]) -> int:
    """The hash that the statistics kernel gives a unit of these (lower case) code points."""
    value = 0
    for code in codes:
        value = (value * int(MULTIPLIER) + code + 1) & MASK
    for factor in (int(_FIRST), int(_SECOND)):
        value = ((value ^ (value >> 33)) * factor) & MASK
    return value ^ (value >> 33)
