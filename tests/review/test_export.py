"""What a folder's judgements become: files, figures, and what is said of disagreement."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seallm.base.errors import WorkspaceError
from seallm.base.files import read_json, read_json_lines
from seallm.base.records import Message, read_conversations, read_preferences
from seallm.comparisons.bradley_terry import bradley_terry
from seallm.review.database import Database
from seallm.review.export import export
from seallm.review.judging import Verdict, left_answer, save
from seallm.review.store import fill, open_reviews
from tests.review.rows import CONVERSATIONS, LATER_TURN, pair, write


class Said:
    """Judgements by the texts of items."""

    def __init__(self, folder: Path) -> None:
        self.database: Database = open_reviews(folder)

    def item(self, text: str) -> str:
        with self.database.reading() as connection:
            ((item,),) = connection.execute("SELECT id FROM items WHERE instr(content, ?)", (text,)).fetchall()
            return str(item)

    def say(self, who: str, text: str, verdict: str, **more: Any) -> None:
        with self.database.writing() as connection:
            save(connection, who, Verdict(self.item(text), verdict, **more))

    def prefer(self, who: str, text: str, answer: int) -> None:
        """Say that answer 0 or 1 of the item is better, wherever it stands."""
        self.say(who, text, "left" if left_answer(0, self.item(text), who) == answer else "right")


def edit(number: int, answer: str) -> tuple[Message, ...]:
    return (Message("user", CONVERSATIONS[number]["messages"][0]["content"]), Message("assistant", answer))


@pytest.fixture
def said(tmp_path: Path) -> Said:
    write(tmp_path, "a.jsonl", [*CONVERSATIONS, *(pair(number) for number in range(6)), pair(9, "lo", ("sft", "base"))])
    fill(tmp_path, overlap=1.0)
    return Said(tmp_path)


def test_conversations(said: Said, tmp_path: Path) -> None:
    thai, lao, khmer, burmese = (row["messages"][1]["content"] for row in CONVERSATIONS)
    said.say("Ann", thai, "accept")
    said.say("Bo", thai, "edit", messages=edit(0, "ค่ะ"))  # one edit is more than one acceptance
    said.say("Ann", lao, "accept")
    said.say("Bo", lao, "reject", reasons=("unsafe",))
    said.say("Ann", khmer, "reject")
    said.say("Ann", burmese, "accept")
    report = export(tmp_path, tmp_path / "out")
    kept, bad = read_conversations(tmp_path / "out" / "conversations.jsonl")
    assert not bad
    assert {(c.language, c.messages[1].content) for c in kept} == {("th", "ค่ะ"), ("my", burmese)}
    assert {(c.category, c.source, c.licence) for c in kept} == {
        ("natural-dialogue", "self-instruct", "CC0-1.0"),
        ("general", "self-instruct", "CC0-1.0"),
    }
    figures = report["conversations"]["all"]
    counts = [figures[name]["count"] for name in ("accepted", "edited", "rejected", "disputed")]
    assert (figures["items"], figures["judgements"], counts) == (4, 6, [1, 1, 1, 1])
    assert (figures["agreement"]["units"], figures["reasons"]) == (2, {"unsafe": 1})
    assert report["conversations"]["km"]["agreement"]["value"] is None
    assert report["written"] == {"conversations": 2, "preferences": 0}
    assert report == read_json(tmp_path / "out" / "report.json")


def test_comparisons(said: Said, tmp_path: Path) -> None:
    for number, (ann, bo) in enumerate([(0, 0), (0, 0), (1, 1), (0, 1)]):
        said.prefer("Ann", f"คำถามที่ {number}", ann)
        said.prefer("Bo", f"คำถามที่ {number}", bo)
    said.prefer("Ann", "คำถามที่ 4", 1)
    said.say("Bo", "คำถามที่ 4", "tie")
    said.say("Ann", "คำถามที่ 5", "both_bad")
    said.prefer("Ann", "คำถามที่ 9", 0)
    report = export(tmp_path, tmp_path / "out")
    pairs, bad = read_preferences(tmp_path / "out" / "preferences.jsonl")
    assert not bad
    written = {p.prompt[0].content: p for p in pairs}
    assert sorted(written) == [f"คำถามที่ {number}" for number in (0, 1, 2, 4, 9)]
    assert written["คำถามที่ 0"].chosen[0].content == "คำตอบ 0"
    assert written["คำถามที่ 2"].rejected[0].content == "คำตอบ 2"
    assert dict(written["คำถามที่ 4"].scores) == {"judgements": 2, "preferring_share": 0.5}
    thai = report["comparisons"]["th"]
    assert (thai["items"], thai["questions"], thai["judgements"], thai["both_bad"]) == (6, 6, 11, 1)
    assert thai["left_preferred"]["n"] == 9
    (pairing,) = thai["pairs"]
    assert (pairing["first"], pairing["wins"], pairing["ties"], pairing["losses"]) == ("dpo", 4, 2, 5)
    assert {m["model"]: m["win_rate"]["value"] for m in thai["models"]} == {"sft": 6 / 11, "dpo": 5 / 11}
    expected = bradley_terry(np.array([[0, 5.0], [6.0, 0]]))
    assert [m["strength"]["value"] for m in thai["models"]] == pytest.approx(expected[::-1])
    assert thai["agreement"]["units"] == 5
    assert [m["model"] for m in report["comparisons"]["all"]["models"]] == ["sft", "dpo", "base"]
    annotators = {row["name"]: (row["judged"], row["same"], row["shared"]) for row in report["annotators"]}
    assert annotators == {"Ann": (7, 3, 5), "Bo": (5, 3, 5)}
    assert report["waiting"] == {"km": 1, "lo": 2, "my": 1, "th": 2}


def test_answers_of_several_turns_count_and_become_no_preference(tmp_path: Path) -> None:
    fill(write(tmp_path, "a.jsonl", [LATER_TURN]))
    said = Said(tmp_path)
    said.prefer("Ann", "Còn bạn", 1)
    report = export(tmp_path, tmp_path / "out")
    assert report["comparisons"]["vi"]["models"][0]["model"] == "dpo"
    assert report["written"]["preferences"] == 0


def test_every_judgement_is_written(said: Said, tmp_path: Path) -> None:
    said.prefer("Ann", "คำถามที่ 0", 1)
    said.say("Bo", "คำถามที่ 0", "skip")
    export(tmp_path, tmp_path / "out")
    ((_, row),) = read_json_lines(tmp_path / "out" / "judgements.jsonl")
    assert isinstance(row, dict)
    assert (row["annotator"], row["verdict"], row["preferred"], row["models"]) == (
        "Ann",
        "second",
        "dpo",
        ["sft", "dpo"],
    )
    assert row["left"] in (0, 1)


def test_nothing_judged_yet(said: Said, tmp_path: Path) -> None:
    report = export(tmp_path, tmp_path / "out")
    assert (report["conversations"], report["comparisons"], report["annotators"]) == ({}, {}, [])
    assert (tmp_path / "out" / "preferences.jsonl").read_text() == ""


def test_the_same_judgements_give_the_same_bytes(said: Said, tmp_path: Path) -> None:
    said.prefer("Ann", "คำถามที่ 0", 1)
    said.say("Bo", "คำถามที่ 1", "tie")
    for name in ("one", "two"):
        export(tmp_path, tmp_path / name)
    for file in ("preferences.jsonl", "judgements.jsonl", "report.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_folder_that_was_never_opened(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="Start `seallm review"):
        export(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
