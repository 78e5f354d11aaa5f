"""Tiny models of each architecture with tokenizers of each kind, written as folders."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from seallm.model.chat_format import add_chat_tokens
from seallm.model.checkpoints import save_model
from seallm.vocab.pretokenizer import repair
from seallm.vocab.splits import split_merges
from tests.model.conftest import build_tokenizer

MakeModel = Callable[..., Path]
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def chat_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Of a kind that exports without a difference: GPT-2's regex or Qwen's with marks, or merges by score."""
    tokenizer = build_tokenizer("byte-level" if kind == "qwen" else kind)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if kind == "qwen":
        step = {"type": "Split", "pattern": {"Regex": QWEN}, "behavior": "Isolated", "invert": False}
        last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [step, last]}
        state = repair(state)
    if kind.startswith("spm"):
        made = list(dict.fromkeys(left + right for left, right in state["model"]["merges"]))
        state["model"]["merges"] = [list(pair) for pair in split_merges(made, set(state["model"]["vocab"]))]
    changed = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    add_chat_tokens(changed)
    return changed


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """A function that writes a tiny model with random weights and gives its folder."""

    def make(architecture: str = "llama", tokenizer: str = "byte-level", **settings: Any) -> Path:
        fast = chat_tokenizer(tokenizer)
        sizes = {
            "vocab_size": len(fast) + 3,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 256,
            "initializer_range": 0.3,
            "tie_word_embeddings": False,
        }
        config = AutoConfig.for_model(architecture, **{**sizes, **settings})
        torch.manual_seed(5)
        model = AutoModelForCausalLM.from_config(config).eval()
        folder = tmp_path_factory.mktemp("models") / "tiny"
        save_model(folder, model, fast)
        return folder

    return make
