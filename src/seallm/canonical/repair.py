"""Raw text in, canonical Unicode out: broken encodings mended, marks in order, invisible characters gone, NFC.

The same policy must hold wherever text enters, or invisible characters become a tax on the tokenizer: U+200B, which
Khmer, Lao, Thai and Burmese pages carry by the thousand, is removed everywhere unless a policy keeps it; joiners stay
only between characters of scripts that change their shape with them. Repairing twice changes nothing.
"""

import functools
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from seallm.canonical.character_kinds import (
    BURMESE,
    CONTINUATION,
    FULL_WIDTH,
    INVISIBLE,
    KHMER,
    LEAD,
    LINE_END,
    MARK,
    SPACE,
    THAI_OR_LAO,
    ZERO_WIDTH,
    Kinds,
    kinds,
)
from seallm.canonical.lossy_mojibake import LOST, LOST_TWICE, mend_lossy_lines, mend_thai_windows_874
from seallm.canonical.mark_order import order_burmese, order_khmer, order_thai_and_lao
from seallm.canonical.vietnamese_tones import TonePlacement, place_tones
from seallm.canonical.zawgyi import converted_line, zawgyi_lines

# what two- to four-byte UTF-8 looks like when it was read as Windows-1252: a lead byte, then continuation bytes
_CONTINUATION = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\ufffd]"
_MOJIBAKE = re.compile(f"[Â-ß]{_CONTINUATION}|[à-ï]{_CONTINUATION}{{2}}|[ð-ô]{_CONTINUATION}{{3}}")
_THAI_MOJIBAKE = re.compile("\u0e40[\u0e18\u0e19][\x80-\xa0€…‘’“”•–—]")

_LINE_ENDS = re.compile("[\r\v\f\x85\u2028\u2029]\n?")
_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f]")
_ZERO_WIDTH_SPACE = "\u200b"
# controls, soft hyphen, direction marks, word joiners, annotations, non-characters, tags
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)
_ASCII_CONTROLS = {**dict.fromkeys([*range(0x09), *range(0x0E, 0x20), 0x7F]), 0x0B: "\n", 0x0C: "\n"}
# letters of Thai, Lao, Burmese and Khmer between which a zero-width space marks the end of a word, and their marks
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
_UNSPACED_MARKS = (
    "\u0e31\u0e33-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb3-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064"
    "\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3\u17dd"
)
_NO_WORD_END = re.compile(
    f"(?<![{_UNSPACED}\u200b])\u200b+|\u200b+(?![{_UNSPACED}\u200b])|\u200b+(?=[{_UNSPACED_MARKS}\u200b])"
)
# Arabic, the Indic scripts, Khmer, Mongolian, and emoji sequences
_JOINED = (
    "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\u0900-\u0dff\u1780-\u18af\u2190-\u27bf\u2b00-\u2bff\ufe0f"
    "\U0001f000-\U0001faff"
)
_JOINERS = re.compile(f"(?<![{_JOINED}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED}])")
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
# signs of addresses and numbers between ASCII letters and digits; other full-width punctuation is Chinese
_FULL_WIDTH_SIGN = re.compile("(?<=[0-9A-Za-z])[\uff05\uff0d-\uff0f\uff20\uff3f](?=[0-9A-Za-z])")
_BLANK_LINES = re.compile("\n{3,}")
_RARE_RUN = re.compile("[\U000101fd-\U0001e94a]{31}")
MAX_MARKS = 30  # in a row, as in Unicode's stream-safe text (UAX 15): ordering more takes quadratic time

_MOST_PASSES = 12


@dataclass(frozen=True)
class RepairPolicy:
    """What a recipe may decide about the repair of its texts."""

    zero_width: Literal["remove", "keep"] = "remove"
    """`keep` leaves U+200B between letters of Khmer, Lao, Thai and Burmese, where it marks the end of a word."""
    full_width: Literal["keep", "ascii"] = "keep"
    """`ascii` turns full-width Latin letters and digits into ASCII; Chinese punctuation stays full-width."""
    vietnamese_tones: TonePlacement = "keep"
    """`new` writes hoà, thuý; `old` writes hòa, thúy; `keep` leaves both, as authors and names spell."""
    zawgyi: Literal["convert", "keep"] = "convert"
    """`keep` leaves Burmese in the Zawgyi encoding as it is."""


DEFAULT_POLICY = RepairPolicy()


def repair(text: str, policy: RepairPolicy = DEFAULT_POLICY) -> str:
    """Bring a text into canonical form; `repair_counted` without the counts."""
    return repair_counted(text, policy)[0]


def repair_line(line: str, policy: RepairPolicy = DEFAULT_POLICY) -> str:
    """A line of a file of sentences in canonical form, still one line."""
    return repair(line, policy).replace("\n", " ")


def repair_counted(text: str, policy: RepairPolicy = DEFAULT_POLICY) -> tuple[str, Counter[str]]:
    """Bring a text into canonical form.

    Mojibake is mended line by line, only where a line shows UTF-8 that was read as another encoding, and only if the
    result is more plausible (ftfy), or, where bytes were lost, if nearly all of the line decodes.

    Args:
        text: any string, lone surrogates included.
        policy: what the recipe decides.

    Returns:
        NFC text that encodes to UTF-8, without white space at line ends, with at most one blank line in a row; and
        how much each step changed, steps that changed nothing left out: `mojibake_lines`, `zawgyi_lines`,
        `zero_width` (characters), `reordered` (places), `tone_placement` (syllables), `full_width` (characters),
        `controls` (characters), `nfc_lines`.
    """
    text = encodable(text)
    counts: Counter[str] = Counter()
    if text.isascii():
        text = _tidy(_without_controls(text, counts))
        return text, +counts
    for _ in range(_MOST_PASSES):  # a mended line can be mended further; nearly all texts need one pass
        before, text = text, _repair_once(text, policy, counts)
        if text == before:
            break
    return text, +counts


def encodable(text: str) -> str:
    """The text as it can be written to UTF-8: lone surrogates, which JSON can spell, become U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _repair_once(text: str, policy: RepairPolicy, counts: Counter[str]) -> str:
    found = kinds(text)
    if found.follows(LEAD, CONTINUATION) or (found.has(THAI_OR_LAO) and found.has(CONTINUATION)):
        before, text = text, _encodings_mended(text, counts)
        found = found if text == before else kinds(text)
    if found.has(SPACE):
        text = _SPACES.sub(" ", text)
    if found.longest_run(MARK) > MAX_MARKS:
        text = _cut_piles(text)
    if found.has(LINE_END | INVISIBLE):
        text = _without_controls(text, counts)
    if found.has(ZERO_WIDTH):
        text = _without_zero_width(text, policy, counts)
    text = _composed(text, counts)
    if found.has(THAI_OR_LAO | KHMER | BURMESE):
        text = _ordered(text, found, policy, counts)
    if policy.full_width == "ascii" and found.has(FULL_WIDTH):
        text, letters = _FULL_WIDTH.subn(_to_ascii, text)
        text, signs = _FULL_WIDTH_SIGN.subn(_to_ascii, text)
        counts["full_width"] += letters + signs
    text, moved = place_tones(text, policy.vietnamese_tones)
    counts["tone_placement"] += moved
    return _tidy(text)


def _tidy(text: str) -> str:
    """No white space at line ends, at most one blank line in a row."""
    text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip(" \t\n")


def _without_controls(text: str, counts: Counter[str]) -> str:
    if "\r" in text or not text.isascii():
        text = _LINE_ENDS.sub("\n", text)
    if text.isascii():  # quicker than a pattern by far
        visible = text.translate(_ASCII_CONTROLS)
        text, removed = visible, len(text) - len(visible)
    else:
        text, removed = _INVISIBLE.subn("", text)
    counts["controls"] += removed
    return text


def _without_zero_width(text: str, policy: RepairPolicy, counts: Counter[str]) -> str:
    length = len(text)
    if _ZERO_WIDTH_SPACE in text:
        keep = policy.zero_width == "keep"
        text = _NO_WORD_END.sub("", text) if keep else text.replace(_ZERO_WIDTH_SPACE, "")
    if "\u200c" in text or "\u200d" in text:  # much quicker than a search for the pattern
        text = _JOINERS.sub("", text)
    counts["zero_width"] += length - len(text)
    return text


def _composed(text: str, counts: Counter[str]) -> str:
    composed = unicodedata.normalize("NFC", text)
    if composed != text:
        pairs = zip(text.split("\n"), composed.split("\n"), strict=True)
        counts["nfc_lines"] += sum(before != after for before, after in pairs)
    return composed


def _ordered(text: str, found: Kinds, policy: RepairPolicy, counts: Counter[str]) -> str:
    thai_and_lao = khmer = burmese = 0
    if found.has(THAI_OR_LAO):
        text, thai_and_lao = order_thai_and_lao(text)
    if found.has(KHMER):
        text, khmer = order_khmer(text)
    if found.has(BURMESE):
        text, burmese = _burmese(text, policy, counts)
    changed = thai_and_lao + khmer + burmese
    counts["reordered"] += changed
    return unicodedata.normalize("NFC", text) if changed else text


def _burmese(text: str, policy: RepairPolicy, counts: Counter[str]) -> tuple[str, int]:
    lines = text.split("\n")
    is_zawgyi = zawgyi_lines(lines)
    if not any(is_zawgyi):
        return order_burmese(text)
    changed = 0
    for place, line in enumerate(lines):
        unicode_line: str | None = line
        if is_zawgyi[place]:
            unicode_line = converted_line(line) if policy.zawgyi == "convert" else None
            counts["zawgyi_lines"] += unicode_line is not None
        if unicode_line is not None:
            lines[place], count = order_burmese(unicodedata.normalize("NFC", unicode_line))
            changed += count
    return unicodedata.normalize("NFC", "\n".join(lines)), changed


def _to_ascii(match: re.Match[str]) -> str:
    return chr(ord(match.group()) - 0xFEE0)


def _cut_piles(text: str) -> str:
    text = _piles(0x300, 0x10000).sub(r"\1", text)
    # Python tests each range of such a class in turn: only where there may be something to cut
    return _piles(0x10000, 0x20000).sub(r"\1", text) if _RARE_RUN.search(text) else text


@functools.cache
def _piles(start: int, end: int) -> re.Pattern[str]:
    marks = "".join(c for c in map(chr, range(start, end)) if unicodedata.combining(c))
    return re.compile(f"([{marks}]{{{MAX_MARKS}}})[{marks}]+")


def _encodings_mended(text: str, counts: Counter[str]) -> str:
    if _MOJIBAKE.search(text):
        lines = text.split("\n")
        mended = mend_lossy_lines(lines) if LOST in text or LOST_TWICE in text else lines
        mended = [_mend_line(line) for line in mended]
        counts["mojibake_lines"] += sum(before != after for before, after in zip(lines, mended, strict=True))
        text = "\n".join(mended)
    if _THAI_MOJIBAKE.search(text):
        lines = text.split("\n")
        mended = [mend_thai_windows_874(line) for line in lines]
        counts["mojibake_lines"] += sum(before != after for before, after in zip(lines, mended, strict=True))
        text = "\n".join(mended)
    return text


def _mend_line(line: str) -> str:
    if not _MOJIBAKE.search(line):
        return line
    import ftfy

    return str(ftfy.fix_encoding(line))
