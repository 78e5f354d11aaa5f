"""The database in, every item with all that was said of it out, and what its annotators settled on."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from seallm.base.records import Conversation, Message, Preference
from seallm.review.database import Database
from seallm.review.judging import SKIP
from seallm.review.store import read_settings

Settled = Literal["accepted", "edited", "rejected", "disputed"]


@dataclass(frozen=True)
class Judgement:
    """What one annotator said; for a comparison `verdict` is first, second, tie or both_bad, as in the item.

    Attributes:
        left: number of the answer that stood left; None for a conversation.
        messages: all turns as they should be, for the verdict "edit".
        seconds: that it took; None where that is not known.
    """

    annotator: str
    verdict: str
    reasons: tuple[str, ...]
    note: str
    messages: tuple[Message, ...]
    left: int | None
    seconds: float | None


@dataclass(frozen=True)
class JudgedItem:
    """An item, and its judgements in the order they were made; skipping is none."""

    id: str
    kind: str
    language: str
    category: str
    question: str
    content: dict[str, Any]
    judgements: list[Judgement] = field(default_factory=list)

    @property
    def models(self) -> tuple[str, str]:
        """Of the two answers of a comparison, in the item's order."""
        first, second = (answer["model"] for answer in self.content["answers"])
        return str(first), str(second)


@dataclass(frozen=True)
class Reviews:
    """All that a database knows.

    Attributes:
        seed: that it was begun with.
        items: that somebody judged, in the order of the queue.
        waiting: items by language that want more annotators.
        skips: by annotator.
    """

    seed: int
    items: list[JudgedItem]
    waiting: dict[str, int]
    skips: dict[str, int]


def read_reviews(database: Database) -> Reviews:
    """Everything, as of one moment.

    Raises:
        WorkspaceError: the database is missing, in use or damaged.
    """
    with database.reading() as connection:
        seed = int(read_settings(connection)["seed"])
        items: dict[str, JudgedItem] = {}
        for row in connection.execute(
            "SELECT items.*, j.* FROM items JOIN judgements j ON j.item = items.id WHERE verdict <> ?"
            " ORDER BY position, id, number",
            (SKIP,),
        ):
            if row["id"] not in items:
                items[row["id"]] = JudgedItem(
                    id=row["id"],
                    kind=row["kind"],
                    language=row["language"],
                    category=row["category"],
                    question=row["question"],
                    content=json.loads(row["content"]),
                )
            items[row["id"]].judgements.append(_judgement(dict(row)))
        waiting = connection.execute("SELECT language, count(*) FROM items WHERE done < wanted GROUP BY language")
        skips = connection.execute("SELECT annotator, count(*) FROM judgements WHERE verdict = ? GROUP BY 1", (SKIP,))
        return Reviews(seed, list(items.values()), dict(map(tuple, waiting)), dict(map(tuple, skips)))


def _judgement(row: dict[str, Any]) -> Judgement:
    detail = json.loads(row["detail"])
    messages = tuple(Message(**message) for message in detail.get("messages", ()))
    said = (tuple(detail["reasons"]), detail["note"], messages, detail.get("left"), row["seconds"])
    return Judgement(row["annotator"], row["verdict"], *said)


def settled(item: JudgedItem) -> Settled:
    """What the annotators of a conversation settled on: what most of them say.

    As many for keeping it as against is disputed. One that is kept is edited, unless more accepted it as it was.
    """
    votes = Counter(judgement.verdict for judgement in item.judgements)
    kept = votes["accept"] + votes["edit"]
    if kept == votes["reject"]:
        return "disputed"
    if kept < votes["reject"]:
        return "rejected"
    return "accepted" if votes["accept"] > votes["edit"] else "edited"


def conversations(items: list[JudgedItem]) -> Iterator[Conversation]:
    """Those that were accepted, and those that were edited as the last edit has them."""
    for item in items:
        if item.kind != "conversation" or (found := settled(item)) not in ("accepted", "edited"):
            continue
        original = tuple(Message(**message) for message in item.content["messages"])
        edits = [judgement.messages for judgement in item.judgements if judgement.verdict == "edit"]
        text = {key: item.content[key] for key in ("language", "category", "source", "licence")}
        yield Conversation(edits[-1] if found == "edited" else original, **text)


def preferences(items: list[JudgedItem]) -> Iterator[Preference]:
    """Pairs where more annotators preferred one answer than the other.

    Answers of several turns are left out: what was asked before the last one differs, so they share no prompt.
    """
    for item in items:
        if item.kind != "comparison":
            continue
        votes = Counter(judgement.verdict for judgement in item.judgements)
        if votes["first"] == votes["second"]:
            continue
        prompt = tuple(Message(**message) for message in item.content["prompt"])
        answers = [tuple(Message(**m) for m in answer["messages"]) for answer in item.content["answers"]]
        if any(len(answer) > 1 for answer in answers):
            continue
        chosen, rejected = answers if votes["first"] > votes["second"] else answers[::-1]
        scores = {
            "judgements": len(item.judgements),
            "preferring_share": max(votes["first"], votes["second"]) / len(item.judgements),
        }
        yield Preference(prompt, chosen, rejected, item.language, scores)
