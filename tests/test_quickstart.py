"""The quickstart as a user runs it, and what it must show, with the margins that were measured."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.folders import digests

ROOT = Path(__file__).parents[1]
NEW = ("zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run; `make quickstart` leaves the same one in runs/, which then counts as the run of this test."""
    workspace = ROOT / "runs" if (ROOT / "runs" / "quickstart").is_dir() else tmp_path_factory.mktemp("runs")
    printed = quickstart(workspace)
    assert "Quiz accuracy" in printed
    assert "seallm chat" in printed
    return workspace / "quickstart"


def quickstart(workspace: Path, *options: str) -> str:
    """Run the recipe and return what it printed."""
    recipe = ROOT / "recipes" / "quickstart.toml"
    command = [sys.executable, "-m", "seallm.cli", "run", str(recipe), "--workspace", str(workspace), *options]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def full_bits_per_byte(run: Path) -> dict[str, list[float]]:
    """For each language: the base model's bits per byte, then those at the start and the end of pre-training."""
    lines = (run / "04-pretrain" / "bits_per_byte.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["full"] and row["tier"] == "all"]
    return {code: [row["bits_per_byte"] for row in rows if row["language"] == code] for code in ("en", *NEW)}


@pytest.mark.slow
def test_tokens_for_the_same_meaning_fall_by_half_or_more(run: Path) -> None:
    ratios = read(run / "03-vocab" / "compression.json")
    for code in ("th", "km", "lo", "my"):
        assert ratios["before"][code] >= 2 * ratios["after"][code]  # measured: 4 to 6 times


@pytest.mark.slow
def test_bits_per_byte_fall_in_every_new_language_and_english_is_kept(run: Path) -> None:
    figures = full_bits_per_byte(run)
    for code in NEW:
        assert figures[code][-1] < 0.8 * figures[code][0], code  # measured: 0.05 to 0.6
        assert figures[code][-1] < 0.9 * figures[code][1], code
    assert figures["en"][-1] <= 1.05 * figures["en"][0]  # measured: it falls


@pytest.mark.slow
def test_the_quiz_is_learned(run: Path) -> None:
    rows = read(run / "09-evaluate" / "results.json")
    quiz = {r["model"]: r for r in rows if (r["task"], r["language"], r["metric"]) == ("quiz", "all", "accuracy")}
    assert quiz["sft"]["n"] == 540
    assert quiz["sft"]["low"] > 0.27 > 0.25 == quiz["sft"]["chance"]
    assert quiz["sft"]["low"] > quiz["base"]["high"]


@pytest.mark.slow
def test_every_figure_has_n_and_an_interval(run: Path) -> None:
    rows = read(run / "09-evaluate" / "results.json")
    assert {r["task"] for r in rows} >= {"quiz", "xcopa", "xquad", "ntrex_from_en", "ntrex_to_en", "parallel", "safety"}
    assert {r["model"] for r in rows} == {"base", "pretrain", "hybrid", "sft", "dpo"}
    for row in rows:
        assert row["n"] > 0
        assert row["low"] <= row["value"] <= row["high"], row


@pytest.mark.slow
def test_the_preference_step_says_plainly_whether_it_helped(run: Path) -> None:
    accuracy = read(run / "08-dpo" / "preference_accuracy.json")
    improved = accuracy["after"]["value"] > accuracy["before"]["value"]
    assert accuracy["improved"] == improved
    assert ("did not improve" in accuracy["sentence"]) == (not improved)
    assert accuracy["after"]["n"] > 0


@pytest.mark.slow
def test_models_are_ordinary_hugging_face_folders(run: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = run / "08-dpo" / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.get_input_embeddings().weight.shape[0] >= len(tokenizer)
    assert tokenizer.decode(tokenizer("ສະບາຍດີ", add_special_tokens=False).input_ids) == "ສະບາຍດີ"


@pytest.mark.slow
def test_the_report_stands_alone(run: Path) -> None:
    page = (run / "10-report" / "report.html").read_text(encoding="utf-8")
    assert len(page) > 100_000
    assert "http://" not in page.replace("http://www.w3.org", "")
    for word in ("Corpus", "Burmese", "bits per byte", "95"):
        assert word in page


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["05-hybrid", "07-prefer", "08-dpo"])
def test_the_same_seed_gives_the_same_bytes(run: Path, tmp_path: Path, stage: str) -> None:
    """Learning from random batches, sampling, and preferences once more; tests/test_crash.py does it for all stages."""
    for folder in run.iterdir():
        if folder.is_dir() and folder.name != stage:
            shutil.copytree(folder, tmp_path / "quickstart" / folder.name)
    assert "done" in quickstart(tmp_path, "--only", stage[3:])
    assert digests(tmp_path / "quickstart" / stage) == digests(run / stage)
