"""`seallm train trace` and `inspect` on a run that was trained, and on one whose masks are wrong."""

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner, Result

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, ModelError
from seallm.base.runtime import Runtime
from seallm.plan import Plan, make_plan
from seallm.recipe import Recipe
from seallm.run_recipe import keep_recipe, kept_recipe
from seallm.train import hybrid, pretrain, sft
from seallm.train.segments import IGNORED
from seallm.train.showing import show_rows
from seallm.train.stage_rows import stage_rows
from seallm.train_verbs import app
from tests.train.conftest import make_base, make_chat, make_corpus, make_vocab, rows_of

FAST = {"learning_rate": 5e-3}
BATCH = {"batch_tokens": 640, "sequence_tokens": 160, "checkpoint_every_steps": 50}


@dataclass
class Run:
    """A run whose pretrain, hybrid and sft stages were trained."""

    plan: Plan

    @property
    def folder(self) -> Path:
        return self.plan.folder

    def context(self, name: str) -> StageContext:
        stage = self.plan.stage(name)
        recipe = self.plan.recipe
        runtime = Runtime(show_progress=False)
        folder = stage.artifact.folder
        return StageContext(
            folder, stage.inputs, tuple(recipe.languages), recipe.seed, runtime, self.plan.recipe_folder
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Run:
    folder = tmp_path_factory.mktemp("inspected")
    chat_file = make_chat(folder / "chat.jsonl")
    mixtures = [
        {"name": "both", "tiers": ["high", "low"], "tokens": 3_000, "optimiser": FAST, "dynamic": {}},
        {"name": "replay", "tiers": ["high"], "tokens": 1_500, "optimiser": FAST},
    ]
    common = BATCH | {"conversations": [str(chat_file)], "optimiser": FAST}
    values: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "languages": ["en", "th", "lo"],
        "base": {"model": "none"},
        "corpus": {"inputs": ["none"]},
        "vocab": {"parallel": "none"},
        "pretrain": BATCH | {"mixtures": mixtures, "evaluate_every_steps": 2, "skip_steps": [2]},
        "hybrid": common | {"tokens": 3_000},
        "sft": common | {"judge_share": 0.3},
    }
    recipe = Recipe.model_validate(values)
    made = Run(make_plan(recipe, folder, folder / "runs"))
    keep_recipe(made.folder, recipe, folder)
    make_base(made.plan.stage("base").artifact.folder, tokenizer)
    make_corpus(made.plan.stage("corpus").artifact.folder)
    make_vocab(made.plan.stage("vocab").artifact.folder)
    for name, stage in (("pretrain", pretrain), ("hybrid", hybrid), ("sft", sft)):
        context = made.context(name)
        context.out.mkdir()
        stage.run(made.plan.stage(name).settings, context)  # type: ignore[attr-defined]
    return made


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def traced(run: Run, step: int, stage: str = "pretrain") -> list[dict[str, str]]:
    result = call("trace", run.folder, "--step", str(step), "--stage", stage)
    assert result.exit_code == 0, result.output
    head, *lines = [line.split("\t") for line in result.stdout.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_a_trace_tells_what_every_step_was_made_of(run: Run) -> None:
    steps = rows_of(run.plan.stage("pretrain").artifact.folder / "metrics.jsonl")
    assert steps[1]["loss"] is None
    assert steps[1]["left_out"]
    for row in steps:
        lines = traced(run, row["step"])
        assert {line["tier"] for line in lines} <= ({"high", "low"} if row["mixture"] == "both" else {"high"})
        tokens: Counter[str] = Counter()
        for line in lines:
            assert line["document"].startswith(f"{line['language']}-")
            start, stop = map(int, line["tokens"].split("-"))
            assert 0 <= start < stop <= int(line["of"])
            tokens[line["language"]] += stop - start
        if "left_out" not in row:
            assert tokens.total() == row["tokens"]
            assert {code: round(n / tokens.total(), 4) for code, n in tokens.items()} == row["shares"]


def test_a_hybrid_trace_tells_documents_and_conversations(run: Run) -> None:
    first = rows_of(run.plan.stage("hybrid").artifact.folder / "metrics.jsonl")[0]
    tokens: Counter[str] = Counter()
    for line in traced(run, 1, "hybrid"):
        tokens[line["language"]] += int(line["tokens"].split("-")[1]) - int(line["tokens"].split("-")[0])
    assert {code: round(n / tokens.total(), 4) for code, n in tokens.items()} == first["shares"]


def test_looking_writes_nothing_and_asks_for_real_steps_and_stages(run: Run, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    assert call("inspect", run.folder).exit_code == 0
    assert call("trace", run.folder, "--step", "1").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before
    assert "steps 1 to 7, no step 8" in str(call("trace", run.folder, "--step", "8").exception)
    assert "No stage 'dpo'" in str(call("inspect", run.folder, "--stage", "dpo").exception)
    assert "no rows of this stage" in str(call("inspect", run.folder, "--stage", "corpus").exception)
    assert "it is not a run" in str(call("trace", tmp_path, "--step", "1").exception)


def test_a_run_keeps_its_recipe(run: Run, tmp_path: Path) -> None:
    recipe, folder = kept_recipe(run.folder)
    assert recipe == run.plan.recipe
    assert folder == run.plan.recipe_folder
    (tmp_path / "moved").mkdir()
    shutil.copy(run.folder / "recipe.json", tmp_path / "moved")
    assert kept_recipe(tmp_path / "moved")[0].name == "moved"


def test_what_is_supervised_stands_out_through_a_pipe(run: Run) -> None:
    result = call("inspect", run.folder, "--stage", "sft", "--rows", "2")
    assert result.exit_code == 0
    assert result.stdout.startswith("⟦supervised⟧  masked\n")
    assert len(re.findall(r"^row \d+: ", result.stdout, re.MULTILINE)) == 2
    turns = re.findall(r"assistant\n(.*?)(?=<\|im_start\|>|\n── |\n\n|\nrow|$)", result.stdout, re.DOTALL)
    assert turns
    assert all(re.fullmatch(r"⟦.+</s>⟧", turn.strip(), re.DOTALL) for turn in turns)
    assert "user\n⟦" not in result.stdout
    assert re.search(r"\d+ conversations checked: every end of turn is supervised", result.stdout)


def test_colours_on_a_terminal(run: Run) -> None:
    found = stage_rows(run.plan.stage("sft").settings, run.context("sft"))
    console = Console(force_terminal=True, color_system="standard", width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    show_rows(found, found.of_step(1)[:1], console)
    text = console.export_text(styles=True)
    assert re.search(r"\x1b\[32m[^\x1b]*</s>", text)
    assert "⟦" not in text


def test_pretraining_rows_show_their_documents(run: Run) -> None:
    result = call("inspect", run.folder, "--stage", "pretrain", "--step", "3")
    assert re.search(r"── (en|th|lo) \1-\d+ \d+-\d+ of \d+: \d+ tokens, \d+ supervised ──", result.stdout)


def test_a_wrong_mask_is_an_error(run: Run) -> None:
    found = stage_rows(run.plan.stage("sft").settings, run.context("sft"))
    segment = found.of_step(1)[0].segments[0]
    segment.targets[segment.targets != IGNORED] = IGNORED
    with pytest.raises(ModelError, match="carries no loss"):
        found.check()


def test_a_store_of_another_tokenizer_is_an_error(run: Run) -> None:
    place = run.plan.stage("pretrain").artifact.folder / "tokens" / "tokenizer" / "tokenizer.json"
    text = place.read_text(encoding="utf-8")
    values = json.loads(text)
    values["added_tokens"][-1]["content"] = "<|other|>"
    place.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match="another tokenizer"):
        stage_rows(run.plan.stage("pretrain").settings, run.context("pretrain"))
    place.write_text(text, encoding="utf-8")
