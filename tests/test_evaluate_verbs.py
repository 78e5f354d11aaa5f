"""`seallm evaluate ...` as a user types it."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from typer.testing import CliRunner, Result

from seallm.base.errors import DataError, ModelError, RecipeError
from seallm.cli import app
from seallm.model.chat_format import add_chat_tokens
from seallm.model.checkpoints import new_llama, save_model
from tests.model.conftest import build_tokenizer


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders with the same weights: one without a chat format, and one with it."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("plain", "chat"):
        tokenizer = build_tokenizer("byte-level")
        if name == "chat":
            add_chat_tokens(tokenizer)
        model = new_llama(len(tokenizer), hidden_size=16, layers=1, heads=2, max_sequence_tokens=512, seed=3)
        save_model(folder / name, model, tokenizer)
    return folder


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


def test_two_models_side_by_side(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures"
    options = ["--tasks", "xcopa", "quiz_lo", "--limit", 4, "--out", out]
    result = call(models / "plain", models / "chat", *options)
    assert result.exit_code == 0, result.output
    found = report(out)
    assert [(m["name"], m["chat"]) for m in found["models"]] == [("plain", False), ("chat", True)]
    assert {row["task"] for row in found["rows"]} == {"xcopa", "quiz"}
    for row in found["rows"]:
        assert row["n"] == (16 if row["language"] == "all" else 4)
        assert row["low"] <= row["value"] <= row["high"]
    table = (out / "report.md").read_text(encoding="utf-8")
    assert "| task | language | metric | n | chance | plain | chat |" in table
    assert table.count("| xcopa | ") == 10  # four languages and all, two metrics
    assert "Written to" in result.output
    assert {row["against"] for row in found["differences"]} == {"plain"}
    values = {(r["model"], r["task"], r["language"], r["metric"]): r["value"] for r in found["rows"]}
    for row in found["differences"]:
        key = (row["task"], row["language"], row["metric"])
        assert row["value"] == pytest.approx(values["chat", *key] - values["plain", *key])
        assert row["low"] <= row["value"] <= row["high"]
    assert "## Differences to plain" in table


def mark(part: Path) -> None:
    """Scores that no model gives, so that they are known again."""
    found = json.loads(part.read_text(encoding="utf-8"))
    for row in found["rows"]:
        row["values"] = [0.5 for _ in row["values"]]
    part.write_text(json.dumps(found), encoding="utf-8")


def test_finished_figures_are_used_again(models: Path, tmp_path: Path) -> None:
    """A second model costs its own time only; a changed data file or model is measured again."""
    data, model, out = tmp_path / "data", tmp_path / "model", tmp_path / "figures"
    data.mkdir()
    shutil.copytree(models / "plain", model)
    row = {"question": "Which?", "choices": ["a", "b"], "answer": 0}
    (data / "quiz.lo.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    options = ["--tasks", "quiz_lo", "--data", data, "--out", out]
    assert call(model, *options).exit_code == 0
    part = out / "parts" / "model.seallm_quiz_lo.json"
    mark(part)
    assert call(model, models / "chat", *options).exit_code == 0
    assert [row["value"] == 0.5 for row in report(out)["rows"]] == [True, True, False, False]
    (data / "quiz.lo.jsonl").write_text((json.dumps(row) + "\n") * 2, encoding="utf-8")
    assert call(model, *options).exit_code == 0
    assert [row["n"] for row in report(out)["rows"]] == [2, 2]
    mark(part)
    tokenizer = build_tokenizer("byte-level")
    other = new_llama(len(tokenizer), hidden_size=16, layers=1, heads=2, max_sequence_tokens=512, seed=4)
    save_model(model, other, tokenizer)
    assert call(model, *options).exit_code == 0
    assert [row["value"] in (0, 1) for row in report(out)["rows"]] == [True, True]


def test_missing_data_are_told_and_the_rest_goes_on(models: Path, tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": ["a", "b"], "answer": 0}
    (tmp_path / "quiz.lo.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    wanted = ["--tasks", "quiz", "xcopa_th", "nusax", "--languages", "lo", "--data", tmp_path]
    result = call(models / "plain", *wanted, "--out", tmp_path / "figures")
    assert result.exit_code == 0, result.output
    assert "nusax has no task in lo" in result.output
    found = report(tmp_path / "figures")
    assert {row["task"] for row in found["rows"]} == {"quiz"}
    assert [entry["task"] for entry in found["missing"]] == ["seallm_xcopa_th", "nusax"]
    assert f"git clone --depth 1 https://github.com/cambridgeltl/xcopa {tmp_path}/xcopa" in found["missing"][0]["what"]
    assert found["missing"][0]["what"] in (tmp_path / "figures" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "quiz.th.jsonl is empty; expected at least one row"),
        ('{"question": "Which?", "choices": ["a", "b"]}', "quiz.th.jsonl:1: 'answer' is None"),
        ('{"question": "Which?", "choices": ["a", "b"], "answer": 2}', "quiz.th.jsonl:1: 'answer' is 2; expected"),
        ('{"question": ', "quiz.th.jsonl:1: not a JSON object"),
    ],
)
def test_a_malformed_data_set_is_told_and_the_rest_goes_on(
    models: Path, tmp_path: Path, content: str, message: str
) -> None:
    row = {"question": "Which?", "choices": ["a", "b"], "answer": 0}
    (tmp_path / "quiz.lo.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (tmp_path / "quiz.th.jsonl").write_text(content, encoding="utf-8")
    out = tmp_path / "figures"
    result = call(models / "plain", "--tasks", "quiz_th", "quiz_lo", "--data", tmp_path, "--out", out)
    assert result.exit_code == 0, result.output
    assert {row["language"] for row in report(out)["rows"]} == {"lo"}
    assert message in report(out)["missing"][0]["what"]
    assert message in " ".join(result.output.split())


def test_prompts_that_are_too_long_are_counted_and_so_are_cut_questions(models: Path, tmp_path: Path) -> None:
    """The first row fits; the second loses its examples alone, the third a part of its own question."""
    texts = ["Rain falls. " * 12, "Rain falls. " * 30, "Rain falls. " * 200]
    rows = [{"context": text, "question": "What falls?", "answers": ["Rain"]} for text in texts]
    (tmp_path / "xquad.en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "figures"
    result = call(models / "plain", "--tasks", "xquad_en", "--data", tmp_path, "--out", out, "--shots", 1)
    assert result.exit_code == 0, result.output
    found = report(out)
    assert found["rows"][0]["n"] == 3
    assert (found["prompts_cut"], found["questions_cut"]) == (3, 1)
    table = (out / "report.md").read_text(encoding="utf-8")
    assert "3 prompts were too long for a model and lost their beginning." in table
    assert "Of 1 of them a part of the question itself" in table


def test_published_figures_stand_beside(models: Path, tmp_path: Path) -> None:
    row = {
        "question_text": "Which?",
        "background_description": [],
        "options": ["A. one", "B. two"],
        "answer_text": "A",
        "level": "low",
        "subject_category": "math",
    }
    for name in ("vietnamese", "chinese"):
        for split in ("dev", "test"):
            path = tmp_path / f"m3exam/{name}-questions-{split}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps([{**row, "question_text": f"{split} {n}?"} for n in range(3)]), encoding="utf-8")
    out = tmp_path / "figures"
    options = ["--tasks", "m3exam_vi", "m3exam_zh", "--data", tmp_path, "--out", out]
    result = call(models / "plain", *options, "--compare", "seallms")
    assert result.exit_code == 0, result.output
    table = (out / "report.md").read_text(encoding="utf-8")
    assert "| plain | ChatGPT-3.5 (published) |" in table
    line = next(line for line in table.splitlines() if line.startswith("| m3exam | mean | accuracy |"))
    assert line.split(" | ")[-1] == "62.8 |"  # (62.54 + 63.11) / 2, SeaLLM-7B-v2.5
    assert "arXiv:2312.00738" in table


def test_a_file_to_submit(models: Path, tmp_path: Path) -> None:
    rows = [{"id": f"28-000{n}", "question": f"Câu {n}?", "choices": ["A. một", "B. hai"]} for n in range(3)]
    (tmp_path / "vmlu").mkdir()
    (tmp_path / "vmlu/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "figures"
    result = call(models / "plain", models / "chat", "--tasks", "vmlu_test", "--data", tmp_path, "--out", out)
    assert result.exit_code == 0, result.output
    assert report(out)["rows"] == []
    for name in ("plain", "chat"):
        lines = (out / f"submission.{name}.vmlu_test.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "id,answer"
        assert [line.split(",")[0] for line in lines[1:]] == ["28-0000", "28-0001", "28-0002"]
        assert {line.split(",")[1] for line in lines[1:]} <= {"A", "B"}


@pytest.mark.slow
def test_two_processes_find_what_one_finds(models: Path, tmp_path: Path) -> None:
    found = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        options = ["--tasks", "xcopa", "quiz_en", "--limit", 6, "--out", out, "--processes", processes]
        result = call(models / "plain", models / "chat", *options)
        assert result.exit_code == 0, result.output
        parts = {part.name: json.loads(part.read_text(encoding="utf-8")) for part in (out / "parts").iterdir()}
        found.append((parts, report(out)["rows"]))
    assert len(found[0][0]) == 2 * 5
    assert found[0] == found[1]


def test_any_text_and_the_cost_of_a_meaning(models: Path, tmp_path: Path) -> None:
    """Without any benchmark: bits per byte of each language, and what the same sentences cost."""
    (tmp_path / "news.th.txt").write_text("สวัสดีครับ\nวันนี้อากาศดี", encoding="utf-8")
    row = {"text": "Good morning. " * 3, "language": "en"}
    (tmp_path / "mixed.jsonl").write_text((json.dumps(row) + "\n") * 3, encoding="utf-8")
    (tmp_path / "pairs").mkdir()
    for code, lines in {"en": "Good morning.\nIt rains.\n", "th": "สวัสดีตอนเช้า\nฝนตก\n"}.items():
        (tmp_path / "pairs" / f"{code}.txt").write_text(lines, encoding="utf-8")
    out = tmp_path / "figures"
    options = ["--text", tmp_path / "news.th.txt", tmp_path / "mixed.jsonl", "--parallel", tmp_path / "pairs"]
    result = call(models / "plain", *options, "--out", out, "--limit", 2)
    assert result.exit_code == 0, result.output
    rows = {(r["task"], r["language"], r["metric"]): r for r in report(out)["rows"]}
    assert [(key[1], row["n"]) for key, row in rows.items() if key[0] == "text"] == [("en", 2), ("th", 1)]
    assert all(0 < rows["text", code, "bits_per_byte"]["value"] < 30 for code in ("en", "th"))
    for metric in ("bits_per_byte", "tokens_relative_to_english", "tokens_a_sentence", "seconds_to_write"):
        for code in ("en", "th"):
            row = rows["parallel", code, metric]
            assert 0 < row["low"] <= row["value"] <= row["high"]
    ratio = rows["parallel", "th", "seconds_to_write"]["value"] / rows["parallel", "en", "seconds_to_write"]["value"]
    assert ratio == pytest.approx(rows["parallel", "th", "tokens_relative_to_english"]["value"])
    nothing = call(models / "plain", "--out", out)
    assert isinstance(nothing.exception, RecipeError)
    assert "Nothing to measure" in str(nothing.exception)


def test_mistakes_are_one_line(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    cases = [
        (
            ["runs/nowhere", "--tasks", "quiz"],
            ModelError,
            "There is no folder runs/nowhere, and the hub",
        ),
        (["nowhere", "--tasks", "quiz"], ModelError, "There is no folder nowhere"),
        ([models / "plain", "--tasks", "hellaswag"], RecipeError, "no task file defines"),
        (
            [models / "plain", "--tasks", "xcopa", "--data", tmp_path],
            DataError,
            "xcopa/data/id/test.id.jsonl does not exist. Fetch it: git clone",
        ),
        ([models / "plain", "--tasks", "quiz", "--set", "batch=1"], RecipeError, "batch"),
        ([models / "plain", "--tasks", "quiz", "--compare", "sota"], DataError, "no published figures 'sota'"),
    ]
    for arguments, error, message in cases:
        result = call(*arguments, "--out", tmp_path / "figures")
        assert isinstance(result.exception, error), (arguments, result.output)
        assert message in str(result.exception)
        assert "\n" not in str(result.exception)


def test_prompts_of_safety_tasks_are_shown_on_wish_alone(models: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = [{"prompt": f"SECRET{n} {kind}", "language": "en", "kind": kind} for n in range(2) for kind in KINDS]
    (data / "policy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = ["--tasks", "policy", "--data", data, "--out", tmp_path / "figures"]
    result = call(models / "chat", *options)
    assert result.exit_code == 0, result.output
    found = report(tmp_path / "figures")
    assert {(r["task"], r["metric"], r["n"]) for r in found["rows"]} == {
        ("policy", "refusal_rate", 2),
        ("policy", "unsafe_rate", 2),
        ("policy", "over_refusal_rate", 2),
    }
    assert len(found["missing"]) == 18  # the pack is in one language; the others are told, and the rest goes on
    files = [file for file in (tmp_path / "figures").rglob("*") if file.is_file()]
    assert tmp_path / "figures" / "safety.svg" in files
    assert not [file for file in files if b"SECRET" in file.read_bytes()]
    shown = call(models / "chat", *options, "--show-prompts", "--safety-judge", models / "chat")
    assert shown.exit_code == 0, shown.output
    found = report(tmp_path / "figures")
    assert {row["prompt"] for row in found["safety_answers"]} == {row["prompt"] for row in rows}
    assert sum(found["safety_judge"]["verdicts"].values()) == 4
    assert "SECRET" not in (tmp_path / "figures" / "report.md").read_text(encoding="utf-8")


KINDS = ("harmful", "harmless")
