"""The model card: front matter that the hub reads, facts of the run alone, and what is missing said so."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import ModelCard

from seallm.base.artifacts import StageContext
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.base.runtime import Runtime
from seallm.evaluate.card import cell, model_card
from seallm.evaluate.card_data import card_facts, document_licences
from seallm.evaluate.report import read_figures
from seallm.recipe import Recipe
from tests.evaluate.report_run import LANGUAGES, RECIPE, write_json, write_run

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("card")
    made = write_run(folder)
    write_json(made["dpo"] / "model" / "tokenizer_config.json", {"chat_template": TEMPLATE})
    rows = [
        {"id": f"{n}", "text": "x", "language": "th", "source": "web", "licence": licence}
        for n, licence in enumerate(["CC0-1.0", "CC0-1.0", "a|b<script>", None])
    ]
    (made["corpus"] / "documents").mkdir()
    for tier in ("high", "low"):
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_SCHEMA), made["corpus"] / "documents" / f"th.{tier}.parquet")
    return made


def facts(inputs: dict[str, Path], folder: Path, **change: Any) -> dict[str, Any]:
    settings = Recipe.model_validate(RECIPE | change)
    context = StageContext(folder, inputs, tuple(settings.languages), 7, Runtime(show_progress=False), folder)
    return card_facts(read_figures(settings, context), settings, context)


def conversations(folder: Path) -> dict[str, Any]:
    (folder / "chat.jsonl").write_text("\n".join(json.dumps({"licence": n}) for n in ("MIT", "MIT", "CC0-1.0", None)))
    return {"sft": {"conversations": ["chat.jsonl", "gone.jsonl"]}, "dpo": {}}


def test_front_matter_is_what_the_hub_reads(inputs: dict[str, Path], tmp_path: Path) -> None:
    text = model_card(facts(inputs, tmp_path, base={"model": "owner/base-7b"}), licence="apache-2.0")
    data = ModelCard(text).data
    assert data.language == list(LANGUAGES)
    assert (data.license, data.base_model, data.library_name) == ("apache-2.0", "owner/base-7b", "transformers")
    results = {(r.dataset_type, r.dataset_config, r.metric_type): r for r in data.eval_results or ()}
    quiz = results["quiz", "all", "accuracy"]
    assert (quiz.metric_value, quiz.metric_name) == (
        82.75,
        "accuracy in percent, n = 400, 95 % interval 79.0 to 86.5",
    )
    assert ("xquad", "th", "exact_match") not in results  # the first metric of each task alone
    assert "safety" not in {name for name, *_ in results}
    assert yaml.safe_load(text.split("---")[1])["model-index"][0]["name"] == "ten-languages"


def test_what_the_run_knows_and_what_it_does_not(inputs: dict[str, Path], tmp_path: Path) -> None:
    text = model_card(facts(inputs, tmp_path, **conversations(tmp_path))).replace("\u202f", " ")
    for words in (
        "Made from a small base model that was trained in the same run",
        "**Licence.** Not stated",
        "| CC0-1.0 | 2 | 2 |",
        "| not stated | 1 | 1 |",
        r"| a\|b\<script\> | 1 | 1 |",
        r"| sft | chat.jsonl | 4 | CC0-1.0 1, MIT 2, not stated 1 |",
        "| sft | gone.jsonl | the files are gone |",
        "| sft | alpaca | 1,200 | CC-BY-4.0 1,200 |",
        "| dpo | ultrafeedback | 50 | MIT 50 |",
        "| all | 400 | 25 % |",
        "82.0 %",  # refusals
        "DPO improved 16 to 21 of 30.",
        "1,500 tokens before, 4,500 after",
        "English was forgotten in part: 2.100 bits per byte before, 2.144 after.",
        "No review by native speakers is recorded",
        TEMPLATE,
        "energy and emissions were not measured",
    ):
        assert words in text, words
    assert "| hybrid | alpaca |" not in text, "the recipe has no such section"
    assert "license:" not in text
    assert "base_model:" not in text


def test_a_run_without_stages_has_a_card(tmp_path: Path) -> None:
    text = model_card(facts({}, tmp_path))
    for words in ("This run has no model yet.", "No benchmark was run.", "No corpus was made", "Nothing was trained"):
        assert words in text
    assert "model-index" not in text


def test_a_plain_model_is_not_shown_as_a_chat_model(inputs: dict[str, Path], tmp_path: Path) -> None:
    some = {name: inputs[name] for name in ("base", "pretrain")}
    text = model_card(facts(some, tmp_path))
    assert "apply_chat_template" not in text
    assert "was not made for conversations" in text
    assert "conversational" not in text


@pytest.mark.parametrize("missing", ["corpus", "vocab", "evaluate", "prefer", "dpo"])
def test_any_stage_may_be_missing(inputs: dict[str, Path], tmp_path: Path, missing: str) -> None:
    text = model_card(facts({name: path for name, path in inputs.items() if name != missing}, tmp_path))
    assert ModelCard(text).data.library_name == "transformers"


def test_seconds_and_processor_do_not_stand_in_it(inputs: dict[str, Path], tmp_path: Path) -> None:
    slower = {name: Path(shutil.copytree(path, tmp_path / name)) for name, path in inputs.items()}
    for path in slower.values():
        manifest = json.loads((path / "manifest.json").read_text())
        write_json(path / "manifest.json", {**manifest, "seconds": 1e6, "timings": {}})
    assert model_card(facts(slower, tmp_path)) == model_card(facts(inputs, tmp_path))


def test_documents_without_a_corpus_have_no_licence() -> None:
    assert document_licences(None, LANGUAGES) == []


def test_cells_are_one_harmless_line() -> None:
    assert cell("a\n| b <b> [x](y) `c` \x00") == r"a \| b \<b\> \[x\](y) \`c\` " + "\ufffd"
