"""The folder loads in transformers with the same output; the verbs say what they did and refuse what they must."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from seallm.base.errors import DataError, ModelError, RecipeError
from seallm.cli import app
from seallm.export.folder import RECORD
from tests.export.conftest import MakeModel

PROMPT = [{"role": "user", "content": "ราคา 25 dollars?"}]


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def greedy(folder: Path) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    return model.generate(**ids, max_new_tokens=12, do_sample=False)[0].tolist()


def test_same_output_in_shards(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model("llama", "qwen")
    (folder / "README.md").write_text("# Tiny\n")
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 5]}')
    out = tmp_path / "out"
    assert f"{out}: tiny" in run("export", folder, "--out", out, "--shard-gib", "0.0001")
    assert len(list(out.glob("model-0000*-of-0000*.safetensors"))) > 1
    assert greedy(out) == greedy(folder)
    assert (out / "README.md").read_text() == "# Tiny\n"
    assert json.loads((out / "generation_config.json").read_text()) == {"eos_token_id": [2, 5]}
    record = json.loads((out / RECORD).read_text())
    assert record["format"] == "hf"
    assert record["number_type"] == "float32"
    assert set(record["file_bytes"]) == {path.name for path in out.iterdir()} - {RECORD}


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_number_types(make_model: MakeModel, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    folder = make_model()
    run("export", folder, "--out", out, "--type", kind)
    model = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    assert model.dtype == getattr(torch, kind)
    wanted = AutoModelForCausalLM.from_pretrained(folder).to(model.dtype)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), wanted.parameters(), strict=True))
    again = tmp_path / "again"
    run("export", out, "--out", again)
    assert json.loads((again / RECORD).read_text())["number_type"] == kind


def test_gguf_and_ollama_say_what_was_checked(make_model: MakeModel, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    folder = make_model("llama", "qwen")
    said = run("export", folder, "--to", "ollama", "--out", tmp_path / "out", "--type", "f32", "--policy", "default")
    assert "Tensors: 21 read back as written; largest difference 0" in said
    assert "Token ids: equal on 453 texts in 11 groups, by " in said
    assert "Greedy output: 11 of 11 prompts equal over 16 tokens, 176 of 176 tokens before a difference" in said
    assert "Next: ollama create tiny" in said
    assert "SYSTEM" in (tmp_path / "out" / "Modelfile").read_text()
    with pytest.raises(RecipeError, match="has no prompt in 'xx'; it has "):
        run("export", folder, "--to", "ollama", "--out", tmp_path / "x", "--policy", "default", "--language", "xx")


def test_refusals(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    with pytest.raises(ModelError, match="There is no folder"):
        run("export", tmp_path / "none", "--out", tmp_path / "out")
    with pytest.raises(DataError, match="is no export of seallm"):
        run("export", folder, "--out", folder)
    with pytest.raises(DataError, match="it is not a run"):
        run("export", folder, "--out", tmp_path / "out", "--stage", "sft")
    for words, message in (
        (("--type", "q8_0"), "expected one of float32, bfloat16, float16 for --to hf"),
        (("--to", "gguf", "--type", "float16"), "expected one of f32, f16, bf16, q8_0"),
        (("--step", "3"), "--step goes with --stage"),
        (("--policy", "default"), "--policy goes with --to ollama"),
    ):
        result = CliRunner().invoke(app, ["export", str(folder), "--out", str(tmp_path / "out"), *words])
        assert result.exit_code == 2
        assert message in " ".join(result.output.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []
