"""A tiny model with random weights, its engine, and where the sample's tasks lie."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext
from seallm.base.runtime import Runtime
from seallm.evaluate.engine import Engine
from seallm.model.chat_format import add_chat_tokens
from seallm.model.checkpoints import new_llama
from tests.model.conftest import build_tokenizer

LANGUAGES = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are faster on one thread, above all beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def chat_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = build_tokenizer("byte-level")
    add_chat_tokens(tokenizer)
    return tokenizer


@pytest.fixture(scope="session")
def random_model(chat_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return new_llama(len(chat_tokenizer), hidden_size=32, layers=2, heads=4, max_sequence_tokens=512, seed=3)


@pytest.fixture
def engine(random_model: LlamaForCausalLM, chat_tokenizer: PreTrainedTokenizerFast) -> Engine:
    return Engine(random_model, chat_tokenizer, batch_sequences=8)


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    (tmp_path / "out").mkdir()
    return StageContext(tmp_path / "out", {}, LANGUAGES, 7, Runtime(show_progress=False), tmp_path)
