"""A text in, the kinds of characters that occur in it out: one pass that spares most texts all searches by pattern.

A pattern of many ranges takes Python some 100 microseconds for 16 KB, and most texts have nothing that it could find.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LINE_END, SPACE, INVISIBLE, ZERO_WIDTH, LEAD, CONTINUATION, MARK, FULL_WIDTH, THAI_OR_LAO, KHMER, BURMESE = (
    1 << place for place in range(11)
)
_CHARACTERS = {
    LINE_END: "\r\v\f\x85\u2028\u2029",
    SPACE: "\xa0\u1680\u202f\u205f" + "".join(map(chr, range(0x2000, 0x200B))),
    INVISIBLE: "\x7f\xad\u061c\u180e\u200e\u200f\ufeff\ufff9\ufffa\ufffb\ufffe\uffff",
    ZERO_WIDTH: "\u200b\u200c\u200d",
    CONTINUATION: "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\ufffd",
}
_RANGES = {
    INVISIBLE: ((0x00, 0x08), (0x0E, 0x1F), (0x80, 0x84), (0x86, 0x9F), (0x202A, 0x202E), (0x2060, 0x206F)),
    LEAD: ((0xC2, 0xF4),),
    CONTINUATION: ((0x80, 0xBF),),
    FULL_WIDTH: ((0xFF01, 0xFF5E),),
    THAI_OR_LAO: ((0x0E00, 0x0EFF),),
    KHMER: ((0x1780, 0x17FF),),
    BURMESE: ((0x1000, 0x109F),),
}
_BEYOND = 0x10000


class Kinds(NamedTuple):
    """What occurs in a text."""

    each: npt.NDArray[np.uint16]
    """(n,) the kinds of each character, a bit each."""
    occurring: int
    """All kinds that occur."""

    def has(self, kind: int) -> bool:
        """Whether a character of the kind, or of one of several kinds, occurs."""
        return bool(self.occurring & kind)

    def follows(self, first: int, second: int) -> bool:
        """Whether a character of the second kind stands right behind one of the first."""
        if not (self.occurring & first and self.occurring & second):
            return False
        return bool(np.any(((self.each[:-1] & first) != 0) & ((self.each[1:] & second) != 0)))

    def longest_run(self, kind: int) -> int:
        """The most characters of a kind in a row."""
        if not self.occurring & kind:
            return 0
        others = np.flatnonzero((self.each & kind) == 0)
        return int(np.diff(others, prepend=-1, append=self.each.size).max()) - 1


def kinds(text: str) -> Kinds:
    """Look at every character of a text without lone surrogates."""
    each = _table()[np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), _BEYOND)]
    return Kinds(each, int(np.bitwise_or.reduce(each)) if each.size else 0)


@functools.cache
def _table() -> npt.NDArray[np.uint16]:
    """The kinds of every code point of the first plane; one entry stands for all others, which may be anything rare."""
    table = np.zeros(_BEYOND + 1, np.uint16)
    for kind, characters in _CHARACTERS.items():
        table[[ord(character) for character in characters]] |= kind
    for kind, ranges in _RANGES.items():
        for first, last in ranges:
            table[first : last + 1] |= kind
    table[[code for code in range(_BEYOND) if unicodedata.combining(chr(code))]] |= MARK
    table[_BEYOND] = INVISIBLE | MARK
    return table
