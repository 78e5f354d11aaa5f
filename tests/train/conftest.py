"""A tiny tokenizer, model and corpus, built here."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext
from seallm.base.records import DOCUMENT_SCHEMA, Message, Preference, write_preferences
from seallm.base.runtime import Runtime
from seallm.model.chat_format import ChatFormat, add_chat_tokens
from seallm.model.checkpoints import new_llama, save_model
from seallm.train.base import learn_tokenizer

ENGLISH = [
    "The rice harvest begins in November, when the fields are dry and the days are cool.",
    "A ferry crosses the river every hour; on market days it carries baskets of fruit and fish.",
    "Wash your hands before you cook. Boil the water, add the noodles and wait for three minutes.",
    "The library opens at nine. Children under twelve read for free, others pay a small fee.",
]
THAI = [
    "ฤดูเก็บเกี่ยวข้าวเริ่มในเดือนพฤศจิกายนเมื่อทุ่งนาแห้งและอากาศเย็น",
    "เรือข้ามฟากออกทุกชั่วโมง วันตลาดนัดจะบรรทุกผลไม้และปลามาด้วย",
    "ล้างมือก่อนทำอาหาร ต้มน้ำ ใส่เส้นก๋วยเตี๋ยว แล้วรอสามนาที",
]
LAO = ["ລະດູເກັບກ່ຽວເຂົ້າເລີ່ມໃນເດືອນພະຈິກ ເມື່ອທົ່ງນາແຫ້ງ", "ເຮືອຂ້າມຟາກອອກທຸກຊົ່ວໂມງ"]
TEXTS = {"en": ENGLISH, "th": THAI, "lo": LAO}


def write_documents(path: Path, texts: Iterable[str], language: str) -> None:
    rows = [{"id": f"{language}-{n}", "text": text, "language": language} for n, text in enumerate(texts)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_SCHEMA), path)


def varied(texts: list[str], count: int) -> list[str]:
    """Documents of different lengths out of a few sentences."""
    return [f"{n}. " + " ".join(texts[(n * 7 + i) % len(texts)] for i in range(1 + n * n % 5)) for n in range(count)]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Two threads on a busy machine wait for each other after every small operation."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer without chat tokens; read-only."""
    return learn_tokenizer(ENGLISH * 3, 330)


@pytest.fixture(scope="session")
def chat_format() -> ChatFormat:
    """The chat format of a tokenizer with chat tokens; read-only."""
    found = learn_tokenizer(ENGLISH * 3, 330)
    add_chat_tokens(found)
    return ChatFormat(found)


def tiny_llama(vocabulary_tokens: int = 331, **settings: Any) -> LlamaForCausalLM:
    shape = {"hidden_size": 32, "layers": 2, "heads": 4, "max_sequence_tokens": 256, "seed": 1}
    return new_llama(vocabulary_tokens, **(shape | settings))


@pytest.fixture
def llama() -> LlamaForCausalLM:
    return tiny_llama()


MakeContext = Callable[..., StageContext]


@pytest.fixture
def make_context(tmp_path: Path) -> MakeContext:
    """Contexts of stages with folders under `tmp_path`; keyword arguments change them."""

    def make(name: str, **changes: Any) -> StageContext:
        out = tmp_path / name
        out.mkdir(parents=True, exist_ok=True)
        runtime = Runtime(workers=1, threads=1, device="cpu", show_progress=False)
        context = StageContext(out, {}, ("en", "th", "lo"), 3, runtime, tmp_path)
        return replace(context, **changes)

    return make


def make_base(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A finished base stage."""
    save_model(folder / "model", tiny_llama(len(tokenizer)), tokenizer)
    return folder


@pytest.fixture
def base_folder(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    return make_base(tmp_path / "base", tokenizer)


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


def make_corpus(folder: Path) -> Path:
    """A finished corpus stage."""
    for language, texts in TEXTS.items():
        documents = varied(texts, 24)
        write_documents(folder / "documents" / f"{language}.high.parquet", documents[:16], language)
        if language != "lo":
            write_documents(folder / "documents" / f"{language}.low.parquet", documents[16:], language)
        write_documents(folder / "held_out" / f"{language}.parquet", texts[:2], language)
    return folder


def write_chat(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def chat_row(question: str, answer: str, language: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "language": language}


@pytest.fixture
def chat_file(tmp_path: Path) -> Path:
    return make_chat(tmp_path / "chat.jsonl")


def make_chat(path: Path) -> Path:
    """Twelve English, six Thai and three Lao conversations."""
    rows = [chat_row(f"What is {n} and {n}?", f"It is {2 * n}.", "en") for n in range(12)]
    rows += [chat_row(f"{n} กับ {n} ได้เท่าไร", f"ได้ {2 * n} ครับ", "th") for n in range(6)]
    rows += [chat_row(f"{n} ກັບ {n}?", f"{2 * n} ເຈົ້າ", "lo") for n in range(3)]
    return write_chat(path, rows)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def vocab_folder(tmp_path: Path) -> Path:
    return make_vocab(tmp_path / "vocab")


def make_vocab(folder: Path) -> Path:
    """The base tokenizer with a few Thai pieces, as the vocab stage leaves it."""
    tokenizer = learn_tokenizer(ENGLISH * 3, 330)
    tokenizer.add_tokens(["ฤดู", "ข้าว", "เรือ"])
    tokenizer.save_pretrained(str(folder / "tokenizer"))
    return folder


def preferences(count: int, start: int = 0) -> list[Preference]:
    """The better answer repeats the number and is polite; the worse one shouts."""
    found = []
    for n in range(start, start + count):
        answers = ((Message("assistant", text),) for text in (f"Of course: {n}.", f"NO {n} NO"))
        found.append(Preference((Message("user", f"Say {n}, please."),), *answers, "en"))
    return found


@pytest.fixture
def prefer_folder(tmp_path: Path) -> Path:
    write_preferences(tmp_path / "prefer" / "preferences.jsonl", preferences(24))
    write_preferences(tmp_path / "prefer" / "held_out.jsonl", preferences(12, start=50))
    return tmp_path / "prefer"
