"""The queue, leases, verdicts, sides and undo, without HTTP."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.review.annotators import Annotator
from seallm.review.database import Database
from seallm.review.judging import (
    LEASE_SECONDS,
    Shown,
    UnknownItem,
    Verdict,
    left_answer,
    next_item,
    progress,
    save,
    undo,
)
from seallm.review.store import fill, open_reviews
from tests.review.rows import pair, write

ANN, BO = Annotator("Ann"), Annotator("Bo")


class Reviewing:
    """One database and a clock that is set by hand."""

    def __init__(self, database: Database) -> None:
        self.database, self.now = database, 0.0

    def _write(self, work: Callable[..., Any], *arguments: Any) -> Any:
        with self.database.writing() as connection:
            return work(connection, *arguments, now=lambda: self.now)

    def next(self, who: Annotator, language: str | None = None) -> Shown | None:
        shown: Shown | None = self._write(next_item, who, language)
        return shown

    def say(self, who: Annotator, item: Shown | str, verdict: str, **more: Any) -> None:
        number = item if isinstance(item, str) else item.id
        self._write(save, who.name, Verdict(number, verdict, **more))

    def undo(self, who: Annotator) -> Shown | None:
        shown: Shown | None = self._write(undo, who)
        return shown

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]


@pytest.fixture
def reviewing(database: Database) -> Reviewing:
    return Reviewing(database)


def some(shown: Shown | None) -> Shown:
    assert shown is not None
    return shown


def finish(reviewing: Reviewing, who: Annotator) -> list[str]:
    """Judge until nothing is left."""
    seen = []
    while shown := reviewing.next(who):
        reviewing.say(who, shown, "accept" if shown.kind == "conversation" else "tie")
        seen.append(shown.id)
    return seen


def test_everything_is_seen_once(reviewing: Reviewing) -> None:
    seen = finish(reviewing, ANN)
    assert len(seen) == len(set(seen)) == 7
    assert reviewing.next(BO) is None


def test_overlap_brings_items_to_a_second_annotator_and_no_third(folder: Path) -> None:
    fill(folder, overlap=1.0, raters=2)
    reviewing = Reviewing(open_reviews(folder))
    assert sorted(finish(reviewing, ANN)) == sorted(finish(reviewing, BO))
    assert reviewing.next(Annotator("Cy")) is None


def test_an_item_before_one_is_not_given_to_another(reviewing: Reviewing) -> None:
    mine = some(reviewing.next(ANN))
    assert reviewing.next(ANN) == mine  # a reload
    assert mine.id not in finish(reviewing, BO)
    assert some(reviewing.next(ANN)).id == mine.id


def test_a_lease_ends(reviewing: Reviewing) -> None:
    mine = some(reviewing.next(ANN))
    reviewing.now = LEASE_SECONDS + 1
    assert some(reviewing.next(BO)).id == mine.id


def test_two_annotators_on_one_item_are_both_kept(reviewing: Reviewing) -> None:
    shown = some(reviewing.next(ANN, "th"))
    verdicts = ("accept", "reject") if shown.kind == "conversation" else ("left", "tie")
    reviewing.say(ANN, shown, verdicts[0])
    reviewing.say(BO, shown, verdicts[1])
    assert len(reviewing.rows("SELECT * FROM judgements")) == 2
    assert reviewing.rows(f"SELECT done FROM items WHERE id = '{shown.id}'") == [(2,)]


def test_sent_twice_it_is_one_and_the_later_takes_its_place(reviewing: Reviewing) -> None:
    shown = some(reviewing.next(ANN, "km"))
    for verdict in ("accept", "accept", "reject"):
        reviewing.say(ANN, shown, verdict)
    assert reviewing.rows("SELECT verdict FROM judgements") == [("reject",)]
    assert reviewing.rows("SELECT verdict FROM history") == [("accept",), ("reject",)]
    assert reviewing.rows(f"SELECT done FROM items WHERE id = '{shown.id}'") == [(1,)]


def test_a_skipped_item_goes_to_another(reviewing: Reviewing) -> None:
    shown = some(reviewing.next(ANN, "my"))
    reviewing.say(ANN, shown, "skip")
    assert reviewing.next(ANN, "my") is None
    assert some(reviewing.next(BO, "my")).id == shown.id
    assert reviewing.rows(f"SELECT done FROM items WHERE id = '{shown.id}'") == [(0,)]


def test_languages_of_an_annotator(reviewing: Reviewing) -> None:
    lao = Annotator("Cy", ("lo", "vi"))
    with reviewing.database.reading() as connection:
        assert [row["language"] for row in progress(connection, lao)["languages"]] == ["lo", "vi"]
    assert len(finish(reviewing, lao)) == 2
    assert reviewing.next(lao, "th") is None
    with reviewing.database.reading() as connection:
        made = progress(connection, lao)
    assert (made["mine"], [(row["left"], row["done"], row["total"]) for row in made["languages"]]) == (
        2,
        [(0, 1, 1)] * 2,
    )


def test_undo_goes_back_step_by_step(reviewing: Reviewing) -> None:
    first = some(reviewing.next(ANN, "km"))
    edit = (Message("user", first.messages[0]["content"]), Message("assistant", "ថ្មី"))
    reviewing.say(ANN, first, "edit", messages=edit, reasons=("wrong facts",), note=" x ")
    second = some(reviewing.next(ANN, "vi"))
    reviewing.say(ANN, second, "left", reasons=("unsafe",))
    back = some(reviewing.undo(ANN))
    assert (back.id, back.answers) == (second.id, second.answers)
    assert back.earlier == {"verdict": "left", "reasons": ["unsafe"], "note": ""}
    assert some(reviewing.next(ANN)).id == second.id  # lent again
    back = some(reviewing.undo(ANN))
    assert back.earlier is not None
    assert (back.id, back.earlier["note"], back.earlier["messages"][1]["content"]) == (first.id, "x", "ថ្មី")
    assert reviewing.undo(ANN) is None
    assert reviewing.rows("SELECT count(*) FROM judgements") == [(0,)]
    assert reviewing.rows("SELECT verdict FROM history")[-2:] == [("undo",), ("undo",)]
    assert reviewing.rows("SELECT sum(done) FROM items") == [(0,)]


def test_undo_is_one_s_own(reviewing: Reviewing) -> None:
    shown = some(reviewing.next(ANN))
    reviewing.say(ANN, shown, "skip")
    assert reviewing.undo(BO) is None


def test_sides_are_drawn_by_annotator_and_verdicts_turned_back(tmp_path: Path) -> None:
    folder = write(tmp_path, "a.jsonl", [pair(number) for number in range(40)])
    fill(folder, overlap=1.0)
    reviewing = Reviewing(open_reviews(folder))
    for who in (ANN, BO):
        while shown := reviewing.next(who):
            longer = len(shown.answers[0][0]["content"]) > len(shown.answers[1][0]["content"])
            reviewing.say(who, shown, "left" if longer else "right")
    assert set(reviewing.rows("SELECT verdict FROM judgements")) == {("second",)}  # the longer one, wherever it stood
    items = [item for (item,) in reviewing.rows("SELECT id FROM items")]
    sides = [[left_answer(0, item, who.name) for item in items] for who in (ANN, BO)]
    assert all(8 <= sum(side) <= 32 for side in sides)
    assert sides[0] != sides[1]


@pytest.mark.parametrize(
    ("language", "verdict", "message"),
    [
        ("km", Verdict("", "left"), "verdict 'left' of a conversation"),
        ("vi", Verdict("", "accept"), "verdict 'accept' of a comparison"),
        ("km", Verdict("", "reject", reasons=("boring",)), "reason 'boring'"),
        ("km", Verdict("", "edit"), "needs all messages"),
        ("km", Verdict("", "accept", messages=(Message("user", "x"),)), "no other verdict"),
        ("km", Verdict("", "edit", messages=(Message("user", "x"),)), "other roles"),
        ("km", Verdict("", "edit", messages=(Message("user", "x"), Message("assistant", " "))), "is empty"),
    ],
)
def test_verdicts_that_do_not_fit(reviewing: Reviewing, language: str, verdict: Verdict, message: str) -> None:
    shown = some(reviewing.next(ANN, language))
    with reviewing.database.writing() as connection, pytest.raises(DataError, match=message):
        save(connection, "Ann", replace(verdict, item=shown.id))
    same = tuple(Message(**turn) for turn in shown.messages)  # type: ignore[arg-type]
    with reviewing.database.writing() as connection, pytest.raises(DataError):
        save(connection, "Ann", Verdict(shown.id, "edit", messages=same))
    assert reviewing.rows("SELECT count(*) FROM history") == [(0,)]


def test_an_item_that_is_not_there(reviewing: Reviewing) -> None:
    with reviewing.database.writing() as connection, pytest.raises(UnknownItem, match="no item 'x'"):
        save(connection, "Ann", Verdict("x", "accept"))
