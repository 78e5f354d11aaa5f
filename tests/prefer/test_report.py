"""The report says what judgements.json and pairs.jsonl hold, for runs, stages and files of pairs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError
from seallm.base.records import Conversation, Message, Preference, write_conversations, write_preferences
from seallm.base.runtime import Runtime
from seallm.cli import app
from seallm.prefer.report import accuracy_by_margin, agreement, histogram, make_report
from seallm.prefer.report_page import interval
from seallm.prefer.stage import run
from tests.prefer.conftest import QUESTIONS
from tests.prefer.test_stage import SETTINGS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, judge_folder: Path) -> Path:
    """A run of two rounds, the second one not finished."""
    place = tmp_path_factory.mktemp("demo")
    rows = [
        Conversation((Message("user", q), Message("assistant", "no" if n == 0 else "yes")), "en")
        for n, q in enumerate(QUESTIONS)
    ]
    write_conversations(place / "chat.jsonl", rows)
    context = StageContext(place, {"model": judge_folder}, ("en", "th"), 3, Runtime(show_progress=False), place)
    for number, name in ((1, "07-prefer"), (2, "07-prefer2.partial")):
        (place / name).mkdir()
        run(SETTINGS, replace(context, out=place / name, round_number=number))
    return place


def test_a_run_has_a_part_for_each_round(folder: Path, tmp_path: Path) -> None:
    figures, out = make_report(folder, tmp_path / "out", None)
    assert [found["stage"] for found in figures["rounds"]] == ["07-prefer", "07-prefer2"]
    first = figures["rounds"][0]
    assert sum(first["margins"]["counts"]) == first["all"]["pairs"]
    assert len(first["accuracy_by_margin"]) == len(QUESTIONS)
    assert first["accuracy_by_margin"][0]["accuracy"] == first["judge_accuracy_on_known_pairs"]["all"]
    (wrong,) = first["look_at"]["wrong on known pairs, and sure of it"]
    assert (wrong["better"], wrong["worse"]) == ("yes", "no")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Round 2" in page
    assert page.count("<svg") > 8
    assert "<script" not in page
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == json.loads(json.dumps(figures))


def test_texts_are_escaped(folder: Path, tmp_path: Path) -> None:
    stage = tmp_path / "07-prefer"
    stage.mkdir()
    for name in ("judgements.json", "pairs.jsonl"):
        text = (folder / "07-prefer" / name).read_text(encoding="utf-8")
        (stage / name).write_text(text.replace('"yes"', '"<script>alert(1)</script>"'), encoding="utf-8")
    _, out = make_report(stage, None, None)
    assert out == stage / "preference-report"
    assert "&lt;script&gt;" in (out / "report.html").read_text(encoding="utf-8")


def test_the_verb_shows_tables(folder: Path, tmp_path: Path) -> None:
    gold = [
        Preference((Message("user", q),), (Message("assistant", "no"),), (Message("assistant", "yes"),), "en")
        for q in QUESTIONS[:3]
    ]
    write_preferences(tmp_path / "gold.jsonl", gold)
    call = ["prefer", "report", str(folder), "--gold", str(tmp_path / "gold.jsonl"), "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 0, shown.output
    assert "07-prefer2, judged by verdict" in shown.output
    assert re.search(
        r"Of 3 pairs that people judged, the judge was asked about \d; same answer preferred: 0 %", shown.output
    )
    assert (tmp_path / "out" / "report.html").is_file()


def test_pairs_made_elsewhere(tmp_path: Path) -> None:
    thai = "เรือข้ามฟากออกทุกชั่วโมง วันตลาดนัดจะบรรทุกผลไม้และปลามาด้วย"
    english = "The ferry crosses the river every hour and carries baskets of fruit and fish on market days."
    rows = [
        Preference((Message("user", "?"),), (Message("assistant", a),), (Message("assistant", b),), "th")
        for a, b in ((thai, english), (thai + thai, thai), (english, thai))
    ]
    write_preferences(tmp_path / "pairs.jsonl", [*rows, replace(rows[0], language="")])
    shown = CliRunner().invoke(app, ["prefer", "report", str(tmp_path / "pairs.jsonl")])
    assert shown.exit_code == 0, shown.output
    figures = json.loads((tmp_path / "preference-report" / "report.json").read_text(encoding="utf-8"))["pairs"]
    assert figures["all"]["pairs"] == 4
    own = figures["languages"]["th"]
    assert (
        own["language_drift"]["chosen"]["value"] == own["language_drift"]["rejected"]["value"] == pytest.approx(1 / 3)
    )
    assert own["longer_chosen_rate"]["value"] == pytest.approx(2 / 3)
    assert figures["languages"][""]["language_drift"] == {"chosen": None, "rejected": None}


def test_nothing_to_report_on_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"holds no usable pair \(1 files, 1 bad rows, the first: .*pairs.jsonl:1"):
        make_report(tmp_path, None, None)


def test_agreement_counts_what_both_judged() -> None:
    row = {"kind": "own", "language": "th", "question": "q", "first": "a", "second": "b", "outcome": "second"}
    rows = [{**row, "margin": -1.0}, {**row, "question": "r", "margin": 0.5, "outcome": "unsure"}]
    people = [("q", "b", "a"), ("r", "b", "a"), ("s", "b", "a")]
    gold = [
        Preference((Message("user", q),), (Message("assistant", c),), (Message("assistant", r),), "")
        for q, c, r in people
    ]
    found = agreement(gold, rows)
    assert found["pairs"] == 3
    assert (found["all"]["value"], found["all"]["n"]) == (0.5, 2)
    assert (found["of_kept"]["value"], found["of_kept"]["n"]) == (1.0, 1)


def test_margins_and_accuracies() -> None:
    assert histogram([]) == {"high": 1.0, "counts": [0] * 24}
    assert sum(histogram([0.0, 0.5, 1.0, 9.0])["counts"]) == 4
    rows = [{"margin": float(n)} for n in (-1, 2, 3, 4)]
    points = accuracy_by_margin(rows, steps=4)
    assert [p["accuracy"]["value"] for p in points] == [0.75, 1.0, 1.0, 1.0]
    assert [p["least_margin"] for p in points] == [1, 2, 3, 4]
    assert "96" not in interval(None, 0.5)
    assert 'cx="50%"' in interval({"value": 0.5, "n": 4, "low": 0.2, "high": 0.8}, 0.5)
