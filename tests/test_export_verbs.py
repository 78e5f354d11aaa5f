"""`seallm export` of a run: its newest model, a stage's, a checkpoint's."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from seallm.base.errors import CheckpointError
from seallm.cli import app
from seallm.export.folder import RECORD
from seallm.plan import make_plan, run_plan
from seallm.recipe_file import load_recipe
from seallm.train.checkpoint import FOLDER, steps_on_disk

RECIPE = """
name = "tiny"
languages = ["en", "th"]
base.train = { documents = ["sample:base/english.jsonl.gz"], vocabulary_tokens = 300, hidden_size = 32, layers = 2, \
steps = 2, batch_tokens = 512 }
sft = { conversations = ["sample:chat/en.jsonl"], epochs = 0.3, batch_tokens = 1024, checkpoint_every_steps = 1 }
compute = { threads = 1, device = "cpu", keep_checkpoints = 2 }
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    (folder / "tiny.toml").write_text(RECIPE)
    threads = torch.get_num_threads()
    plan = make_plan(load_recipe(folder / "tiny.toml", ()), folder, folder / "runs")
    run_plan(plan, lambda stage, state: None)
    torch.set_num_threads(threads)
    return plan.folder


def export(*words: object) -> str:
    result = CliRunner().invoke(app, ["export", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_newest_model_with_its_card(run: Path, tmp_path: Path) -> None:
    assert "out: tiny/sft" in export(run, "--out", tmp_path / "out", "--licence", "apache-2.0")
    assert "license: apache-2.0" in (tmp_path / "out" / "README.md").read_text()
    assert json.loads((tmp_path / "out" / RECORD).read_text())["model"] == "tiny/sft"
    ours = weights(tmp_path / "out")
    sft = next(run.glob("*-sft")) / "model"
    assert all(torch.equal(tensor, ours[name]) for name, tensor in weights(sft).items())


def test_a_stage_and_its_checkpoints(run: Path, tmp_path: Path) -> None:
    assert "out: tiny/base" in export(run, "--stage", "base", "--out", tmp_path / "out")
    before, newest = (int(name[-8:]) for name in steps_on_disk(next(run.glob("*-sft")) / FOLDER))
    for step in (before, newest):
        said = export(run, "--stage", "sft", "--step", step, "--out", tmp_path / str(step))
        assert f"tiny/sft-step-{step}" in said
    export(run, "--stage", "sft", "--out", tmp_path / "end")
    end, last, first = (weights(tmp_path / name) for name in ("end", str(newest), str(before)))
    assert all(torch.equal(tensor, last[name]) for name, tensor in end.items())
    assert not all(torch.equal(tensor, first[name]) for name, tensor in end.items())
    with pytest.raises(CheckpointError, match="no checkpoint of step 99"):
        export(run, "--stage", "sft", "--step", 99, "--out", tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["end", "out", str(before), str(newest)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "default"], "--policy goes with --to ollama"),
        (["--to", "gguf", "--language", "th"], "--language goes with --to ollama"),
        (["--to", "gguf", "--shard-gib", "1"], "--shard-gib goes with --to hf"),
        (["--no-output-check"], "--no-output-check goes with --to gguf or ollama"),
        (["--max-different-ids", "0.1"], "--max-different-ids goes with --to gguf or ollama"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(tmp_path: Path, words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["export", str(tmp_path), "--out", str(tmp_path / "out"), *words])
    assert result.exit_code == 2
    assert message in result.output
