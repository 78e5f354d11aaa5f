"""A row of any common chat data set in, a Conversation or a Preference of ours out.

| format | what tells it | who writes it |
|---|---|---|
| messages | `messages` of {role, content} | OpenAI, TRL, seallm |
| sharegpt | `conversations` of {from, value} | ShareGPT, Vicuna, LLaMA-Factory |
| alpaca | `instruction` and `output` or `response`, with `input` or `context`, `system`, `history` | Alpaca, Dolly |
| prompt | `prompt` and `completion`, `question` and `answer`, `inputs` and `targets` | TRL, OpenAI, Aya |
| preference | `chosen` and `rejected`; `completions` with scores; `preferred_output` | UltraFeedback, TRL, OpenAI |

A row that does not keep to its format is a DataError with the reason. Nothing is guessed into it: turns must alternate
and the assistant must speak last, or the row is bad. What a format has no field for (language, category, source,
licence, system) is read under the usual names, or those of a column map.
"""

import ast
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, get_args

from seallm.base.errors import DataError
from seallm.base.records import Conversation, Preference, parse_conversation, parse_preference

Format = Literal["messages", "sharegpt", "alpaca", "prompt", "preference"]
FORMATS: tuple[Format, ...] = get_args(Format)
Record = Conversation | Preference
_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "ai"), "assistant"),
}
_PROMPT_PAIRS = (
    *(("prompt", "completion"), ("prompt", "response"), ("question", "answer")),
    *(("inputs", "targets"), ("input", "output"), ("query", "response")),
)
_LANGUAGE_NAMES = ("language", "lang", "language_code", "lang_code", "locale")
_LICENCE_NAMES = ("licence", "license")
_CATEGORY_NAMES = ("category", "task_type", "task")
_SOURCE_NAMES = ("source", "dataset", "origin")
FIELDS = (
    *("messages", "conversations", "instruction", "input", "output", "prompt", "completion", "chosen", "rejected"),
    *("system", "history", "language", "category", "source", "licence"),
)
_HUMAN, _ASSISTANT = "\n\nHuman:", "\n\nAssistant:"

Row = Mapping[str, Any]


def find_format(row: Row) -> Format | None:
    """The format that a row's fields tell; None for none of them."""
    if {"chosen", "rejected"} <= row.keys() or {"preferred_output", "non_preferred_output"} <= row.keys():
        return "preference"
    if "completions" in row and row.keys() & {"instruction", "prompt"}:
        return "preference"
    if _turns_field(row) == "messages":
        return "messages"
    if _turns_field(row):
        return "sharegpt"
    if "instruction" in row and row.keys() & {"output", "response"}:
        return "alpaca"
    return "prompt" if _prompt_pair(row) else None


def read_record(row: Row, kind: Format, where: str) -> Record:
    """Turn one row into a record.

    Args:
        row: its fields, those of a column map under our names.
        kind: the format it must have.
        where: names the place in messages.

    Raises:
        DataError: the row does not keep to the format, or its turns cannot be used.
    """
    if kind == "preference":
        return _preference(row, where)
    turns = _READERS[kind](row, where)
    system = _text(row, ("system", "system_prompt"))
    if system and turns[0].get("role") != "system":
        turns = [{"role": "system", "content": system}, *turns]
    return parse_conversation({"messages": turns, **labels(row)}, where)


def labels(row: Row) -> dict[str, str]:
    """Language, category, source and licence of a row, as far as it names them; empty where it does not."""
    return {
        "language": _text(row, _LANGUAGE_NAMES),
        "category": _text(row, _CATEGORY_NAMES),
        "source": _text(row, _SOURCE_NAMES),
        "licence": _text(row, _LICENCE_NAMES),
    }


def _text(row: Row, names: Sequence[str]) -> str:
    """The first of these fields that holds text; a list of words is joined."""
    for name in names:
        value = row.get(name)
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            value = ", ".join(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _turns_field(row: Row) -> str | None:
    for name in ("messages", "conversations", "conversation"):
        if name in row:
            turns = _as_list(row[name])
            has_from = isinstance(turns, list) and bool(turns) and isinstance(turns[0], dict) and "from" in turns[0]
            return "conversations" if has_from else name if name != "conversation" else "conversations"
    return None


def _prompt_pair(row: Row) -> tuple[str, str] | None:
    return next((pair for pair in _PROMPT_PAIRS if row.keys() >= set(pair)), None)


def _as_list(value: object) -> object:
    """A list of turns, also where a table holds it as JSON text or as one column for each key."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        value = _written_value(value)
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        sizes = {len(column) for column in value.values()}
        return (
            [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
            if len(sizes) == 1
            else value
        )
    return value


def _written_value(text: str) -> object:
    """The value of JSON, or of what Python wrote, as pandas puts lists into CSV; the text where it is neither."""
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return read(text)
    return text


def _turns(value: object, where: str) -> list[dict[str, Any]]:
    """Turns of any spelling as role and content.

    Raises:
        DataError: this is no list of turns, or a turn is not of a person or the assistant.
    """
    listed = _as_list(value)
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{where}: expected a list of turns, found {_short(value)}")
    return [_turn(item, number, where) for number, item in enumerate(listed)]


def _turn(item: object, number: int, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise DataError(f"{where}: turn {number} is {_short(item)}; expected role and content")
    name = item.get("role", item.get("from"))
    role = _ROLES.get(str(name).lower())
    if role is None:
        raise DataError(f"{where}: turn {number} has role {name!r}; expected system, user (human) or assistant (gpt)")
    if item.get("tool_calls") or item.get("function_call"):
        raise DataError(f"{where}: turn {number} calls a tool; only text can be trained on")
    if item.get("weight") == 0:
        raise DataError(f"{where}: turn {number} has weight 0; every turn of the assistant would be trained on")
    content = item.get("content", item.get("value", item.get("text")))
    return {"role": role, "content": _content(content, number, where)}


def _content(content: object, number: int, where: str) -> object:
    """The text of a turn that may be written in parts."""
    if not isinstance(content, list):
        return content
    kinds = [part.get("type", "text") if isinstance(part, dict) else None for part in content]
    if set(kinds) - {"text"}:
        raise DataError(f"{where}: turn {number} has parts of type {kinds}; only text can be trained on")
    return "\n".join(str(part.get("text") or "") for part in content)


def _messages(row: Row, where: str) -> list[dict[str, Any]]:
    return _turns(row.get("messages"), where)


def _sharegpt(row: Row, where: str) -> list[dict[str, Any]]:
    return _turns(row.get("conversations", row.get("conversation", row.get("messages"))), where)


def _alpaca(row: Row, where: str) -> list[dict[str, Any]]:
    instruction = _required(row, ("instruction",), where)
    context = _text(row, ("input", "context"))
    answer = _required(row, ("output", "response"), where)
    turns: list[dict[str, Any]] = []
    history = _as_list(row.get("history") or [])
    for pair in history if isinstance(history, list) else [history]:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise DataError(f"{where}: `history` holds {_short(pair)}; expected pairs of question and answer")
        turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    question = f"{instruction}\n\n{context}" if context else instruction
    return [*turns, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _prompt(row: Row, where: str) -> list[dict[str, Any]]:
    pair = _prompt_pair(row)
    if pair is None:
        raise DataError(f"{where}: no prompt with its completion; the row has {', '.join(map(str, row)) or 'nothing'}")
    question, answer = (_as_list(row[name]) for name in pair)
    before = _turns(question, where) if isinstance(question, list) else [_spoken("user", question, pair[0], where)]
    after = _turns(answer, where) if isinstance(answer, list) else [_spoken("assistant", answer, pair[1], where)]
    return before + after


def _spoken(role: str, text: object, name: str, where: str) -> dict[str, Any]:
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: `{name}` is {_short(text)}; expected text")
    return {"role": role, "content": text}


def _required(row: Row, names: Sequence[str], where: str) -> str:
    text = _text(row, names)
    if not text:
        raise DataError(f"{where}: `{names[0]}` is {_short(row.get(names[0]))}; expected text")
    return text


def _preference(row: Row, where: str) -> Preference:
    if "completions" in row:
        prompt, chosen, rejected, scores = _ranked(row, where)
    elif "preferred_output" in row:
        asked = row.get("input")
        prompt = _turns(asked.get("messages") if isinstance(asked, dict) else asked, where)
        chosen, rejected = (_turns(row.get(name), where) for name in ("preferred_output", "non_preferred_output"))
        scores = {}
    else:
        prompt, chosen, rejected = _chosen_and_rejected(row, where)
        names = {"chosen": "score_chosen", "rejected": "score_rejected"}
        scores = {ours: _number(row.get(theirs)) for ours, theirs in names.items()}
    known = {name: score for name, score in scores.items() if score is not None}
    parts = {"prompt": prompt, "chosen": chosen, "rejected": rejected, "scores": known}
    return parse_preference({**parts, "language": labels(row)["language"]}, where)


def _chosen_and_rejected(
    row: Row, where: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Prompt and answers, the prompt from its own field or from what both answers begin with."""
    chosen, rejected = (_dialogue(row.get(name), where, name) for name in ("chosen", "rejected"))
    given = row.get("prompt", row.get("instruction", row.get("question")))
    if given is None or len(chosen) > 1 or len(rejected) > 1:
        if len(chosen) < 2 or chosen[:-1] != rejected[:-1]:
            raise DataError(f"{where}: no `prompt`, and the answers do not begin with the same one")
        return chosen[:-1], chosen[-1:], rejected[-1:]
    asked = _as_list(given)
    prompt = _turns(asked, where) if isinstance(asked, list) else [_spoken("user", asked, "prompt", where)]
    system = _text(row, ("system", "system_prompt"))
    if system and prompt[0]["role"] != "system":
        prompt = [{"role": "system", "content": system}, *prompt]
    return prompt, chosen, rejected


def _dialogue(value: object, where: str, name: str) -> list[dict[str, Any]]:
    """Turns, or one text: an answer, or a dialogue written as `\\n\\nHuman: ...\\n\\nAssistant: ...`."""
    listed = _as_list(value)
    if isinstance(listed, list):
        return _turns(listed, where)
    text = _spoken("assistant", listed, name, where)["content"]
    if not text.startswith(_HUMAN):
        return [{"role": "assistant", "content": text}]
    turns = []
    for part in text.split(_HUMAN)[1:]:
        question, mark, answer = part.partition(_ASSISTANT)
        turns.append({"role": "user", "content": question.strip()})
        if mark:
            turns.append({"role": "assistant", "content": answer.strip()})
    return turns


def _ranked(
    row: Row, where: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]], dict[str, float | None]]:
    """Of several scored completions the best and the worst; equal scores leave the first of each in place."""
    scored = []
    for item in row["completions"] if isinstance(row["completions"], list) else ():
        score = _number(item.get("overall_score", item.get("score"))) if isinstance(item, dict) else None
        text = item.get("response", item.get("text", item.get("content"))) if isinstance(item, dict) else None
        if score is not None and isinstance(text, str) and text.strip():
            scored.append((score, text))
    if len({score for score, _ in scored}) < 2:
        raise DataError(f"{where}: `completions` has {len(scored)} scored answers; expected two with different scores")
    best, worst = max(scored, key=lambda s: s[0]), min(scored, key=lambda s: s[0])
    prompt = [{"role": "user", "content": _required(row, ("instruction", "prompt"), where)}]
    answers = ([{"role": "assistant", "content": text}] for _, text in (best, worst))
    chosen, rejected = answers
    return prompt, chosen, rejected, {"chosen": best[0], "rejected": worst[0]}


def _number(value: object) -> float | None:
    """A score; None where there is none that can be compared."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _short(value: object) -> str:
    if value is None:
        return "missing"
    return f"{type(value).__name__} {str(value)[:40]!r}" if isinstance(value, str) else f"a {type(value).__name__}"


_READERS: dict[Format, Callable[[Row, str], list[dict[str, Any]]]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt": _prompt,
}
