"""JSON rows in, items to review out: a conversation to accept, edit or reject, or two answers to compare.

    {"messages": [{"role": "user", "content": "..."}, ...], "language": "th", "category": "...", "source": "..."}
    {"prompt": "..." or [messages], "language": "th", "answers": [{"model": "a", "text": "..."}, {"model": "b", ...}]}
    {"prompt": [messages], "chosen": [messages], "rejected": [messages], "language": "th"}

A text may be turns too. The third is a preference as `seallm` and TRL write it: people compare its answers, whose
"models" are then called chosen and rejected. An item's id is made of its text: a row that occurs twice, or in the other
order, is one item.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from seallm.base.errors import DataError
from seallm.base.files import fingerprint, read_json_lines
from seallm.base.records import Conversation, Message, Role, parse_conversation, parse_messages, parse_preference

Kind = Literal["conversation", "comparison"]
ID_DIGITS = 20
MAX_CONTENT_CHARACTERS = 200_000
INPUT_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")


@dataclass(frozen=True)
class Answer:
    """What one model answered; annotators never see its name.

    Attributes:
        model: its name.
        messages: one turn; or several, where the answers to earlier questions of a conversation differ too.
    """

    model: str
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Comparison:
    """One prompt and two answers.

    Attributes:
        prompt: the turns before the answers, the last one the user's.
        answers: of two different models.
        language: code of the language.
        category: shown to annotators, and kept.
        question: answers to the same question stand or fall together in intervals; "" takes language and prompt.
    """

    prompt: tuple[Message, ...]
    answers: tuple[Answer, Answer]
    language: str
    category: str = ""
    question: str = ""


@dataclass(frozen=True)
class Item:
    """Something to review.

    Attributes:
        id: of its text.
        kind: which of the two it is.
        language: code; "" where the row had none.
        category: of the row.
        question: what intervals are clustered by.
        content: the record, as JSON values.
    """

    id: str
    kind: Kind
    language: str
    category: str
    question: str
    content: dict[str, Any]


def conversation_item(conversation: Conversation) -> Item:
    """An item to accept, edit or reject.

    Raises:
        DataError: it cannot be written as UTF-8, or is too long.
    """
    content = _plain(asdict(conversation))
    number = _id("conversation", conversation.language, content["messages"])
    return Item(number, "conversation", conversation.language, conversation.category, number, content)


def comparison_item(comparison: Comparison) -> Item:
    """An item to compare.

    Raises:
        DataError: both answers are of one model or are the same text, one is empty, cannot be written or is too long,
            or the prompt does not end with the user.
    """
    first, second = comparison.answers
    if not first.model.strip() or not second.model.strip() or first.model == second.model:
        raise DataError(f"the models are {first.model!r} and {second.model!r}; expected two different names")
    if first.messages == second.messages:
        raise DataError("both answers are the same: there is nothing to compare")
    for answer in comparison.answers:
        roles = [message.role for message in answer.messages]
        if len(roles) % 2 == 0 or {*roles[::2]} != {"assistant"} or {*roles[1::2]} - {"user"}:
            raise DataError(f"the answer of {answer.model} has roles {roles}; expected assistant, user, ... assistant")
        if not all(message.content.strip() for message in answer.messages):
            raise DataError(f"the answer of {answer.model} has no text")
    if not comparison.prompt or comparison.prompt[-1].role != "user":
        raise DataError("the prompt does not end with a turn of the user")
    content = _plain(asdict(comparison))
    pair = sorted(content["answers"], key=lambda answer: str(answer["model"]))
    number = _id("comparison", comparison.language, [content["prompt"], pair])
    question = comparison.question or _id("question", comparison.language, content["prompt"])
    return Item(number, "comparison", comparison.language, comparison.category, question, content)


def _id(*parts: object) -> str:
    return fingerprint(parts)[:ID_DIGITS]


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """The content as JSON gives it back."""
    text = json.dumps(content, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError("the text has half of a surrogate pair, which is no character") from None
    if len(text) > MAX_CONTENT_CHARACTERS:
        raise DataError(f"{len(text):,} characters; expected at most {MAX_CONTENT_CHARACTERS:,}")
    plain: dict[str, Any] = json.loads(text)
    return plain


def parse_item(row: Mapping[str, Any], where: str) -> Item:
    """Turn one JSON object into an item.

    Raises:
        DataError: it is none of the three shapes; `where` names the place.
    """
    try:
        if "messages" in row:
            return conversation_item(parse_conversation(_stripped(row), where))
        if "chosen" in row or "rejected" in row:
            return comparison_item(_from_preference(_stripped(row), where))
        if "prompt" in row:
            return comparison_item(_comparison(_stripped(row), where))
    except DataError as error:
        raise error if str(error).startswith(where) else DataError(f"{where}: {error}") from None
    raise DataError(f"{where}: has neither 'messages' (a conversation) nor 'prompt' (two answers to compare)")


def _from_preference(row: Mapping[str, Any], where: str) -> Comparison:
    preference = parse_preference(row, where)
    answers = (Answer("chosen", preference.chosen), Answer("rejected", preference.rejected))
    return Comparison(preference.prompt, answers, row["language"], row["category"], _question(row))


def _question(row: Mapping[str, Any]) -> str:
    return str(row.get("question") or row.get("question_id") or "")


def _stripped(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "language": str(row.get("language") or "").strip(), "category": str(row.get("category") or "")}


def _comparison(row: Mapping[str, Any], where: str) -> Comparison:
    answers = row.get("answers")
    pair = answers if isinstance(answers, list) and all(isinstance(answer, dict) for answer in answers) else []
    if len(pair) != 2 or not all(isinstance(answer.get("model"), str) for answer in pair):
        raise DataError(f"{where}: expected 'answers' with two objects {{model, text}}")
    first, second = (
        Answer(answer["model"], _turns(answer.get("text"), "assistant", f"{where}: answer {number}"))
        for number, answer in enumerate(pair, 1)
    )
    prompt = _turns(row["prompt"], "user", f"{where}: prompt")
    return Comparison(prompt, (first, second), row["language"], row["category"], _question(row))


def _turns(value: object, role: Role, where: str) -> tuple[Message, ...]:
    """A text is one turn of `role`."""
    return parse_messages([{"role": role, "content": value}] if isinstance(value, str) else value, where)


def input_files(folder: Path) -> list[Path]:
    """The JSONL files that lie in a folder itself, sorted; what `seallm review` writes lies deeper.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder. Give one with *.jsonl files of conversations or pairs of answers")
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and file.name.endswith(INPUT_SUFFIXES) and not file.name.startswith(".")
    )


def read_items(files: Iterable[Path]) -> tuple[list[Item], list[str]]:
    """All items of some files, each once, and one line for each bad row (the quarantine).

    Raises:
        DataError: a file is missing or is a damaged archive.
    """
    items: dict[str, Item] = {}
    bad: list[str] = []
    for file in files:
        for number, row in read_json_lines(file):
            try:
                if isinstance(row, DataError):
                    raise row
                item = parse_item(row, f"{file}:{number}")
                items.setdefault(item.id, item)
            except DataError as error:
                bad.append(str(error))
    return list(items.values()), bad
