"""Conversations in, Arrow tables out and back: what is looked at by the million never passes through Python alone.

where     file and row, for messages
key       hash of words and labels: equal for equal conversations wherever they stand, and the order of all outputs
messages  list of {role, content}
language, category, source, licence
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.records import Conversation, Message

LABELS = ("language", "category", "source", "licence")
SCHEMA = pa.schema(
    [
        pa.field("where", pa.string()),
        pa.field("key", pa.string()),
        pa.field("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))),
        *(pa.field(name, pa.string()) for name in LABELS),
    ]
)
_KEY_BYTES = 16


class Turns(NamedTuple):
    """All turns of a table, in order.

    Attributes:
        texts: their contents, (t,) strings.
        owners: row of the conversation that each is of, (t,).
        is_user: (t,).
        is_assistant: (t,).
    """

    texts: pa.Array
    owners: npt.NDArray[np.int64]
    is_user: npt.NDArray[np.bool_]
    is_assistant: npt.NDArray[np.bool_]


def conversation_key(conversation: Conversation) -> str:
    """Hash of the words and labels, as hexadecimal digits."""
    words = [[m.role, m.content] for m in conversation.messages]
    content = json.dumps([words, *(getattr(conversation, name) for name in LABELS)], ensure_ascii=False)
    return hashlib.blake2b(content.encode(), digest_size=_KEY_BYTES).hexdigest()


def to_table(conversations: Sequence[tuple[str, Conversation]]) -> pa.Table:
    """Places and conversations as a table."""
    columns = {
        "where": [where for where, _ in conversations],
        "key": [conversation_key(c) for _, c in conversations],
        "messages": [[{"role": m.role, "content": m.content} for m in c.messages] for _, c in conversations],
        **{name: [getattr(c, name) for _, c in conversations] for name in LABELS},
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


def to_conversations(table: pa.Table) -> Iterator[Conversation]:
    """The conversations of a table, in its order."""
    for row in table.select(["messages", *LABELS]).to_pylist():
        messages = tuple(Message(m["role"], m["content"]) for m in row["messages"])
        yield Conversation(messages, **{name: row[name] for name in LABELS})


def turns_of(table: pa.Table) -> Turns:
    """Every turn of every conversation of the table."""
    lists = table["messages"].combine_chunks()
    values = lists.flatten()
    owners = np.repeat(np.arange(len(table)), np.asarray(lists.value_lengths()))
    roles = values.field("role").to_numpy(zero_copy_only=False)
    return Turns(values.field("content"), owners, roles == "user", roles == "assistant")


def joined(texts: pa.Array, owners: npt.NDArray[np.int64], rows: int) -> pa.Array:
    """One text a row: the texts that belong to it, each on lines of its own; empty where there is none."""
    parts: list[list[str]] = [[] for _ in range(rows)]
    for owner, text in zip(owners.tolist(), texts.to_pylist(), strict=True):
        parts[owner].append(text)
    return pa.array(["\n".join(part) for part in parts], pa.large_string())


def in_batches(items: Iterable[tuple[str, Conversation]], size: int) -> Iterator[pa.Table]:
    """Tables of at most `size` conversations."""
    batch: list[tuple[str, Conversation]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield to_table(batch)
            batch = []
    if batch:
        yield to_table(batch)
