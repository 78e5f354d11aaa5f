"""The records that flow between stages: Document, Conversation, Preference, and how they lie on disk.

Documents are Parquet (zstd) columns and never pass through Python one by one in hot loops, so `Document` is an Arrow
schema. Conversations and preferences are few and nested: frozen dataclasses, one JSON object a line. `Preference` is
the conversational preference format that TRL reads.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import fingerprint, read_json_lines, write_json_lines

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


def parse_preference(row: Mapping[str, Any], where: str) -> Preference:
    """Turn a row in one of TRL's preference formats into a Preference.

    Conversational with a prompt of its own, conversational with the prompt at the start of both answers, or plain
    strings. `language` and `scores` may be absent.

    Raises:
        DataError: a part is missing or malformed, turns of the prompt do not alternate, an answer is more than one
            assistant turn, or both are the same.
    """
    chosen, rejected = (_turns(row.get(key), "assistant", f"{where}: {key}") for key in ("chosen", "rejected"))
    if row.get("prompt") is None:
        if chosen[:-1] != rejected[:-1] or len(chosen) < 2:
            raise DataError(f"{where}: without `prompt`, chosen and rejected must begin with the same turns")
        prompt, chosen, rejected = chosen[:-1], chosen[-1:], rejected[-1:]
    else:
        prompt = _turns(row["prompt"], "user", f"{where}: prompt")
    roles = [m.role for m in prompt if m.role != "system"]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"] or any(m.role == "system" for m in prompt[1:]):
        raise DataError(f"{where}: the prompt's roles {[m.role for m in prompt]} must alternate and end with the user")
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if [m.role for m in answer] != ["assistant"]:
            raise DataError(f"{where}: {name} has roles {[m.role for m in answer]}; expected one assistant turn")
    if chosen == rejected:
        raise DataError(f"{where}: chosen and rejected are the same")
    scores = row.get("scores")
    values = scores.items() if isinstance(scores, dict) else ()
    known = {k: float(v) for k, v in values if isinstance(v, int | float) and math.isfinite(v)}
    return Preference(prompt, chosen, rejected, str(row.get("language") or ""), known)


def _turns(value: object, role: Role, where: str) -> tuple[Message, ...]:
    """Messages, or a plain string as one message of a role."""
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    return parse_messages(value, where)


def read_preferences(path: Path) -> tuple[list[Preference], list[str]]:
    """Read JSONL or Parquet in one of TRL's preference formats; return good rows and one line for each bad one.

    Raises:
        DataError: the file is missing or damaged.
    """
    good: list[Preference] = []
    bad: list[str] = []
    rows = _parquet_rows(path) if path.suffix == ".parquet" else read_json_lines(path)
    for number, row in rows:
        try:
            if isinstance(row, DataError):
                raise row
            good.append(parse_preference(row, f"{path}:{number}"))
        except DataError as error:
            bad.append(str(error))
    return good, bad


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}). Write it again, or name a JSONL file") from None
    yield from enumerate(table.to_pylist(), 1)


def is_held_out(question: str, share: float, seed: int) -> bool:
    """True for about `share` of all questions, decided by a hash of the question: all its pairs are, or none is."""
    return int(fingerprint(["held out", seed, question])[:8], 16) < share * 2**32


def write_preferences(path: Path, preferences: Iterable[Preference]) -> None:
    """Write one JSON object a line, atomically."""
    write_json_lines(path, (asdict(p) for p in preferences))
