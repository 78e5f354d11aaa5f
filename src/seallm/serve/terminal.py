"""Chat in the terminal: lines in, streamed answers out.

On a terminal there is a prompt, line editing, history and colour, and lines break between words. In a pipe every line
of standard input is a message, standard output gets the answers and nothing else, and notices go to standard error.
Ctrl-C stops an answer, Ctrl-D leaves.
"""

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.model.places import find_model
from seallm.serve.commands import Commands
from seallm.serve.dialogue import Dialogue
from seallm.serve.system_prompt import served_policy
from seallm.serve.typing_lines import assembled, history_file, piped, remembered, typed
from seallm.serve.wrapping import Wrapped

if TYPE_CHECKING:
    from seallm.serve.loading import Device, EngineKind, NumberType

# a model may write anything, also what a terminal takes for commands: escape sequences start with a control character
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd") | {ord("\n"): "\n", ord("\t"): "\t"}


@dataclass(frozen=True)
class ChatSettings:
    """How the terminal chats.

    Attributes:
        sampling: how answers are drawn; its seed is not used.
        seed: of every answer: the same lines give the same answers. None draws anew each time.
        system: system prompt; empty sends none.
        policy: name of a policy pack whose system prompt stands before it.
        keeps_history: typed lines are kept for the next chat.
        engine: which program computes.
        device: None: a GPU where there is one.
        number_type: of the weights; None: float32 on a CPU, bfloat16 on a GPU.
    """

    sampling: SamplingSettings
    seed: int | None = None
    system: str = ""
    policy: str | None = None
    keeps_history: bool = True
    engine: "EngineKind" = "own"
    device: "Device | None" = None
    number_type: "NumberType | None" = None


def chat(model: Path, settings: ChatSettings, identify: Callable[[str], str | None]) -> None:
    """Talk to a model until standard input ends.

    Args:
        model: a run, a stage of a run, or a Hugging Face folder.
        settings: how.
        identify: a text to the code of its language, None where that is not certain.

    Raises:
        ModelError: there is no model to talk to, or no such device.
        MissingExtra: what computes is not installed.
        RecipeError: there is no such policy.
        DataError: a line of piped input is not UTF-8.
    """
    find_model(model)  # a wrong path is told before anything heavy is loaded
    policy = None if settings.policy is None else served_policy(settings.policy)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    notices = Console(stderr=True, highlight=False, soft_wrap=not is_terminal)
    with notices.status("loading", spinner="dots"):
        from seallm.serve.loading import EngineSettings, load_engine

        how = EngineSettings(settings.engine, settings.device, settings.number_type, max_rows=1)
        engine = load_engine(model, how)
    with closing(engine), ExitStack() as stack:
        if is_terminal:
            stack.enter_context(_history(settings.keeps_history, notices))
            notices.print(f"[bold]{escape(engine.name)}[/]  [dim]{engine.max_sequence_tokens:,} positions · /help[/]")
        read = typed(notices) if is_terminal else piped()
        commands = Commands(Dialogue(engine, settings.system, policy=policy), notices, identify)
        try:
            _talk(commands, settings, assembled(read, may_continue=is_terminal), is_terminal=is_terminal)
        except BrokenPipeError:  # whoever read our answers has left; nor can Python flush to them on its way out
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _history(is_kept: bool, notices: Console) -> Iterator[None]:
    try:
        with remembered(history_file() if is_kept else None):
            yield
    except OSError as error:
        if error.filename is None:
            raise
        notices.print(f"the history cannot be kept: {error.filename}: {error.strerror}", style="yellow", markup=False)


def _talk(commands: Commands, settings: ChatSettings, lines: Iterator[str], *, is_terminal: bool) -> None:
    retries = 0
    for line in lines:
        message: str | None = line.removeprefix("/")
        if line.startswith("/") and not line.startswith("//"):
            commands.again = None
            commands.obey(line)
            if commands.is_over:
                return
            message = commands.again
            retries += message is not None
        if message is not None:
            drawn = secrets.randbits(32) if settings.seed is None else settings.seed + retries
            _exchange(commands, message, replace(settings.sampling, seed=drawn), is_terminal=is_terminal)


def _exchange(commands: Commands, text: str, sampling: SamplingSettings, *, is_terminal: bool) -> None:
    """One message and its answer; what was said stays in the dialogue, also where the answer was stopped."""
    from seallm.serve.requests import Finished, Piece

    dialogue, notices = commands.dialogue, commands.notices
    dialogue.ask(text)
    try:
        request, forgotten = dialogue.request(sampling)
    except DataError as error:
        dialogue.leave_unanswered()
        notices.print(str(error), style="yellow", markup=False)
        return
    if forgotten:
        notices.print(f"[dim]no room: the oldest {forgotten} exchanges are forgotten[/]")
    answer, end = "", ""
    shown = Wrapped(sys.stdout, os.get_terminal_size(sys.stdout.fileno()).columns if is_terminal else None)
    try:
        for event in dialogue.engine.stream(request):
            if isinstance(event, Piece):
                answer += event.text
                shown.write(event.text.translate(_CONTROLS))
            elif isinstance(event, Finished) and event.reason == "length":
                end = "cut: the answer ran out of tokens"
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
        end = "stopped"
    shown.finish()
    if answer.strip():
        dialogue.turns.append(Message("assistant", answer))
    else:
        dialogue.leave_unanswered()
        end = end or "the model had nothing to say"
    if end:
        notices.print(end, style="dim")
