"""Lines that are typed or piped in, messages and commands out; a message may have several lines."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from seallm.base.errors import DataError

FENCE = '"""'
MAX_HISTORY_LINES = 1_000


def assembled(read: Callable[[bool], str | None], *, may_continue: bool) -> Iterator[str]:
    """One text a message or command.

    Args:
        read: gives the next line, None at the end; True asks for one that goes on with a message.
        may_continue: a backslash at the end of a line says that the message goes on.
    """
    while (line := read(False)) is not None:
        text = line.strip()
        if text == FENCE:
            text = "\n".join(_fenced(read))
        elif may_continue:
            while text.endswith("\\"):
                text = text[:-1] + "\n" + (read(True) or "").rstrip()
        if text.strip():
            yield text.strip()


def _fenced(read: Callable[[bool], str | None]) -> Iterator[str]:
    """Lines until the next fence, or the end."""
    while (line := read(True)) is not None and line.strip() != FENCE:
        yield line.rstrip("\r\n")


def typed(notices: Console) -> Callable[[bool], str | None]:
    """Reads lines from a person at a terminal."""

    def read(goes_on: bool) -> str | None:
        while True:
            try:
                return input("… " if goes_on else "\n› ")
            except EOFError:
                print()
                return None
            except KeyboardInterrupt:
                notices.print("\n[dim]Ctrl-D or /exit leaves[/]")
                if goes_on:
                    return None

    return read


def piped() -> Callable[[bool], str | None]:
    """Reads lines from standard input.

    Raises:
        DataError: by what is returned, where a line is not UTF-8.
    """
    lines: Iterator[tuple[int, bytes]] = enumerate(sys.stdin.buffer, 1)

    def read(_: bool) -> str | None:
        found = next(lines, None)
        if found is None:
            return None
        number, data = found
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"Line {number} of standard input is not UTF-8 (byte 0x{data[error.start]:02x} at {error.start}). "
                "Convert it first, for example with iconv"
            ) from None

    return read


def history_file() -> Path:
    """Where typed lines are kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "seallm" / "chat_history"


@contextmanager
def remembered(file: Path | None) -> Iterator[None]:
    """Line editing, with the lines of earlier chats; None keeps none. Only the user can read the file."""
    import readline  # gives input() editing

    if file is None:
        yield
        return
    readline.set_history_length(MAX_HISTORY_LINES)
    if file.is_file():
        readline.read_history_file(file)
    try:
        yield
    finally:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        readline.write_history_file(file)
