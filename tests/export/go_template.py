"""Go's text/template, as far as Modelfiles use it: range over messages, if, else, eq, not, fields, string literals."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def render(template: str, messages: Sequence[tuple[str, str]]) -> str:
    """What Ollama sends for (role, content) messages."""
    data: dict[str, Any] = {
        "Messages": [{"Role": role, "Content": content} for role, content in messages],
        "System": "\n\n".join(content for role, content in messages if role == "system"),
    }
    parts = _ACTION.split(template)
    text, end = _block(parts, 0, data)
    assert end == len(parts)
    return text


def _block(parts: list[str], at: int, data: Mapping[str, Any]) -> tuple[str, int]:
    """Text up to the `end` or `else` of this block, and its place."""
    out = ""
    while at < len(parts):
        out += parts[at]
        if at + 1 == len(parts):
            return out, len(parts)
        action = parts[at + 1].strip()
        if action == "end" or action.startswith("else"):
            return out, at + 1
        if action == "range .Messages":
            for message in data["Messages"]:
                text, end = _block(parts, at + 2, {**data, **message})
                out += text
            if not data["Messages"]:
                _, end = _block(parts, at + 2, {**data, "Role": "", "Content": ""})
            at = end + 1
        elif action.startswith("if "):
            text, at = _choice(parts, at, action, data)
            out += text
        else:
            out += action[1:-1] if action.startswith('"') else str(data[action.removeprefix(".")])
            at += 2
    return out, at


def _choice(parts: list[str], at: int, action: str, data: Mapping[str, Any]) -> tuple[str, int]:
    chosen: str | None = None
    while True:
        text, end = _block(parts, at + 2, data)
        if chosen is None and _holds(action.removeprefix("else ").removeprefix("if "), data):
            chosen = text
        action = parts[end].strip()
        if action == "end":
            return chosen or "", end + 1
        at = end - 1


def _holds(condition: str, data: Mapping[str, Any]) -> bool:
    if condition.startswith("not ."):
        return not data[condition.removeprefix("not .")]
    name, value = re.fullmatch(r'eq \.(\w+) "(.*)"', condition).groups()  # type: ignore[union-attr]
    return bool(data[name] == value)
