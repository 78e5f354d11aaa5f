"""Model folders: whole, equal bytes for equal models, and the same model for plain transformers."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from seallm.base.errors import ModelError
from seallm.base.records import Message
from seallm.base.runtime import Runtime
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import check_folder, load_model, load_tokenizer, new_llama, resolve_base, save_model
from seallm.recipe import Base
from tests.model.conftest import TEXT, build_tokenizer

RUNTIME = Runtime(show_progress=False)
SIZE = {"hidden_size": 32, "layers": 1, "heads": 2, "max_sequence_tokens": 64}


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture
def folder(chat_format: ChatFormat, tmp_path: Path) -> Path:
    save_model(tmp_path / "model", new_llama(len(chat_format.tokenizer), **SIZE), chat_format.tokenizer)
    return tmp_path / "model"


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_plain_transformers_sees_the_same_model(any_format: ChatFormat, tie_embeddings: bool, tmp_path: Path) -> None:
    tokenizer = any_format.tokenizer
    model = new_llama(
        len(tokenizer), hidden_size=32, layers=2, heads=2, max_sequence_tokens=64, tie_embeddings=tie_embeddings
    )
    save_model(tmp_path / "model", model, tokenizer)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    their_tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    ours = load_model(tmp_path / "model", RUNTIME)
    messages = [Message("user", TEXT[0]), Message("assistant", TEXT[2])]
    rows = [{"role": m.role, "content": m.content} for m in messages]
    ids = ChatFormat(load_tokenizer(tmp_path / "model")).encode(messages).ids
    assert their_tokenizer.apply_chat_template(rows, return_dict=False) == ids
    assert [their_tokenizer.encode(t) for t in TEXT] == [tokenizer.encode(t) for t in TEXT]
    with torch.inference_mode():
        x = torch.tensor([ids])
        assert torch.equal(theirs(x).logits, ours(x).logits)
        assert torch.equal(model(x).logits, ours(x).logits)
    assert theirs.generation_config.eos_token_id == any_format.end_id
    assert not ours.training


def test_equal_models_give_equal_bytes_wherever_they_are_saved(chat_format: ChatFormat, tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "model", tmp_path / "b" / "other"
    save_model(first, new_llama(len(chat_format.tokenizer), **SIZE), chat_format.tokenizer)
    save_model(second, load_model(first, RUNTIME), load_tokenizer(first))
    assert hashes(first) == hashes(second)
    text = "".join(p.read_text() for p in first.glob("*.json"))
    assert str(tmp_path) not in text
    check_folder(first)


def test_bytes_do_not_depend_on_the_process(folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from seallm.base.runtime import Runtime\n"
        "from seallm.model.checkpoints import load_model, load_tokenizer, save_model\n"
        "first, second = map(Path, sys.argv[1:])\n"
        "save_model(second, load_model(first, Runtime()), load_tokenizer(first))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(folder), str(tmp_path / "second")], check=True)
    assert hashes(folder) == hashes(tmp_path / "second")


def test_saving_again_replaces_the_folder_and_leaves_nothing_behind(chat_format: ChatFormat, tmp_path: Path) -> None:
    (tmp_path / ".model.partial").mkdir()
    (tmp_path / ".model.partial" / "model.safetensors").write_bytes(b"cut")
    for seed in (1, 2):
        save_model(tmp_path / "model", new_llama(len(chat_format.tokenizer), seed=seed, **SIZE), chat_format.tokenizer)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    expected = new_llama(len(chat_format.tokenizer), seed=2, **SIZE).get_input_embeddings().weight
    assert torch.equal(load_model(tmp_path / "model", RUNTIME).get_input_embeddings().weight, expected)


def test_number_type_is_the_runtimes(model: LlamaForCausalLM, chat_format: ChatFormat, tmp_path: Path) -> None:
    save_model(tmp_path / "model", model, chat_format.tokenizer)
    loaded = load_model(tmp_path / "model", Runtime(dtype="bfloat16", show_progress=False))
    assert loaded.dtype == torch.bfloat16


def test_new_llama_is_a_function_of_its_arguments() -> None:
    state = torch.random.get_rng_state()
    first, second, other = (new_llama(50, seed=seed, **SIZE) for seed in (1, 1, 2))
    weights = [m.get_input_embeddings().weight for m in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(ModelError, match="heads = 3 must divide hidden_size = 32"):
        new_llama(50, hidden_size=32, layers=1, heads=3, max_sequence_tokens=8)


def test_more_tokens_than_rows_are_refused(tmp_path: Path) -> None:
    tokenizer = build_tokenizer("byte-level")
    with pytest.raises(ModelError, match="only 10 rows"):
        save_model(tmp_path / "model", new_llama(10, **SIZE), tokenizer)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("missing", "found", "message"),
    [
        ("tokenizer.json", None, "has no tokenizer.json; copy the tokenizer files"),
        ("tokenizer.json", "tokenizer.model", "convert its tokenizer.model"),
        ("model.safetensors", None, r"has no weights \(\*.safetensors\)"),
        ("model.safetensors", "pytorch_model.bin", "pytorch_model.bin is pickled"),
        ("config.json", None, "has no config.json; it holds chat_template.jinja"),
    ],
)
def test_incomplete_base_is_one_clear_line(folder: Path, missing: str, found: str | None, message: str) -> None:
    (folder / missing).unlink()
    if found:
        (folder / found).write_bytes(b"")
    with pytest.raises(ModelError, match=message) as raised:
        resolve_base(Base(model="model"), folder.parent)
    assert "\n" not in str(raised.value)
    loader = load_tokenizer if missing == "tokenizer.json" else lambda path: load_model(path, RUNTIME)
    with pytest.raises(ModelError, match=message):
        loader(folder)


def test_complete_base_is_found_relative_to_the_recipe(folder: Path) -> None:
    assert resolve_base(Base(model="model"), folder.parent) == folder
    assert resolve_base(Base(model=str(folder)), Path("/nowhere")) == folder


def test_base_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no folder .*/models/x/y, and it is not a hub id"):
        resolve_base(Base(model="models/x/y"), tmp_path)


def test_hub_that_cannot_be_reached_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="the hub did not give it") as raised:
        resolve_base(Base(model="nobody/nothing"), tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "config.json"])
def test_damaged_file_is_one_clear_line(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="cannot be") as raised:
        (load_tokenizer if name == "tokenizer.json" else lambda place: load_model(place, RUNTIME))(folder)
    assert "\n" not in str(raised.value)


def test_weights_that_do_not_fit_the_configuration(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    with pytest.raises(ModelError, match=r"lacks weights .*model\.layers\.1\."):
        load_model(folder, RUNTIME)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_a_repaired_regex_outlives_transformers_choice_of_class(family: str, tmp_path: Path) -> None:
    """For qwen2 transformers rebuilds the tokenizer with a regex of its own, whatever class is named."""
    state = json.loads(build_tokenizer("byte-level").backend_tokenizer.to_str())
    split = {"type": "Split", "pattern": {"Regex": r"[\p{L}\p{M}]+|\s+|."}, "behavior": "Isolated", "invert": False}
    byte_level = {**state["pre_tokenizer"], "use_regex": False}
    state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, byte_level]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), eos_token="</s>")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), intermediate_size=16, **shape)
    save_model(tmp_path / "m", AutoModelForCausalLM.from_config(config), tokenizer)
    cut = AutoTokenizer.from_pretrained(tmp_path / "m").backend_tokenizer.pre_tokenizer.pre_tokenize_str("ကြက် ក្រុម")
    assert len(cut) == 3  # two words and the space; a letters-only regex makes seven and more
    settings = json.loads((tmp_path / "m" / "tokenizer_config.json").read_text())
    assert ("auto_map" in settings) == (family == "qwen2")
    save_model(tmp_path / "again", load_model(tmp_path / "m", Runtime()), load_tokenizer(tmp_path / "m"))
    assert json.loads((tmp_path / "again" / "tokenizer_config.json").read_text()) == settings
