"""Tiny tokenizers of every kind that bases use, and a tiny model, built here."""

import json
from collections.abc import Iterator

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from seallm.model.chat_format import ChatFormat, add_chat_tokens
from seallm.model.checkpoints import new_llama

TEXT = [
    "Hello, what is the weather like today? It is sunny and warm in the city.",
    "user assistant system The price is 25 dollars; you can pay tomorrow.",
    "สวัสดีครับ วันนี้อากาศดีมาก ราคาข้าวกล่องคือสี่สิบบาท",
    "ສະບາຍດີ ມື້ນີ້ອາກາດດີ",
    "សួស្តី ថ្ងៃនេះអាកាសធាតុល្អ",
    "မင်္ဂလာပါ ဒီနေ့ ရာသီဥတု ကောင်းတယ်",
    "今天天气很好，我们去公园吧。",
    "Xin chào, hôm nay trời đẹp quá. <table> im start end of text | x</s> y</s> z</s> a<s> b<s>",
] * 4
CONTROLS = ["<unk>", "<s>", "</s>", "<|endoftext|>"]
KINDS = ["byte-level", "byte-level-prefix", "spm-first", "spm-always", "spm-prepend"]


def _train(kind: str) -> Tokenizer:
    is_byte_level = kind.startswith("byte-level")
    tokenizer = Tokenizer(models.BPE(unk_token=None if is_byte_level else "<unk>", byte_fallback=not is_byte_level))
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    alphabet: list[str] = []
    if is_byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "byte-level-prefix")
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        scheme = kind.removeprefix("spm-")
        if scheme == "prepend":
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=True)
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        tokenizer.decoder = decoders.Sequence(steps)
    specials = CONTROLS + ([] if is_byte_level else fallback)
    trainer = trainers.BpeTrainer(
        vocab_size=720, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer if is_byte_level else _bytes_as_ordinary_pieces(tokenizer, fallback)


def _bytes_as_ordinary_pieces(tokenizer: Tokenizer, fallback: list[str]) -> Tokenizer:
    """As in Llama: byte pieces are in the vocabulary but are no added tokens."""
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] not in fallback]
    return Tokenizer.from_str(json.dumps(state))


def build_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_train(kind), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.add_tokens([AddedToken("<table>", normalized=False), AddedToken("[user]", normalized=True)])
    return tokenizer


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors lose more by waiting for threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", params=KINDS)
def any_format(request: pytest.FixtureRequest) -> ChatFormat:
    """The chat format on every kind of tokenizer; read-only."""
    tokenizer = build_tokenizer(request.param)
    add_chat_tokens(tokenizer)
    return ChatFormat(tokenizer)


@pytest.fixture(scope="session")
def chat_format() -> ChatFormat:
    """The chat format on a byte-level tokenizer; read-only."""
    tokenizer = build_tokenizer("byte-level")
    add_chat_tokens(tokenizer)
    return ChatFormat(tokenizer)


@pytest.fixture(scope="session")
def model(chat_format: ChatFormat) -> LlamaForCausalLM:
    """A tiny model with room for the tokens of `chat_format`; read-only."""
    return new_llama(len(chat_format.tokenizer), hidden_size=48, layers=2, heads=4, max_sequence_tokens=256, seed=3)
