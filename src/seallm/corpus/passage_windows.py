"""Texts in, hashes of their windows out: how decontamination compares texts, whatever their script and spelling.

Texts are compared as a row of *signs*: letters and digits in lower case, compatibility forms and marks undone, all else
left out. White space, punctuation, case, full-width forms, the order of marks and the two spellings of Thai sara am
therefore make no difference, and no language needs a word segmenter. A sign weighs as much as the English letters that
say the same, in halves of a letter: in the 1,000 parallel sentences of NTREX-128, a sign of Thai and Lao stands for 1.1
English letters, of Khmer for 1.2, of Burmese for 1.5, of Chinese for 2.6, of languages in Latin script for 0.8 to 1.

    น้ำใจ -> น า ใ จ, weight 8        "Hello, World 42" -> helloworld42, weight 24        你好 -> 你 好, weight 10

A *window* is the shortest run of signs up to a place that weighs WINDOW_WEIGHT.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seallm.base.kernels import kernel
from seallm.corpus.characters import HAN, MYANMAR, TABLE_SIZE, character_tables, decode
from seallm.corpus.hashing import MULTIPLIER, extend, mix

WINDOW_WEIGHT = 40  # 20 English letters: four words; eight Chinese characters
_LETTER_WEIGHT, _BURMESE_WEIGHT, _HAN_WEIGHT = 2, 3, 5
MIN_DIFFERENT_SIGNS = 6  # a window of fewer is laughter, a rule or one letter on and on

_HANGUL = range(0xAC00, 0xD7A4)  # taken apart, a syllable would lose its vowel
_LAST_CHINESE = 0x40000
_BITS_PER_WINDOW, _SLOTS_PER_WINDOW = 16, 2
_ZERO, _NINE = np.uint32(ord("0")), np.uint32(ord("9"))
_THREE, _SEVEN = np.uint64(3), np.uint64(7)


class Signs(NamedTuple):
    """Rows for code points below TABLE_SIZE."""

    codes: npt.NDArray[np.uint32]  # what the character is compared as; 0 where it is left out
    weights: npt.NDArray[np.uint8]


class Windows(NamedTuple):
    """The signs of one text and the window that ends at each, with room for its longest."""

    codes: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]  # first byte of the sign
    ends: npt.NDArray[np.int64]  # byte behind it
    totals: npt.NDArray[np.int64]  # weight of all signs up to it
    firsts: npt.NDArray[np.int64]  # number of the window's first sign; -1 where the text so far weighs too little
    hashes: npt.NDArray[np.uint64]


class WindowTable(NamedTuple):
    """The hash of a window -> its number -> its places in passages."""

    hashes: npt.NDArray[np.uint64]  # (windows,) ascending
    slots: npt.NDArray[np.int32]  # open addressing: number of a window, or -1
    bits: npt.NDArray[np.uint8]  # a bit for each hash: nearly all look-ups end here, in the processor's cache
    offsets: npt.NDArray[np.int64]  # (windows + 1,) into the places
    passages: npt.NDArray[np.int32]  # (places,)
    starts: npt.NDArray[np.int32]  # (places,) weight of the passage before the window
    ends: npt.NDArray[np.int32]  # (places,) and up to its end


def sign_of(code: int) -> int:
    """What a character is compared as: the first letter or digit of its compatibility form, in lower case; else 0."""
    if code >= TABLE_SIZE:
        return code if code < _LAST_CHINESE else 0
    character = chr(code)
    if unicodedata.category(character)[0] not in "LN":
        return 0
    if code in _HANGUL:
        return code
    for part in unicodedata.normalize("NFKD", character.lower()):
        if unicodedata.category(part)[0] in "LN":
            digit = unicodedata.digit(part, None)
            return ord(part.lower()[0]) if digit is None else ord("0") + digit
    return 0


@functools.cache
def sign_tables() -> Signs:
    """The tables, built once a process (about 0.2 s)."""
    codes = np.fromiter(map(sign_of, range(TABLE_SIZE)), np.uint32, TABLE_SIZE)
    scripts = character_tables().scripts
    weights = np.select([scripts == HAN, scripts == MYANMAR], [_HAN_WEIGHT, _BURMESE_WEIGHT], _LETTER_WEIGHT)
    weights = np.where(codes > 0, weights, 0).astype(np.uint8)
    codes.flags.writeable = weights.flags.writeable = False
    return Signs(codes, weights)


@functools.cache
def sign_powers() -> npt.NDArray[np.uint64]:
    """MULTIPLIER to the power of 0, 1, ... mod 2^64, for every length of a window."""
    powers = np.array([pow(int(MULTIPLIER), exponent, 2**64) for exponent in range(WINDOW_WEIGHT + 1)], np.uint64)
    powers.flags.writeable = False
    return powers


def make_windows(most_signs: int) -> Windows:
    """Room for the windows of a text of `most_signs` signs."""
    codes, hashes = np.zeros(most_signs, np.uint32), np.zeros(most_signs, np.uint64)
    starts, ends, totals, firsts = np.zeros((4, most_signs), np.int64)
    return Windows(codes, starts, ends, totals, firsts, hashes)


@kernel
def look_up_sign(signs: Signs, code: int) -> tuple[np.uint32, int]:
    """The sign of a code point, 0 where it is left out, and its weight."""
    if code < TABLE_SIZE:
        return signs.codes[code], int(signs.weights[code])
    return np.uint32(code if code < _LAST_CHINESE else 0), _HAN_WEIGHT


@kernel
def cut_windows(
    data: npt.NDArray[np.uint8],
    place: tuple[int, int],
    signs: Signs,
    powers: npt.NDArray[np.uint64],
    windows: Windows,
) -> int:
    """Write the signs of the text at bytes `place` and the window that ends at each; return how many there are."""
    count, first, total, before, value = 0, 0, 0, 0, np.uint64(0)
    position, end = place
    while position < end:
        code, width = decode(data, position)
        position += width
        sign, weight = look_up_sign(signs, code)
        if sign == 0:
            continue
        windows.codes[count] = sign
        windows.starts[count] = position - width
        windows.ends[count] = position
        total += weight
        windows.totals[count] = total
        value = extend(value, np.uint64(sign))
        # `before`: weight up to the window's first sign; drop signs while the others are heavy enough
        while total - windows.totals[first] >= WINDOW_WEIGHT:
            value -= (np.uint64(windows.codes[first]) + np.uint64(1)) * powers[count - first]
            before = windows.totals[first]
            first += 1
        windows.firsts[count] = first if total - before >= WINDOW_WEIGHT else -1
        windows.hashes[count] = mix(value)
        count += 1
    return count


@kernel
def is_telling(codes: npt.NDArray[np.uint32]) -> bool:
    """False for a window of few different signs, or with more digits than letters."""
    digits, different = 0, 0
    for i in range(codes.shape[0]):
        digits += _ZERO <= codes[i] <= _NINE
        is_new = True
        for j in range(i):
            is_new = is_new and codes[j] != codes[i]
        different += is_new
    return different >= MIN_DIFFERENT_SIGNS and 2 * digits <= codes.shape[0]


def make_table(
    hashes: npt.NDArray[np.uint64],
    passages: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int32],
) -> WindowTable:
    """Build the table from one row for each place of a window."""
    order = np.lexsort((starts, passages, hashes))
    hashes, passages, starts, ends = hashes[order], passages[order], starts[order], ends[order]
    unique, firsts = np.unique(hashes, return_index=True)
    slots = np.full(1 << max(6, (_SLOTS_PER_WINDOW * len(unique)).bit_length()), -1, np.int32)
    bits = np.zeros(1 << max(6, (_BITS_PER_WINDOW // 8 * len(unique)).bit_length()), np.uint8)
    _fill(unique, slots, bits)
    offsets = np.append(firsts, len(hashes)).astype(np.int64)
    return WindowTable(unique, slots, bits, offsets, passages, starts, ends)


@kernel
def _fill(hashes: npt.NDArray[np.uint64], slots: npt.NDArray[np.int32], bits: npt.NDArray[np.uint8]) -> None:
    mask, byte_mask = np.uint64(slots.shape[0] - 1), np.uint64(bits.shape[0] - 1)
    for number in range(hashes.shape[0]):
        slot = hashes[number] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = number
        bits[(hashes[number] >> _THREE) & byte_mask] |= np.uint8(1) << np.uint8(hashes[number] & _SEVEN)


@kernel
def find_window(table: WindowTable, window_hash: np.uint64) -> int:
    """The number of the window with this hash, or -1."""
    byte = table.bits[(window_hash >> _THREE) & np.uint64(table.bits.shape[0] - 1)]
    if (byte >> np.uint8(window_hash & _SEVEN)) & 1 == 0:
        return -1
    mask = np.uint64(table.slots.shape[0] - 1)
    slot = window_hash & mask
    while table.slots[slot] >= 0:
        if table.hashes[table.slots[slot]] == window_hash:
            return int(table.slots[slot])
        slot = (slot + np.uint64(1)) & mask
    return -1
