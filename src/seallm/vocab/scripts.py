"""Characters in, what tokenization must know of them out: script, kind, and whether a cluster may end before them.

Python's `unicodedata` knows no scripts, so the blocks of the scripts that language files name are listed here; every
other letter is "other". A cluster is what a reader takes for one letter: a base character with its marks, in Khmer and
Burmese also with the consonants stacked below it.
"""

import functools
import unicodedata
from collections.abc import Iterable

from seallm.languages import Script

BLOCKS: dict[Script, tuple[tuple[int, int], ...]] = {
    "latin": ((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0x24F), (0x300, 0x36F), (0x1E00, 0x1EFF)),
    "thai": ((0xE01, 0xE3A), (0xE40, 0xE5B)),
    "lao": ((0xE81, 0xEDF),),
    "khmer": ((0x1780, 0x17FF), (0x19E0, 0x19FF)),
    "myanmar": ((0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    "han": (
        (0x2E80, 0x2FDF),
        (0x3005, 0x3007),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x323AF),
    ),
}
# signs of several bytes that texts of several scripts share: dashes, quotation marks, "。", "，", zero-width space
SHARED_SIGNS = (
    (0x2000, 0x206F),
    (0x3000, 0x3004),
    (0x3008, 0x3020),
    (0x3030, 0x303F),
    (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF65),
)
SPACING_EXTENDERS = "\u0e33\u0eb3"  # Thai and Lao SARA AM: letters by category, but written onto the one before
STACKERS = "\u17d2\u1039\u200d"  # Khmer coeng, Burmese virama, joiner: the next consonant belongs to the same cluster


@functools.cache
def script_of(character: str) -> Script | None:
    """The script of a letter, mark or sign of that script's own blocks; None for what all scripts share."""
    code = ord(character)
    for script, blocks in BLOCKS.items():
        if any(first <= code <= last for first, last in blocks):
            return None if script == "latin" and character in "×÷" else script
    return "other" if unicodedata.category(character)[0] in "LM" else None


@functools.cache
def is_digit(character: str) -> bool:
    """True for digits and number signs of any script."""
    return unicodedata.category(character)[0] == "N"


@functools.cache
def is_mark(character: str) -> bool:
    r"""True where a regex's `\\p{M}` matches."""
    return unicodedata.category(character)[0] == "M"


@functools.cache
def extends_cluster(character: str) -> bool:
    """True where the character is written onto the one before it, so that no cluster ends between them."""
    return is_mark(character) or character in SPACING_EXTENDERS


def is_cluster_boundary(before: str, after: str) -> bool:
    """True where a reader could put a cursor between two neighbouring characters."""
    return not extends_cluster(after) and before not in STACKERS


@functools.cache
def assigned_characters(script: Script) -> tuple[str, ...]:
    """Every assigned character of a script's blocks, in code point order."""
    codes = (code for first, last in BLOCKS.get(script, ()) for code in range(first, last + 1))
    return tuple(c for c in map(chr, codes) if unicodedata.category(c) not in ("Cn", "Co", "Cs"))


def is_shared_sign(character: str) -> bool:
    """True for punctuation beyond ASCII, which belongs to no script but is part of many texts."""
    return any(first <= ord(character) <= last for first, last in SHARED_SIGNS)


def may_begin(lead: bytes, scripts: Iterable[Script]) -> bool:
    """True where the first bytes of an unfinished UTF-8 character can begin one of the scripts, or a shared sign."""
    low, high = _code_range(lead)
    blocks = [*SHARED_SIGNS, *(block for script in scripts for block in BLOCKS.get(script, ()))]
    return any(first <= high and low <= last for first, last in blocks)


def _code_range(lead: bytes) -> tuple[int, int]:
    """Least and greatest code point whose UTF-8 form begins with `lead`."""
    length = character_bytes(lead[0])
    code = lead[0] & (0x7F >> length) if length > 1 else lead[0]
    for byte in lead[1:]:
        code = code << 6 | byte & 0x3F
    missing = 6 * (length - len(lead))
    return code << missing, (code + 1 << missing) - 1


def character_bytes(first_byte: int) -> int:
    """Length in bytes of the UTF-8 character that begins with this byte."""
    return 1 if first_byte < 0x80 else 2 if first_byte < 0xE0 else 3 if first_byte < 0xF0 else 4
