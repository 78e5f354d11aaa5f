"""A chat template in; what stands before and after each role's content out, where that is all the template does.

The Jinja template is rendered with marks in place of contents and taken apart at them; the parts are believed only when
they give, for other conversations, what the template gives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import ModelError

ROLES = ("system", "user", "assistant")
_MARK = "\u2af7{}\u2af8"  # brackets that no template holds


@dataclass(frozen=True)
class Turns:
    """A chat template's parts.

    Attributes:
        opening: in front of all turns.
        without_system: in front of the first turn where no system turn is given.
        around: of each role, what stands before and after its content.
        prompt: behind all turns, where the assistant goes on.
    """

    opening: str
    without_system: str
    around: Mapping[str, tuple[str, str]]
    prompt: str

    def render(self, turns: Sequence[tuple[str, str]]) -> str:
        """The prompt for (role, content) turns."""
        text = self.opening
        if not turns or turns[0][0] != "system":
            text += self.without_system
        for role, content in turns:
            before, after = self.around[role]
            text += before + content + after
        return text + self.prompt


def read_turns(tokenizer: PreTrainedTokenizerFast, where: str) -> Turns:
    """Take a chat template apart.

    Args:
        tokenizer: with the template.
        where: of what model, for messages.

    Raises:
        ModelError: there is no template, or it does more than to put text around contents.
    """
    if not isinstance(tokenizer.chat_template, str):
        raise ModelError(
            f"{where} has no chat template: it was not made for conversations. Run the sft stage on it first, or "
            "export it with --to gguf"
        )
    try:
        turns = _taken_apart(tokenizer)
        is_whole = turns is not None and all(turns.render(t) == _rendered(tokenizer, t) for t in _trials())
    except TemplateError:  # such as a template that refuses a system turn
        turns, is_whole = None, False
    if turns is None or not is_whole:
        raise ModelError(
            f"{where}: its chat template does more than to put text around each turn, so that it has no Modelfile. "
            "Use --to gguf: llama.cpp and LM Studio read the template from the file"
        )
    return turns


def _trials() -> list[list[tuple[str, str]]]:
    """Conversations of every form, with contents that say what template they came through."""
    exchange = [("user", "What is 2 + 3?\nSay."), ("assistant", "It is 5.\n\nOr V.")]
    system = [("system", "Be kind.")]
    ends = [("user", "ขอบคุณ 'it' \"is\" {{x}}")]
    return [ends, exchange + ends, system + ends, system + exchange + ends, system + exchange * 2 + ends]


def _rendered(tokenizer: PreTrainedTokenizerFast, turns: Sequence[tuple[str, str]], *, goes_on: bool = True) -> str:
    rows: list[dict[str, Any]] = [{"role": role, "content": content} for role, content in turns]
    return str(tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=goes_on))


def _taken_apart(tokenizer: PreTrainedTokenizerFast) -> Turns | None:
    marks = {role: _MARK.format(role) for role in ROLES}
    again = _MARK.format("again")
    whole = _rendered(tokenizer, [*marks.items(), ("user", again), ("assistant", again)], goes_on=False)
    asked = _rendered(tokenizer, [("user", marks["user"])])
    closed = _rendered(tokenizer, [("user", marks["user"])], goes_on=False)
    parts: list[str] = []
    for mark in (*marks.values(), again, again):
        before, found, whole = whole.partition(mark)
        if not found:
            return None
        parts.append(before)
    parts.append(whole)  # opening+system, s|u, u|a, a|u, u|a, after the assistant
    head, system_user, user_assistant, assistant_user, _, end = parts
    first, _, user_end = closed.partition(marks["user"])
    before_assistant = user_assistant.removeprefix(user_end)
    before_user = assistant_user.removeprefix(end)
    if not asked.startswith(closed) or not first.endswith(before_user) or not system_user.endswith(before_user):
        return None
    system_end = system_user.removesuffix(before_user)
    opening, without = _opening(head, first.removesuffix(before_user))
    around = {
        "system": (head.removeprefix(opening), system_end),
        "user": (before_user, user_end),
        "assistant": (before_assistant, end),
    }
    return Turns(opening, without, around, asked.removeprefix(closed))


def _opening(with_system: str, without_system: str) -> tuple[str, str]:
    """What stands first whatever the first turn, and what only without a system turn."""
    if with_system.startswith(without_system):
        return without_system, ""
    return "", without_system
