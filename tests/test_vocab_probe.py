"""Ways to start new rows, compared on a tiny base."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from seallm.base.errors import DataError, ModelError, RecipeError
from seallm.base.runtime import Runtime
from seallm.model.checkpoints import new_llama, save_model
from seallm.vocab_alone import Request, extend
from seallm.vocab_probe import Budget, chosen_methods, probe
from seallm.vocab_verbs import app
from tests.vocab.tiny import BASES, SAMPLE, documents, write_parallel

BUDGET = Budget(steps=3, sequence_tokens=32, batch_tokens=128, learning_rate=1e-3)
QUIET = Runtime(show_progress=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, its extended tokenizer and a few documents."""
    folder = tmp_path_factory.mktemp("probe")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(BASES["byte-level"]()), eos_token="<|endoftext|>"
    )
    model = new_llama(len(tokenizer), hidden_size=32, layers=1, heads=2, max_sequence_tokens=64)
    save_model(folder / "base", model, tokenizer)
    write_parallel(folder / "parallel", ("en", "th"))
    request = Request(
        str(folder / "base"),
        str(SAMPLE),
        str(folder / "parallel"),
        overrides=("new_tokens=150", "megabytes_per_language=0.03"),
    )
    assert extend(request, folder / "extended")
    (folder / "docs").mkdir()
    for code in ("en", "th"):
        rows = [json.dumps({"text": text[:400], "language": code}) for text in documents(code)]
        (folder / "docs" / f"{code}.jsonl").write_text("\n".join(rows * 3) + "\n", encoding="utf-8")
    return folder


def test_every_method_is_measured_before_and_after(place: Path) -> None:
    found = probe(str(place / "base"), place / "extended", str(place / "docs"), budget=BUDGET, runtime=QUIET)
    assert found["languages"] == ["en", "th"]
    assert list(found["methods"]) == ["mean", "calibrated-mean", "standardised-mean", "similarity"]
    for row in (found["base"], *(moment for both in found["methods"].values() for moment in both.values())):
        assert set(row) == {"en", "th"}
        assert all(value > 0 for value in row.values())
    means = found["methods"]["mean"]
    assert means["after"]["th"] < means["before"]["th"] < found["base"]["th"]
    again = probe(
        str(place / "base"), place / "extended", str(place / "docs"), methods=("mean",), budget=BUDGET, runtime=QUIET
    )
    assert again["methods"]["mean"] == means


def test_the_verb(place: Path) -> None:
    arguments = ["--base", str(place / "base"), "--tokenizer", str(place / "extended"), "--corpus", str(place / "docs")]
    budget = ["--steps", "1", "--sequence-tokens", "32", "--batch-tokens", "64", "--methods", "mean", "--new-rows-only"]
    result = CliRunner().invoke(app, ["probe", *arguments, *budget, "--out", str(place / "probe.json")])
    assert result.exit_code == 0, result.output
    assert "base, own tokenizer" in result.stdout
    assert json.loads((place / "probe.json").read_text())["budget"]["new_rows_only"]


def test_what_can_be_wrong(place: Path) -> None:
    with pytest.raises(RecipeError, match="--methods focus: known ways to start are mean, "):
        chosen_methods("mean, focus")
    assert chosen_methods("similarity,mean") == ("mean", "similarity")
    with pytest.raises(DataError, match=r"has no certificate\.json that names its languages"):
        probe(str(place / "base"), place / "base", str(place / "docs"), budget=BUDGET, runtime=QUIET)
    with pytest.raises(ModelError, match="has no tokens that"):
        probe(str(place / "base"), place / "base", str(place / "docs"), languages=("en",), budget=BUDGET, runtime=QUIET)
    with pytest.raises(ModelError, match="--sequence-tokens = 999 is more than the model's 64 positions"):
        probe(str(place / "base"), place / "extended", str(place / "docs"), budget=Budget(1, 999), runtime=QUIET)
