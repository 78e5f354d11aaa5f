"""Comparisons that come from elsewhere."""

from pathlib import Path

import pytest

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines
from seallm.base.records import Message
from seallm.review.export import export
from seallm.review.items import Answer, Comparison
from seallm.review.recording import add_comparison
from seallm.review.store import fill

PROMPT = (Message("user", "สวัสดี"),)
FIRST, SECOND = Answer("sft", (Message("assistant", "ครับ"),)), Answer("dpo", (Message("assistant", "สวัสดีครับ"),))


def test_a_pair_with_and_without_a_choice(tmp_path: Path) -> None:
    item = add_comparison(tmp_path, Comparison(PROMPT, (FIRST, SECOND), "th"))
    assert export(tmp_path, tmp_path / "out")["waiting"] == {"th": 1}
    assert add_comparison(tmp_path, Comparison(PROMPT, (FIRST, SECOND), "th"), annotator="Ann", choice="second") == item
    # the same pair in the other order: still the dpo model, which stood left before Bo
    turned = Comparison(PROMPT, (SECOND, FIRST), "th")
    assert add_comparison(tmp_path, turned, annotator="Bo", choice="first", left=0) == item
    report = export(tmp_path, tmp_path / "out")
    assert [model["model"] for model in report["comparisons"]["th"]["models"]] == ["dpo", "sft"]
    rows = [row for _, row in read_json_lines(tmp_path / "out" / "judgements.jsonl") if isinstance(row, dict)]
    assert [(row["annotator"], row["preferred"], row["left"]) for row in rows] == [("Ann", "dpo", 0), ("Bo", "dpo", 1)]


def test_it_goes_beside_the_items_of_files(folder: Path) -> None:
    add_comparison(folder, Comparison(PROMPT, (FIRST, SECOND), "th"))
    assert fill(folder).total == 8


@pytest.mark.parametrize(
    ("annotator", "choice", "answers"),
    [
        ("", "first", (FIRST, SECOND)),
        ("Ann", "left", (FIRST, SECOND)),
        ("Ann", "first", (FIRST, FIRST)),
        ("Ann", "first", (FIRST, Answer("dpo", FIRST.messages))),
    ],
)
def test_bad_input(tmp_path: Path, annotator: str, choice: str, answers: tuple[Answer, Answer]) -> None:
    with pytest.raises(DataError):
        add_comparison(tmp_path, Comparison(PROMPT, answers, "th"), annotator=annotator, choice=choice)  # type: ignore[arg-type]
    assert not (tmp_path / "review").exists()
