import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, ModelError, RecipeError
from seallm.evaluate.stage import run
from seallm.model.checkpoints import save_model
from seallm.recipe import Evaluate
from tests.model.conftest import build_tokenizer

SETTINGS = Evaluate(
    tasks=["quiz", "xcopa"],
    data="sample:bench",
    parallel="sample:parallel",
    safety_prompts="sample:safety/prompts.jsonl",
    limit=3,
    batch_sequences=16,
)
RUN_LANGUAGES = ("en", "th", "lo")


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, random_model: LlamaForCausalLM, chat_tokenizer: PreTrainedTokenizerFast
) -> dict[str, Path]:
    """Stage folders: a base without chat format, and a chat model."""
    folder = tmp_path_factory.mktemp("run")
    save_model(folder / "base" / "model", random_model, build_tokenizer("byte-level"))
    save_model(folder / "sft" / "model", random_model, chat_tokenizer)
    return {name: folder / name for name in ("base", "sft")}


@pytest.fixture
def run_context(context: StageContext, models: dict[str, Path]) -> StageContext:
    return replace(context, inputs={**models, "corpus": Path("unused")}, languages=RUN_LANGUAGES)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / name).read_text(encoding="utf-8"))
    return found


def test_every_figure_has_n_and_an_interval(run_context: StageContext) -> None:
    run(SETTINGS, run_context)
    rows = read(run_context.out, "results.json")
    assert {row["model"] for row in rows} == {"base", "sft"}
    for row in rows:
        assert set(row) == {"model", "task", "language", "metric", "value", "n", "low", "high", "chance"}
        assert row["n"] > 0
        assert row["low"] <= row["value"] <= row["high"]
    assert {row["task"] for row in rows if row["model"] == "base"} == {"quiz", "xcopa", "parallel"}
    assert {row["task"] for row in rows if row["model"] == "sft"} == {"quiz", "xcopa", "parallel", "safety"}
    assert {row["language"] for row in rows if row["task"] == "quiz"} == {*RUN_LANGUAGES, "all"}
    assert run_context.counts["figures"] == len(rows)
    assert run_context.counts["tasks_without_data"] == []


def test_only_chat_models_get_chat_prompts_and_samples(run_context: StageContext) -> None:
    """Both folders hold the same weights: what differs is the form of the prompt."""
    run(SETTINGS, run_context)
    rows = read(run_context.out, "results.json")
    bits = {
        (r["model"], r["language"]): r["value"]
        for r in rows
        if r["metric"] == "bits_per_byte" and r["task"] == "parallel"
    }
    assert all(bits["base", code] == pytest.approx(bits["sft", code], abs=1e-5) for code in RUN_LANGUAGES)
    samples = read(run_context.out, "samples.json")
    assert {sample["model"] for sample in samples} == {"sft"}
    assert [sample["language"] for sample in samples] == ["en", "en", "th", "th", "lo", "lo"]
    assert set(samples[0]) == {"model", "language", "prompt", "answer"}


def test_red_team_prompts_are_not_written(run_context: StageContext) -> None:
    run(SETTINGS, run_context)
    prompts = run_context.resolve("sample:safety/prompts.jsonl").read_text(encoding="utf-8").splitlines()
    harmful = [row["prompt"] for row in map(json.loads, prompts) if row["kind"] == "harmful"]
    written = "".join(data.decode("utf-8") for data in contents(run_context.out).values())
    assert not [prompt for prompt in harmful if json.dumps(prompt, ensure_ascii=False)[1:-1] in written]


def test_a_killed_run_goes_on_to_the_same_bytes(run_context: StageContext, tmp_path: Path) -> None:
    run(SETTINGS, run_context)
    whole = contents(run_context.out)
    again = replace(run_context, out=tmp_path / "again", counts={})
    (again.out / "parts").mkdir(parents=True)
    whole_parts = [name.removeprefix("parts/") for name in whole if name.startswith("parts/")]
    done = [*(n for n in whole_parts if n.startswith("base.")), "sft.seallm_quiz_lo.json"]
    for name in done:
        (again.out / "parts" / name).write_bytes(whole[f"parts/{name}"])
    without_base = {name: folder for name, folder in run_context.inputs.items() if name != "base"}
    run(SETTINGS, replace(again, inputs={**without_base, "base": Path("gone")}))  # what is done needs no model
    assert contents(again.out) == whole


def test_the_seed_moves_no_score(run_context: StageContext, tmp_path: Path) -> None:
    run(SETTINGS, run_context)
    other = replace(run_context, out=tmp_path / "other", seed=99)
    run(SETTINGS, other)
    values = [
        [(r["task"], r["language"], r["value"]) for r in read(c.out, "results.json")] for c in (run_context, other)
    ]
    assert values[0] == values[1]


def test_long_prompts_are_counted(run_context: StageContext, tmp_path: Path) -> None:
    row = {"question": "why " * 900, "choices": ["a", "b"], "answer": 0}
    (tmp_path / "quiz.en.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    only_quiz = Evaluate(tasks=["quiz"], data=str(tmp_path), sample_prompts=1)
    run(only_quiz, run_context)
    assert run_context.counts["prompts_cut"] == 4  # both choices, for both models
    assert len(run_context.counts["tasks_without_data"]) == 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tasks": ["nothing"]}, RecipeError, "which no task file defines"),
        ({"data": "nowhere"}, DataError, "does not exist"),
        ({"safety_prompts": "nowhere.jsonl"}, DataError, "No file at"),
        ({"parallel": "nowhere"}, DataError, "does not exist"),
    ],
)
def test_bad_settings_are_one_line(
    run_context: StageContext, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        run(SETTINGS.model_copy(update=change), run_context)
    assert "\n" not in str(caught.value)
    assert not list(run_context.out.rglob("base.*.json"))  # found before any model was loaded


def test_an_incomplete_model_is_one_line(run_context: StageContext, tmp_path: Path) -> None:
    (tmp_path / "bad" / "model").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"has no config\.json"):
        run(SETTINGS, replace(run_context, inputs={"base": tmp_path / "bad"}))
