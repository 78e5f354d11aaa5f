"""Text that streams in, the same out with line breaks between words, for terminals of any width.

A word of a spaced script is held back until its end is known. Text without spaces between words goes out at once, and
the terminal itself breaks it where a line is full.
"""

from typing import TextIO

from rich.cells import cell_len

_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xA4CF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF))


class Wrapped:
    """A stream that breaks lines.

    Args:
        output: takes what comes out.
        columns: of the terminal; None breaks nothing.
    """

    def __init__(self, output: TextIO, columns: int | None) -> None:
        self._output, self._columns = output, columns
        self._column, self._word, self._space = 0, "", ""
        self._goes_on = False  # what comes next belongs to a word that is longer than a line

    def write(self, text: str) -> None:
        """More text."""
        if self._columns is None:
            self._output.write(text)
        else:
            for character in text:
                self._take(character, self._columns)
        self._output.flush()

    def finish(self) -> None:
        """The text is over: write what was held back, and end the line."""
        if self._columns is not None:
            self._put(self._columns)
        self._output.write("\n")
        self._output.flush()

    def _take(self, character: str, columns: int) -> None:
        if character == "\n":
            self._put(columns)
            self._output.write("\n")
            self._column = 0
        elif character in " \t":
            self._put(columns)
            self._space += character
        else:
            self._word += character
            is_long = cell_len(self._word) >= columns
            if is_long or any(low <= ord(character) <= high for low, high in _UNSPACED):
                self._put(columns)
                self._goes_on = is_long

    def _put(self, columns: int) -> None:
        width, space = cell_len(self._word), cell_len(self._space.expandtabs(4))
        is_spaced = self._word and not any(low <= ord(self._word[0]) <= high for low, high in _UNSPACED)
        may_break = self._space or (is_spaced and not self._goes_on)
        if self._word and self._column and self._column + space + width > columns and may_break:
            self._output.write("\n")
            self._column, self._space, space = 0, "", 0
        self._output.write(self._space + self._word)
        self._column += space + width
        if self._column > columns:
            self._column = (self._column - 1) % columns + 1  # the terminal has broken the line
        self._word, self._space, self._goes_on = "", "", False
