"""The records that flow between stages: Document, Conversation, Preference, and how they lie on disk.

Documents are Parquet (zstd) columns and never pass through Python one by one in hot loops, so `Document` is an Arrow
schema. Conversations and preferences are few and nested: frozen dataclasses, one JSON object a line. `Preference` is
the conversational preference format that TRL reads.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines, write_json_lines

Role = Literal["system", "user", "assistant"]
Tier = Literal["high", "low"]

DOCUMENT_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("tier", pa.string()),
        pa.field("scores", pa.map_(pa.string(), pa.float32())),
        pa.field("reason", pa.string()),  # why it was dropped; null where it was kept
        pa.field("cluster_size", pa.int32()),  # near-duplicates that this document stands for, itself included
    ]
)


@dataclass(frozen=True)
class Message:
    """One turn."""

    role: Role
    content: str


@dataclass(frozen=True)
class Conversation:
    """A dialogue whose last turn is the assistant's."""

    messages: tuple[Message, ...]
    language: str
    category: str = ""
    source: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Preference:
    """One prompt with a better and a worse answer."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    language: str
    scores: Mapping[str, float] = field(default_factory=dict)


def parse_messages(value: object, where: str) -> tuple[Message, ...]:
    """Read `[{"role": ..., "content": ...}, ...]`.

    Raises:
        DataError: not a list of turns, an unknown role, or an empty turn; `where` names the place.
    """
    if not isinstance(value, list) or not value:
        raise DataError(f"{where}: expected a non-empty list of messages, found {type(value).__name__}")
    messages = []
    for number, item in enumerate(value):
        role, content = (item.get("role"), item.get("content")) if isinstance(item, dict) else (None, None)
        if role not in ("system", "user", "assistant"):
            raise DataError(f"{where}: message {number} has role {role!r}; expected one of {', '.join(get_args(Role))}")
        if not isinstance(content, str) or not content.strip():
            raise DataError(f"{where}: message {number} ({role}) has no text")
        messages.append(Message(role, content))
    return tuple(messages)


def parse_conversation(row: Mapping[str, Any], where: str) -> Conversation:
    """Turn one JSON object into a Conversation.

    Raises:
        DataError: turns are malformed, do not alternate, or do not end with the assistant.
    """
    messages = parse_messages(row.get("messages"), where)
    turns = [m.role for m in messages if m.role != "system"]
    expected = ["user", "assistant"] * (len(turns) // 2)
    if turns != expected or any(m.role == "system" for m in messages[1:]):
        raise DataError(
            f"{where}: roles {[m.role for m in messages]} must alternate user, assistant and end with assistant"
        )
    text = {key: str(row.get(key) or "") for key in ("language", "category", "source", "licence")}
    return Conversation(messages, **text)


def read_conversations(path: Path) -> tuple[list[Conversation], list[str]]:
    """Read a JSONL file; return its good conversations and one line for each bad row (the quarantine)."""
    good: list[Conversation] = []
    bad: list[str] = []
    for number, row in read_json_lines(path):
        try:
            if isinstance(row, DataError):
                raise row
            good.append(parse_conversation(row, f"{path}:{number}"))
        except DataError as error:
            bad.append(str(error))
    return good, bad


def write_conversations(path: Path, conversations: Iterable[Conversation]) -> None:
    """Write one JSON object a line, atomically."""
    write_json_lines(path, (asdict(c) for c in conversations))


def read_preferences(path: Path) -> Iterator[Preference]:
    """Read what `write_preferences` or TRL wrote.

    Raises:
        DataError: a row is malformed.
    """
    for number, row in read_json_lines(path):
        if isinstance(row, DataError):
            raise row
        where = f"{path}:{number}"
        prompt, chosen, rejected = (parse_messages(row.get(key), where) for key in ("prompt", "chosen", "rejected"))
        yield Preference(prompt, chosen, rejected, str(row.get("language") or ""), dict(row.get("scores") or {}))


def write_preferences(path: Path, preferences: Iterable[Preference]) -> None:
    """Write one JSON object a line, atomically."""
    write_json_lines(path, (asdict(p) for p in preferences))
