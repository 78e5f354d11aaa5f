"""Marks in the order they were typed in, marks in the order of the standard out: Thai, Lao, Khmer, Burmese.

Two orders that look alike on the screen are two words to a tokenizer. Only orders that no spelling uses are changed,
and no character is lost but a doubled mark that cannot be seen. The orders are those of The Unicode Standard (core
specification, chapter 16: Thai, Lao, Myanmar, Khmer), of Unicode Technical Note 11 for Burmese, and, where a Khmer
register shifter stands next to a subscript, of the Khmer Encoding Structure (Hosken, Unicode document L2/22-290).
"""

import functools
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_THAI_TONES = "\u0e48-\u0e4b"
_THAI_VOWELS = "\u0e31\u0e34-\u0e39"
_LAO_TONES = "\u0ec8-\u0ecb"
_LAO_VOWELS = "\u0eb1\u0eb4-\u0eb9\u0ebb\u0ecd"
_LAO_SEMIVOWEL = "\u0ebc"

_KHMER_BASE = "\u1780-\u17b3"
_KHMER_VOWELS = "\u17b6-\u17c5"
_KHMER_SHIFTERS = "\u17c9\u17ca"
_KHMER_ABOVE = "\u17c6\u17d0"  # other signs end the part that is put in order
_KHMER_PIECE = re.compile(f"\u17d2[{_KHMER_BASE}]|.", re.DOTALL)
_KHMER_RUN = re.compile(
    f"(?<=[{_KHMER_BASE}])(?:\u17d2[{_KHMER_BASE}]|[{_KHMER_SHIFTERS}{_KHMER_VOWELS}{_KHMER_ABOVE}])+"
)
_KHMER_WRONG = re.compile(
    f"\u17d2\u179a\u17d2[{_KHMER_BASE}]|[{_KHMER_SHIFTERS}{_KHMER_VOWELS}{_KHMER_ABOVE}]\u17d2[{_KHMER_BASE}]"
    f"|[{_KHMER_VOWELS}{_KHMER_ABOVE}][{_KHMER_SHIFTERS}]|[{_KHMER_ABOVE}][{_KHMER_VOWELS}]"
)

# ranks of Burmese marks; E (U+1031), asat, virama and visarga end the part that is put in order
_BURMESE_RANKS = (
    "\u103b",
    "\u103c",
    "\u103d",
    "\u103e",
    "\u102d\u102e",
    "\u102f\u1030",
    "\u102b\u102c",
    "\u1032\u1036",
    "\u1037",
)
_BURMESE_RANK = {mark: rank for rank, marks in enumerate(_BURMESE_RANKS) for mark in marks}
_BURMESE_RUN = re.compile(f"[{''.join(_BURMESE_RANKS)}]{{2,}}")


_DOUBLED = re.compile(
    f"([{_THAI_VOWELS}\u0e3a\u0e47-\u0e4e{_LAO_VOWELS}{_LAO_SEMIVOWEL}\u0eba\u0ec8-\u0ecc"
    "\u17b7-\u17bd\u17c6\u17c9-\u17d2\u102d-\u1030\u1032\u1036\u1037\u103a-\u103e])\\1+"
)


class _Rule(NamedTuple):
    """A rewriting that is tried only where a text has one of some characters (a scan for one is a memory search)."""

    needs: str
    wrong: re.Pattern[str]
    right: str


def _rule(needs: str, wrong: str, right: str) -> _Rule:
    return _Rule(needs, re.compile(wrong), right)


_THAI = (
    _rule("\u0e40", "\u0e40\u0e40(?<!\u0e40{3})(?!\u0e40)", "\u0e41"),  # SARA E twice for SARA AE
    _rule("\u0e4d", f"([{_THAI_TONES}]?)\u0e4d([{_THAI_TONES}]?)\u0e32", "\\1\\2\u0e33"),
    _rule("\u0e33", f"\u0e33([{_THAI_TONES}]+)", "\\1\u0e33"),
)
_THAI_WRONG = re.compile(f"[{_THAI_TONES}]+[{_THAI_VOWELS}][{_THAI_VOWELS}{_THAI_TONES}]*")
_LAO = (
    _rule("\u0ec0", "\u0ec0\u0ec0(?<!\u0ec0{3})(?!\u0ec0)", "\u0ec1"),
    _rule("\u0ecd", f"([{_LAO_TONES}]?)\u0ecd([{_LAO_TONES}]?)\u0eb2", "\\1\\2\u0eb3"),
    _rule("\u0eb3", f"\u0eb3([{_LAO_TONES}]+)", "\\1\u0eb3"),
)
_LAO_WRONG = re.compile(
    f"(?:[{_LAO_TONES}]+[{_LAO_VOWELS}{_LAO_SEMIVOWEL}]|[{_LAO_VOWELS}]{{1,30}}{_LAO_SEMIVOWEL})"
    f"[{_LAO_VOWELS}{_LAO_SEMIVOWEL}{_LAO_TONES}]*"
)
_KHMER = (
    _rule("\u17c1", "\u17c1\u17b6", "\u17c4"),  # halves of a vowel that is one character
    _rule("\u17c1", "\u17c1\u17b8", "\u17be"),
    # a register shifter is drawn like U below a consonant that carries a vowel above, and is typed so
    _rule("\u17bb", "\u17bb(?<=[\u179f\u17a0\u17a2]\u17bb)(?=[\u17b7-\u17ba\u17be])", "\u17ca"),
    _rule("\u17bb", "\u17bb(?<=[\u1784\u1789\u1798\u1799\u179a\u179c]\u17bb)(?=[\u17b7-\u17ba\u17be])", "\u17c9"),
)
# a look behind comes after the first letter, which Python can then find quickly
_BURMESE = (
    _rule("\u1025", "\u1025(?=\u1037?\u103a)", "\u1009"),
    # digits that are drawn like a letter: wa, ra, and the first sign of "aforementioned"
    _rule("\u1040", "\u1040(?<![\u1040-\u1049]\u1040)(?=[\u102b-\u1032\u1036\u103a-\u103e])", "\u101d"),
    _rule("\u1047", "\u1047(?<![\u1040-\u1049]\u1047)(?=[\u102b-\u1032\u1036\u103a-\u103e])", "\u101b"),
    _rule("\u1044", "\u1044(?<![\u1040-\u1049]\u1044)(?=\u1004\u103a\u1038)", "\u104e"),
    _rule("\u1031", "\u1031(?<=[\u1000-\u1021\u103f\u103b-\u103e]\u1031)([\u103b-\u103e]+)", "\\1\u1031"),
)


def order_thai_and_lao(text: str) -> tuple[str, int]:
    """Tone marks after vowels above and below, SARA AM in one piece and after the tone, no mark twice.

    Args:
        text: any text in NFC.

    Returns:
        The text, and how many places were changed.
    """
    text, changed = _without_doubled(text)
    if _has(text, "\u0e48\u0e49\u0e4a\u0e4b\u0e4d\u0e31\u0e34\u0e35\u0e40"):
        text, rules = _apply(_THAI, text)
        text, count = _THAI_WRONG.subn(_tones_last, text)
        changed += rules + count
    if _has(text, "\u0ec8\u0ec9\u0eca\u0ecb\u0ecd\u0ebc\u0eb1\u0eb4\u0ec0"):
        text, rules = _apply(_LAO, text)
        text, count = _LAO_WRONG.subn(_tones_last, text)
        changed += rules + count
    return text, changed


def order_khmer(text: str) -> tuple[str, int]:
    """Subscripts (RO last), register shifters, vowels, signs: the order of a Khmer syllable.

    Args:
        text: any text in NFC.

    Returns:
        The text, and how many places were changed.
    """
    if not _has(text, "\u17d2\u17b6\u17c1\u17bb\u17c6"):
        return text, 0
    text, doubled = _without_doubled(text)
    text, changed = _apply(_KHMER, text)
    changed += doubled
    wrong = len(_KHMER_WRONG.findall(text))
    ordered = _KHMER_RUN.sub(_khmer_sorted, text) if wrong else text
    return ordered, changed + (wrong if ordered != text else 0)


def order_burmese(text: str) -> tuple[str, int]:
    """Medials YA RA WA HA, vowel E, vowels above, below and beside, anusvara, dot below: Unicode Technical Note 11.

    Text in the Zawgyi encoding must not come here: there the same code points mean other things.

    Args:
        text: any text in NFC.

    Returns:
        The text, and how many places were changed.
    """
    text, doubled = _without_doubled(text)
    text, changed = _apply(_BURMESE, text)
    ranks = _burmese_ranks()[np.clip(_codes(text), 0x1000, 0x1040) - 0x1000]
    wrong = int(np.count_nonzero((ranks[:-1] > ranks[1:]) & (ranks[1:] > 0)))
    return (_BURMESE_RUN.sub(_burmese_sorted, text) if wrong else text), changed + doubled + wrong


def _has(text: str, characters: str) -> bool:
    return any(character in text for character in characters)


def _codes(text: str) -> npt.NDArray[np.int64]:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)


@functools.cache
def _burmese_ranks() -> npt.NDArray[np.int64]:
    """Ranks from 1 of the marks from U+1000 to U+1040; 0 for what is not put in order."""
    ranks = np.zeros(0x41, np.int64)
    for mark, rank in _BURMESE_RANK.items():
        ranks[ord(mark) - 0x1000] = rank + 1
    return ranks


def _without_doubled(text: str) -> tuple[str, int]:
    codes = _codes(text)
    twice = codes[1:][codes[1:] == codes[:-1]]
    if not np.any((twice >= 0x0E31) & (twice <= 0x17D2)):
        return text, 0
    return _DOUBLED.subn(r"\1", text)


def _apply(rules: tuple[_Rule, ...], text: str) -> tuple[str, int]:
    changed = 0
    for needs, wrong, right in rules:
        if _has(text, needs):
            text, count = wrong.subn(right, text)
            changed += count
    return text, changed


def _tones_last(match: re.Match[str]) -> str:
    return "".join(sorted(match.group(), key=_tone_rank))


def _tone_rank(mark: str) -> int:
    return 0 if mark == _LAO_SEMIVOWEL else 2 if "\u0e48" <= mark <= "\u0e4b" or "\u0ec8" <= mark <= "\u0ecb" else 1


def _khmer_sorted(match: re.Match[str]) -> str:
    return "".join(sorted(_KHMER_PIECE.findall(match.group()), key=_khmer_rank))


def _khmer_rank(piece: str) -> int:
    if len(piece) == 2:
        return 1 if piece[1] == "\u179a" else 0
    return 2 if piece in _KHMER_SHIFTERS else 4 if piece in _KHMER_ABOVE else 3


def _burmese_sorted(match: re.Match[str]) -> str:
    return "".join(sorted(match.group(), key=_BURMESE_RANK.__getitem__))
