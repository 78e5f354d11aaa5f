"""Chat in the terminal: lines in, streamed answers out.

On a terminal there is a prompt, line editing and colour. In a pipe every line of standard input is a message, standard
output gets the answers and nothing else, and notices go to standard error. Ctrl-C stops an answer, Ctrl-D leaves.
"""

import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.model.places import find_model

if TYPE_CHECKING:
    from seallm.base.sampling import SamplingSettings
    from seallm.serve.engine import Engine
    from seallm.serve.requests import AnswerRequest

HELP = """\
/system TEXT  set the system prompt; without TEXT: show it
/reset        forget the conversation
/help         this
/exit         leave (or Ctrl-D)
Ctrl-C stops an answer. A line with // at its start is a message that begins with one /."""
# a model may write anything, also what a terminal takes for commands: escape sequences start with a control character
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd") | {ord("\n"): "\n", ord("\t"): "\t"}


@dataclass
class Dialogue:
    """The conversation so far, and what is sent of it.

    Attributes:
        turns: user and assistant in turn, without the system prompt.
    """

    engine: "Engine"
    system: str
    turns: list[Message] = field(default_factory=list)

    def request(self, sampling: "SamplingSettings") -> tuple["AnswerRequest", int]:
        """Ask for the next answer; the oldest exchanges are left out until the longest answer fits, or a quarter of
        the model's positions is free for it.

        Returns:
            The request, and how many exchanges were forgotten for it.

        Raises:
            PromptTooLong: not even the last message fits.
        """
        from seallm.serve.requests import PromptTooLong

        forgotten = 0
        wanted = min(sampling.max_new_tokens, self.engine.max_sequence_tokens // 4)
        while True:
            head = [Message("system", self.system)] if self.system else []
            is_last = len(self.turns) == 1
            try:
                request = self.engine.request([*head, *self.turns], sampling)
                if is_last or request.sampling.max_new_tokens >= wanted:
                    return request, forgotten
            except PromptTooLong:
                if is_last:
                    raise
            del self.turns[:2]
            forgotten += 1


def chat(
    model: Path, *, system: str | None, temperature: float, top_p: float, max_new_tokens: int, seed: int | None
) -> None:
    """Talk to a model until standard input ends.

    Args:
        model: a run, a stage of a run, or a Hugging Face folder.
        system: system prompt; None or empty sends none.
        temperature: 0 always takes the likeliest token.
        top_p: sample among the likeliest tokens that together have this probability.
        max_new_tokens: longest answer.
        seed: of every answer: the same lines give the same answers. None draws anew each time.

    Raises:
        ModelError: there is no model to talk to.
        DataError: a line of piped input is not UTF-8.
    """
    find_model(model)  # a wrong path is told before anything heavy is loaded
    notices = Console(stderr=True, highlight=False, soft_wrap=True)
    with notices.status("loading", spinner="dots"):
        from seallm.base.sampling import SamplingSettings
        from seallm.serve.loading import load_engine

        engine = load_engine(model)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    dialogue = Dialogue(engine, system or "")
    try:
        if is_terminal:
            notices.print(f"[bold]{escape(engine.name)}[/]  [dim]{engine.max_sequence_tokens:,} positions · /help[/]")
        for line in _typed_lines(notices) if is_terminal else _piped_lines():
            if line.startswith("/") and not line.startswith("//"):
                if not _obey(line, dialogue, notices):
                    return
                continue
            drawn = secrets.randbits(32) if seed is None else seed
            sampling = SamplingSettings(max_new_tokens, temperature, top_p, drawn)
            _exchange(dialogue, line.removeprefix("/"), sampling, notices)
    except BrokenPipeError:  # whoever read our answers has left; nor can Python flush to them on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        engine.close()


def _typed_lines(notices: Console) -> Iterator[str]:
    import readline  # noqa: F401  # gives input() editing and history

    while True:
        try:
            line = input("\n› ").strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            notices.print("\n[dim]Ctrl-D or /exit leaves[/]")
            continue
        if line:
            yield line


def _piped_lines() -> Iterator[str]:
    for number, data in enumerate(sys.stdin.buffer, 1):
        try:
            line = data.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise DataError(
                f"Line {number} of standard input is not UTF-8 (byte 0x{data[error.start]:02x} at {error.start}). "
                "Convert it first, for example with iconv"
            ) from None
        if line:
            yield line


def _obey(line: str, dialogue: Dialogue, notices: Console) -> bool:
    """Do what a line that starts with / says; False to leave."""
    command, _, text = line.partition(" ")
    if command == "/exit":
        return False
    if command == "/reset":
        dialogue.turns.clear()
        notices.print("[dim]the conversation is forgotten[/]")
    elif command == "/system" and text.strip():
        dialogue.system = text.strip()
        notices.print("[dim]new system prompt[/]")
    elif command == "/system":
        notices.print(dialogue.system or "no system prompt", style="dim", markup=False)
    else:
        if command != "/help":
            notices.print(f"there is no {command}", style="yellow", markup=False)
        notices.print(HELP, style="dim", markup=False)
    return True


def _exchange(dialogue: Dialogue, text: str, sampling: "SamplingSettings", notices: Console) -> None:
    """One message and its answer; what was said stays in the dialogue, also where the answer was stopped."""
    from seallm.serve.requests import Finished, Piece

    dialogue.turns.append(Message("user", text))
    try:
        request, forgotten = dialogue.request(sampling)
    except DataError as error:
        dialogue.turns.pop()
        notices.print(str(error), style="yellow", markup=False)
        return
    if forgotten:
        notices.print(f"[dim]no room: the oldest {forgotten} exchanges are forgotten[/]")
    answer, end = "", ""
    try:
        for event in dialogue.engine.stream(request):
            if isinstance(event, Piece):
                answer += event.text
                sys.stdout.write(event.text.translate(_CONTROLS))
                sys.stdout.flush()
            elif isinstance(event, Finished) and event.reason == "length":
                end = "cut: the answer ran out of tokens"
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
        end = "stopped"
    sys.stdout.write("\n")
    sys.stdout.flush()
    if end:
        notices.print(end, style="dim")
    if answer.strip():
        dialogue.turns.append(Message("assistant", answer))
    else:
        dialogue.turns.pop()  # an empty turn cannot be sent again
