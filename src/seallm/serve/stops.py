"""Pieces of a streamed answer in, the same text up to the first stop string out.

Text is held back only as long as it could still grow into a stop string, so that a client never sees half of one.
"""

from collections.abc import Sequence


class StopStrings:
    """Cuts one answer at the stop string that is complete first; of two complete at once, at the longer one.

    Attributes:
        found: True once a stop string was seen; nothing more is let through.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self.strings = tuple(strings)
        self.found = False
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is now certain to belong to the answer."""
        if self.found:
            return ""
        self._held += piece
        ends = [(start + len(s), start) for s in self.strings if (start := self._held.find(s)) >= 0]
        self.found = bool(ends)
        sure = min(ends)[1] if ends else len(self._held) - self._growing()
        shown, self._held = self._held[:sure], "" if ends else self._held[sure:]
        return shown

    def flush(self) -> str:
        """What was held back, at the end of an answer that met no stop string."""
        shown, self._held = self._held, ""
        return shown

    def _growing(self) -> int:
        """Characters at the end of the held text with which a stop string may have begun."""
        longest = max((len(s) for s in self.strings), default=1) - 1
        lengths = range(min(longest, len(self._held)), 0, -1)
        return next((n for n in lengths if any(s.startswith(self._held[-n:]) for s in self.strings)), 0)
