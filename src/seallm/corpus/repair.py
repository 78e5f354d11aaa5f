"""Raw text in, canonical Unicode out: broken encodings mended, invisible characters gone, NFC, one kind of line end.

The same policy must hold wherever text enters, or invisible characters become a tax on the tokenizer: U+200B, which
Khmer, Lao, Thai and Burmese pages carry by the thousand, is removed everywhere; joiners stay only between characters of
scripts that change their shape with them. Repairing twice changes nothing.
"""

import functools
import re
import unicodedata

# what two- to four-byte UTF-8 looks like when it was read as Windows-1252: a lead byte, then continuation bytes
_CONTINUATION = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\ufffd]"
_MOJIBAKE = re.compile(f"[Â-ß]{_CONTINUATION}|[à-ï]{_CONTINUATION}{{2}}|[ð-ô]{_CONTINUATION}{{3}}")

_LINE_ENDS = re.compile("[\r\v\f\x85\u2028\u2029]\n?")
_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f]")
# controls, soft hyphen, zero-width space and its kin, direction marks, annotations, non-characters, tags
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)
# Arabic, the Indic scripts, Khmer, Mongolian, and emoji sequences
_JOINED = (
    "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\u0900-\u0dff\u1780-\u18af\u2190-\u27bf\u2b00-\u2bff\ufe0f"
    "\U0001f000-\U0001faff"
)
_JOINERS = re.compile(f"(?<![{_JOINED}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED}])")
_BLANK_LINES = re.compile("\n{3,}")
_RARE_RUN = re.compile("[\U000101fd-\U0001e94a]{31}")
MAX_MARKS = 30  # in a row, as in Unicode's stream-safe text (UAX 15): ordering more takes quadratic time

_MOST_PASSES = 8


def repair(text: str) -> str:
    """Bring a text into canonical form.

    Mojibake is mended line by line with ftfy, and only where a line shows UTF-8 that was read as another encoding and
    ftfy finds the result more plausible. Bytes that were lost before stay visible as U+FFFD.

    Args:
        text: any string, lone surrogates included.

    Returns:
        NFC text that encodes to UTF-8, without white space at line ends, with at most one blank line in a row.
    """
    text = encodable(text)
    for _ in range(_MOST_PASSES):  # a mended line can be mended further; nearly all texts need one pass
        before, text = text, _repair_once(text)
        if text == before:
            break
    return text


def encodable(text: str) -> str:
    """The text as it can be written to UTF-8: lone surrogates, which JSON can spell, become U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _repair_once(text: str) -> str:
    if not text.isascii():
        if _MOJIBAKE.search(text):
            text = "\n".join(map(_mend_encoding, text.split("\n")))
        text = _SPACES.sub(" ", text)
        text = _cut_piles(text)
    text = _LINE_ENDS.sub("\n", text)
    text = _INVISIBLE.sub("", text)
    if "\u200c" in text or "\u200d" in text:  # much quicker than a search for the pattern
        text = _JOINERS.sub("", text)
    text = unicodedata.normalize("NFC", text)
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip(" \t\n")


def _cut_piles(text: str) -> str:
    text = _piles(0x300, 0x10000).sub(r"\1", text)
    # Python tests each range of such a class in turn: only where there may be something to cut
    return _piles(0x10000, 0x20000).sub(r"\1", text) if _RARE_RUN.search(text) else text


@functools.cache
def _piles(start: int, end: int) -> re.Pattern[str]:
    marks = "".join(c for c in map(chr, range(start, end)) if unicodedata.combining(c))
    return re.compile(f"([{marks}]{{{MAX_MARKS}}})[{marks}]+")


def _mend_encoding(line: str) -> str:
    if not _MOJIBAKE.search(line):
        return line
    import ftfy

    return str(ftfy.fix_encoding(line))
