"""`[evaluate.judge]`: a run's chat models are judged, a killed stage ends in the same bytes, the report shows it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext
from seallm.evaluate.judge_stage import run_judge
from seallm.model.checkpoints import new_llama, save_model
from seallm.recipe import Judging
from tests.endpoints.scripted_server import ScriptedServer, question
from tests.evaluate.judged import any_language
from tests.evaluate.report_run import report
from tests.evaluate.test_report import Page


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, chat_tokenizer: PreTrainedTokenizerFast) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("chat")
    for seed, name in enumerate(("sft", "dpo")):
        model = new_llama(len(chat_tokenizer), hidden_size=32, layers=1, heads=2, max_sequence_tokens=2048, seed=seed)
        save_model(folder / name / "model", model, chat_tokenizer)
    return {name: folder / name for name in ("sft", "dpo")}


@pytest.fixture
def judged(context: StageContext, models: dict[str, Path]) -> StageContext:
    rows = [
        {"question_id": number, "lang": code, "category": category, "turns": ["Why?"]}
        for number, (code, category) in enumerate((c, k) for c in ("en", "lo", "th") for k in ("a", "b", "safety"))
    ]
    (context.recipe_folder / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return replace(context, inputs={**models, "base": models["sft"]}, languages=("en", "lo", "th"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def test_the_newest_chat_model_judges_both(judged: StageContext, tmp_path: Path) -> None:
    settings = Judging(mode="pairwise", questions="own.jsonl", max_answer_tokens=4)
    run_judge(settings, 8, judged, any_language)
    found = json.loads((judged.out / "judge" / "report.json").read_text())
    assert found["models"] == ["sft", "dpo"]
    assert found["settings"]["questions"] == "own.jsonl"
    assert {row["language"] for row in found["wins"]} == {"all", "en", "lo", "th"}
    before = contents(judged.out)
    assert "judge/usage.json" not in before
    (judged.out / "judge" / "report.json").unlink()
    for kept in list((judged.out / "judge" / "kept").iterdir())[::2]:
        shutil.rmtree(kept)  # as if killed midway
    run_judge(settings, 8, judged, any_language)
    assert contents(judged.out) == before
    (tmp_path / "report").mkdir()
    text, figures = report({"evaluate": judged.out, "sft": judged.inputs["sft"]}, tmp_path / "report")
    page = Page(text)
    assert "judged" in page.ids()
    assert figures["judged"]["judge"] == found["judge"]
    assert len(figures["judged"]["radars"]["by_language"]) == 3
    assert "**Judged answers**: 9 open questions" in (tmp_path / "report" / "README.md").read_text()


def test_an_endpoint_judges_and_one_model_is_scored(judged: StageContext, models: dict[str, Path]) -> None:
    alone = replace(judged, inputs={"sft": models["sft"]})
    with ScriptedServer(lambda body: f"Score: {len(question(body)) % 10}") as server:
        settings = Judging(model=server.address, mode="pairwise", questions="own.jsonl", max_answer_tokens=4)
        run_judge(settings, 8, alone, any_language)
    found = json.loads((alone.out / "judge" / "report.json").read_text())
    assert (found["judge"], found["settings"]["mode"]) == ("scripted", "score")
    assert found["scores"]


def test_a_run_without_chat_models_has_nothing_to_judge(judged: StageContext, models: dict[str, Path]) -> None:
    run_judge(Judging(questions="own.jsonl"), 8, replace(judged, inputs={"base": models["sft"]}), any_language)
    assert not (judged.out / "judge").exists()
