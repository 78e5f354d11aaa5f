"""A stream of ids to text, in pieces that never split a character or a cluster of a letter and its marks.

A Thai, Khmer or Burmese reader never sees a letter without the marks that belong to it: the last cluster is held back
until the next letter shows that it is complete. A line end needs no such wait: nothing joins it.
"""

import codecs
import unicodedata
from collections.abc import Iterable, Iterator

from seallm.model.chat_format import ChatFormat
from seallm.model.plain_text import PlainText

_JOINERS = "\u200d\u17d2\u1039\u1a60"  # zero-width joiner; Khmer, Burmese and Tai Tham signs that stack the next letter
_NON_JOINER = "\u200c"  # says how the marks around it look, in Khmer between a shifter and a vowel
_SPACING_VOWELS = "\u0e33\u0eb3"  # Thai and Lao AM: letters by category, written as marks


class TextStream:
    """Text of one answer, id by id. The pieces join to `decode(ids)`.

    Attributes:
        num_characters: characters decoded so far, those held back included.
    """

    def __init__(self, text_format: ChatFormat | PlainText) -> None:
        self._plain = text_format.plain if isinstance(text_format, ChatFormat) else text_format
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held, self._is_first = "", True
        self.num_characters = 0

    def feed(self, token_id: int) -> str:
        """The text that is now certain to be whole; perhaps none."""
        if token_id in self._plain.control_ids:
            return ""
        new = self._decoder.decode(self._plain.token_bytes(token_id, is_first=self._is_first))
        self._is_first = False
        self._held += new
        self.num_characters += len(new)
        start = _last_cluster(self._held)
        shown, self._held = self._held[:start], self._held[start:]
        return shown

    def finish(self, *, is_cut: bool = False) -> str:
        """What was held back.

        Args:
            is_cut: the tokens ran out: half a character at the end is left out.
        """
        rest = self._decoder.decode(b"", final=True)
        self.num_characters += len(rest)
        shown, self._held = self._held + ("" if is_cut else rest), ""
        return shown


def stream_text(text_format: ChatFormat | PlainText, ids: Iterable[int]) -> Iterator[str]:
    """Pieces of the text of a stream of ids."""
    text = TextStream(text_format)
    for token_id in ids:
        if piece := text.feed(token_id):
            yield piece
    if rest := text.finish():
        yield rest


def _last_cluster(text: str) -> int:
    """Where the last letter-plus-marks cluster of a text starts; its end, where that cluster is surely whole."""
    if text.endswith("\n"):
        return len(text)
    start = len(text) - 1
    while start > 0 and (_continues(text[start]) or text[start - 1] in _JOINERS):
        start -= 1
    return max(start, 0)


def _continues(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character in _JOINERS
        or character in _SPACING_VOWELS
        or character == _NON_JOINER
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U0001f1e6" <= character <= "\U0001f1ff"  # halves of flags
        or "\U000e0020" <= character <= "\U000e007f"  # tags of flags
    )
