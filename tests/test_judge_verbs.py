"""`seallm judge ...` and `seallm card ...` as a user types them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from seallm.base.errors import DataError, EndpointError
from seallm.cli import app
from seallm.evaluate.judge_questions import read_questions
from seallm.review.items import input_files, read_items
from tests.endpoints.scripted_server import Json, ScriptedServer, question
from tests.evaluate.judged import write_answers

CODES = ["en", "lo"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["judge", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Answers of two models to one question of each category in two languages: one is good, and one says little."""
    questions = read_questions("starter", languages=CODES, limit=1)
    good = {q.key: q.turns for q in questions}  # in the question's own language
    poor = {q.key: tuple("OK" for _ in q.turns) for q in questions}
    return [write_answers(tmp_path / "good.jsonl", good), write_answers(tmp_path / "poor.jsonl", poor)]


def judged(body: Json) -> str:
    a = question(body).split("Assistant A:")[1].split("Assistant B:")[0]
    return "Verdict: " + ("B" if "Assistant: <<<OK>>>" in a else "A")


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


def test_a_comparison_by_an_endpoint(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "arena"
    options = ["--languages", *CODES, "--limit", 1, "--mode", "pairwise", "--out", out, "--price", "1/2"]
    with ScriptedServer(judged) as server:
        planned = call(*files, "--judge", server.address, *options, "--dry-run")
        assert planned.exit_code == 0, planned.output
        assert "at most" in planned.output
        assert not out.exists()
        assert server.asked == []
        result = call(*files, "--judge", server.address, *options)
    assert result.exit_code == 0, result.output
    assert "The judge said the same in both orders in 100 %" in result.output
    found = report(out)
    won = {r["model"]: r["value"] for r in found["wins"] if (r["language"], r["category"]) == ("all", "all")}
    assert won == {"good": 1.0, "poor": 0.0}
    assert found["settings"]["questions"] == "starter"
    assert found["judge"] == "scripted"
    assert (out / "report.html").is_file()


def test_people_get_a_folder_and_are_read_back(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "arena"
    options = ["--languages", *CODES, "--limit", 1, "--out", out]
    result = call(*files, "--judge", "people", *options)
    assert result.exit_code == 0, result.output
    assert "12 pairs for people" in result.output
    items, bad = read_items(input_files(out / "people"))  # as the workbench reads them
    assert bad == []
    assert len(items) == 12
    export = tmp_path / "judgements.jsonl"
    said = [
        {"kind": item.kind, "question": item.question, "models": [a["model"] for a in item.content["answers"]],
         "annotator": "noi", "preferred": "good"}
        for item in items
    ]  # fmt: skip
    export.write_text("\n".join(map(json.dumps, said)))
    result = call(*files, "--judge", f"people:{export}", *options)
    assert result.exit_code == 0, result.output
    assert {r["value"] for r in report(out)["wins"] if r["model"] == "good"} == {1.0}
    assert report(out)["judge"] == "people"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["gone.jsonl", "--judge", "people"], DataError, "gone.jsonl does not exist"),
        (["--mode", "pairwise", "--judge", "http://127.0.0.1:9/v1#x"], DataError, "needs two models"),
        (["--judge", "http://127.0.0.1:9/v1#x", "--repeats", "3"], DataError, "give --temperature with --repeats"),
        (["--judge", "people:gone.jsonl"], DataError, "needs two models"),
        (["--judge", "ftp://x", "--questions", "gone.jsonl"], DataError, "No file at"),
        (["--judge", "http://user:secret@host/v1"], EndpointError, "carries a password"),
    ],
)
def test_mistakes_are_one_line(files: list[Path], tmp_path: Path, arguments: list[str], error: type, says: str) -> None:
    result = call(files[0], *arguments, "--out", tmp_path / "out")
    assert isinstance(result.exception, error), result.output
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)
    assert "secret" not in str(result.exception)


def test_a_card_of_what_is_no_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["card", str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert "it is not a run" in str(result.exception)
