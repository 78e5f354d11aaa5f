"""An annotator in, the next item out; a verdict in, a judgement on disk out. Undo takes the last one back.

An item that is shown is lent to its annotator for a quarter of an hour, and meanwhile counts as if judged, so that no
two people do the same work unasked. If both judge it all the same, both judgements are kept. One person has at most one
judgement of an item; a later one takes the place of the earlier. Everything that was ever said stays in the history.

Which answer of a pair stands left is drawn from seed, item and annotator: the same for one person after a reload, even
over all people. Names of models never leave this side.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.review.annotators import Annotator
from seallm.review.store import draw, read_settings

LEASE_SECONDS = 900.0
SKIP, UNDO = "skip", "undo"
REASONS = ("wrong facts", "unnatural language", "wrong language", "does not help", "unsafe", "wrong form")
VERDICTS = {
    "conversation": ("accept", "edit", "reject", SKIP),
    "comparison": ("left", "right", "tie", "both_bad", SKIP),
}
_OPEN = """
    done < wanted AND (:language IS NULL OR language = :language)
    AND (:among = '' OR instr(:among, ',' || language || ','))
    AND NOT EXISTS (SELECT 1 FROM judgements WHERE item = items.id AND annotator = :annotator)
"""


class UnknownItem(DataError):
    """There is no item of this id."""


@dataclass(frozen=True)
class Verdict:
    """What an annotator said of an item.

    Attributes:
        item: its id.
        verdict: of `VERDICTS`.
        reasons: of `REASONS`.
        note: in the annotator's words.
        messages: all turns as they should be, for the verdict "edit" alone.
        seconds: that it took, as the page measured it.
    """

    item: str
    verdict: str
    reasons: tuple[str, ...] = ()
    note: str = ""
    messages: tuple[Message, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class Shown:
    """An item as an annotator sees it.

    Attributes:
        messages: the conversation, or the prompt.
        answers: left and right; empty for a conversation.
        earlier: what they said of it before they took it back.
    """

    id: str
    kind: str
    language: str
    category: str
    messages: list[dict[str, str]]
    answers: list[list[dict[str, str]]] = field(default_factory=list)
    earlier: dict[str, Any] | None = None


def next_item(
    connection: sqlite3.Connection,
    annotator: Annotator,
    language: str | None,
    now: Callable[[], float] = time.time,
) -> Shown | None:
    """Lend the annotator an item: the one that is lent to them already, else the first in the queue that needs them.

    Args:
        connection: of a writing transaction.
        annotator: who asks.
        language: only this one; None: any of theirs.
        now: seconds.

    Returns:
        None where nothing is left, or others have the last ones before them.
    """
    values = {"annotator": annotator.name, "language": language, "among": _among(annotator), "now": now()}
    row = connection.execute(
        "SELECT items.* FROM leases JOIN items ON items.id = leases.item WHERE annotator = :annotator"
        " AND (:language IS NULL OR language = :language)"
        " AND NOT EXISTS (SELECT 1 FROM judgements j WHERE j.item = items.id AND j.annotator = :annotator)",
        values,
    ).fetchone()
    row = (
        row
        or connection.execute(
            f"SELECT * FROM items WHERE {_OPEN} AND done + (SELECT count(*) FROM leases WHERE item = items.id"
            " AND annotator <> :annotator AND until > :now) < wanted ORDER BY position, id LIMIT 1",
            values,
        ).fetchone()
    )
    if row is None:
        return None
    return _lend(connection, row, annotator, now())


def _among(annotator: Annotator) -> str:
    return f",{','.join(annotator.languages)}," if annotator.languages else ""


def _lend(connection: sqlite3.Connection, row: sqlite3.Row, annotator: Annotator, now: float) -> Shown:
    lease = (annotator.name, row["id"], now + LEASE_SECONDS)
    connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", lease)
    content = json.loads(row["content"])
    shown = Shown(
        row["id"], row["kind"], row["language"], row["category"], content.get("messages") or content["prompt"]
    )
    if row["kind"] == "comparison":
        answers = [answer["messages"] for answer in content["answers"]]
        left = left_answer(int(read_settings(connection)["seed"]), row["id"], annotator.name)
        shown.answers.extend((answers[left], answers[1 - left]))
    return shown


def left_answer(seed: int, item: str, annotator: str) -> int:
    """Which answer stands left: 0 or 1."""
    return int(draw(seed, "side", item, annotator) < 0.5)


def save(
    connection: sqlite3.Connection, annotator: str, verdict: Verdict, now: Callable[[], float] = time.time
) -> None:
    """Keep a judgement; the same one sent twice is one.

    Args:
        connection: of a writing transaction.
        annotator: who judges.
        verdict: what they say.
        now: seconds.

    Raises:
        UnknownItem: there is no such item.
        DataError: the verdict, a reason or the edit does not fit the item.
    """
    row = connection.execute("SELECT * FROM items WHERE id = ?", (verdict.item,)).fetchone()
    if row is None:
        raise UnknownItem(f"there is no item {verdict.item!r} here")
    _check(verdict, row)
    detail: dict[str, Any] = {"reasons": sorted(set(verdict.reasons)), "note": verdict.note.strip()}
    said = verdict.verdict
    if verdict.messages:
        detail["messages"] = [asdict(message) for message in verdict.messages]
    if row["kind"] == "comparison":
        left = left_answer(int(read_settings(connection)["seed"]), verdict.item, annotator)
        detail["left"] = left
        said = {"left": ("first", "second")[left], "right": ("second", "first")[left]}.get(said, said)
    record(connection, annotator, row["id"], said, detail, verdict.seconds, now())


def record(
    connection: sqlite3.Connection,
    annotator: str,
    item: str,
    said: str,
    detail: dict[str, Any],
    seconds: float | None,
    now: float,
) -> None:
    """Write a judgement, its line in the history, and how often the item was judged."""
    text = json.dumps(detail, ensure_ascii=False, sort_keys=True)
    at = (item, annotator)
    before = connection.execute(
        "SELECT verdict, detail FROM judgements WHERE item = ? AND annotator = ?", at
    ).fetchone()
    connection.execute("DELETE FROM leases WHERE item = ? AND annotator = ?", at)
    if before and tuple(before) == (said, text):
        return  # sent again, since the first answer was lost on its way
    number = _remember(connection, annotator, item, said, text, now)
    connection.execute("INSERT OR IGNORE INTO annotators VALUES (?, NULL, '')", (annotator,))
    row = (item, annotator, said, text, seconds, number)
    connection.execute("INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?, ?, ?)", row)
    _count(connection, item)


def _remember(connection: sqlite3.Connection, annotator: str, item: str, verdict: str, detail: str, now: float) -> int:
    row = (now, item, annotator, verdict, detail)
    cursor = connection.execute(
        "INSERT INTO history (at, item, annotator, verdict, detail) VALUES (?, ?, ?, ?, ?)", row
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _count(connection: sqlite3.Connection, item: str) -> None:
    connection.execute(
        "UPDATE items SET done = (SELECT count(*) FROM judgements WHERE item = items.id AND verdict <> ?) WHERE id = ?",
        (SKIP, item),
    )


def _check(verdict: Verdict, row: sqlite3.Row) -> None:
    kind = row["kind"]
    if verdict.verdict not in VERDICTS[kind]:
        raise DataError(f"verdict {verdict.verdict!r} of a {kind}; expected one of {', '.join(VERDICTS[kind])}")
    unknown = set(verdict.reasons) - set(REASONS)
    if unknown:
        raise DataError(f"reason {min(unknown)!r}; expected some of {', '.join(REASONS)}")
    if (verdict.verdict == "edit") != bool(verdict.messages):
        raise DataError("the verdict 'edit' needs all messages as they should be, and no other verdict has them")
    if not verdict.messages:
        return
    original = json.loads(row["content"])["messages"]
    if [message.role for message in verdict.messages] != [message["role"] for message in original]:
        raise DataError("the edit has other roles than the conversation; only the texts can change")
    if any(not message.content.strip() for message in verdict.messages):
        raise DataError("a turn of the edit is empty; write its text, or reject the conversation")
    if [asdict(message) for message in verdict.messages] == original:
        raise DataError("the edit changes nothing; accept the conversation instead")


def undo(connection: sqlite3.Connection, annotator: Annotator, now: Callable[[], float] = time.time) -> Shown | None:
    """Take back the annotator's last judgement that still stands, and lend them its item again.

    Returns:
        The item with what they had said; None where nothing stands.
    """
    row = connection.execute(
        "SELECT item, verdict, detail FROM judgements WHERE annotator = ? ORDER BY number DESC LIMIT 1",
        (annotator.name,),
    ).fetchone()
    if row is None:
        return None
    connection.execute("DELETE FROM judgements WHERE item = ? AND annotator = ?", (row["item"], annotator.name))
    _remember(connection, annotator.name, row["item"], UNDO, "{}", now())
    _count(connection, row["item"])
    item = connection.execute("SELECT * FROM items WHERE id = ?", (row["item"],)).fetchone()
    shown = _lend(connection, item, annotator, now())
    earlier = {"verdict": row["verdict"], **json.loads(row["detail"])}
    if "left" in earlier:
        sides = ("left", "right") if earlier.pop("left") == 0 else ("right", "left")
        earlier["verdict"] = dict(zip(("first", "second"), sides, strict=True)).get(row["verdict"], row["verdict"])
    return Shown(**{**asdict(shown), "earlier": earlier})


def progress(connection: sqlite3.Connection, annotator: Annotator) -> dict[str, Any]:
    """How far it has come.

    Returns:
        {"mine": judgements of the annotator, "languages": [{"language", "left" for the annotator, "done", "total"}]}.
    """
    values = {"annotator": annotator.name, "language": None, "among": _among(annotator)}
    rows = connection.execute(
        f"SELECT language, sum({_OPEN}) AS left, sum(done >= wanted) AS done, count(*) AS total FROM items"
        " WHERE :among = '' OR instr(:among, ',' || language || ',') GROUP BY language ORDER BY language",
        values,
    )
    languages = [dict(row) for row in rows]
    mine = connection.execute(
        "SELECT count(*) FROM judgements WHERE annotator = ? AND verdict <> ?", (annotator.name, SKIP)
    ).fetchone()[0]
    return {"mine": mine, "languages": languages}
