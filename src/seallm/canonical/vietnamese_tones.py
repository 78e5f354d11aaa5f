"""Vietnamese with its tone marks on either vowel in, on one of the two out.

In open syllables with a glide (oa, oe, uy) the mark stands on the first vowel in the old placement (hòa, khỏe, thúy)
and on the second in the new one (hoà, khoẻ, thuý). Both are in use, so a corpus that mixes them holds every such word
twice. After q, u belongs to the consonant and the mark never stands on it (quý).
"""

import re
from typing import Literal

TonePlacement = Literal["keep", "new", "old"]

_PLAIN = "aeoyuAEOYU"
_TONES = ("àèòỳùÀÈÒỲÙ", "áéóýúÁÉÓÝÚ", "ảẻỏỷủẢẺỎỶỦ", "ãẽõỹũÃẼÕỸŨ", "ạẹọỵụẠẸỌỴỤ")
_TONE_OF = {letter: tone for tone, letters in enumerate(_TONES) for letter in letters}
_PLAIN_OF = {letter: plain for letters in _TONES for letter, plain in zip(letters, _PLAIN, strict=True)}

_FIRST_TONED = "òóỏõọÒÓỎÕỌ"
_SECOND_TONED = "àáảãạèéẻẽẹÀÁẢÃẠÈÉẺẼẸ"
_TO_NEW = re.compile(f"[{_FIRST_TONED}][aeAE](?![^\\W\\d_])|[ùúủũụÙÚỦŨỤ][yY](?![^\\W\\d_])")
_TO_OLD = re.compile(f"[oO][{_SECOND_TONED}](?![^\\W\\d_])|[uU][ỳýỷỹỵỲÝỶỸỴ](?![^\\W\\d_])")
_LONGEST_INITIAL = 3
_INITIAL = re.compile("(?:^|.*[\\W\\d_])(?:ng?h?|[ckgpt]h|gi|tr|[bcdđghklmnprstvx])?", re.IGNORECASE | re.DOTALL)

# letters that only Vietnamese has in number, and that moving a mark between a, e, o, u, y does not touch
_TELLING_SMALL = "ăâđêôơưắằẳẵặấầẩẫậếềểễệốồổỗộớờởỡợứừửữự"
_TELLING = re.compile(f"[{_TELLING_SMALL}{_TELLING_SMALL.upper()}]")
_MIN_TELLING_SHARE = 0.04  # of all characters; Vietnamese prose has 0.13
_MIN_TELLING = 3


def place_tones(text: str, placement: TonePlacement) -> tuple[str, int]:
    """Put the tone marks of a Vietnamese text on one of the two vowels; other texts come back as they are.

    Args:
        text: any text in NFC.
        placement: `new` (hoà, thuý), `old` (hòa, thúy), or `keep`.

    Returns:
        The text, and how many syllables were changed.
    """
    if placement == "keep" or text.isascii() or not is_vietnamese(text):
        return text, 0
    placed = _TO_NEW.sub(_onto_second, text) if placement == "new" else _TO_OLD.sub(_onto_first, text)
    # a mark that moved changed two letters, and no length
    changed = sum(before != after for before, after in zip(text, placed, strict=True)) if placed != text else 0
    return placed, changed // 2


def is_vietnamese(text: str) -> bool:
    """Whether enough of a text in NFC are letters that only Vietnamese has in number."""
    telling = len(_TELLING.findall(text))
    return telling >= _MIN_TELLING and telling >= _MIN_TELLING_SHARE * len(text)


def _onto_second(match: re.Match[str]) -> str:
    first, second = tuple(match.group())
    if not _stands_behind_an_initial(match):
        return match.group()
    return _PLAIN_OF[first] + _TONES[_TONE_OF[first]][_PLAIN.index(second)]


def _onto_first(match: re.Match[str]) -> str:
    first, second = tuple(match.group())
    if not _stands_behind_an_initial(match):
        return match.group()
    return _TONES[_TONE_OF[second]][_PLAIN.index(first)] + _PLAIN_OF[second]


def _stands_behind_an_initial(match: re.Match[str]) -> bool:
    """Whether the vowels follow one of the Vietnamese initials, or none, and not the letters of some other word."""
    start = match.start()
    before = match.string[max(0, start - _LONGEST_INITIAL - 1) : start]
    return _INITIAL.fullmatch(before) is not None
