"""The tokenizers that are extended: Llama-2 and Mistral-7B as their files are, SmolLM2 out of a GGUF file."""

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

from tokenizers import Tokenizer

from seallm.vocab.tokenizer_places import open_tokenizer

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY, _CONTROL = 8, 9, 3


def bases(folder: Path, work: Path) -> dict[str, Path]:
    """By name, those of the three bases that the folder has."""
    found = {"llama2": folder / "llama2", "mistral": folder / "mistral-v1"}
    for gguf in sorted(folder.glob("SmolLM2*.gguf")):
        found["smollm2"] = write_smollm2(gguf, work / "smollm2")
    return {name: path for name, path in found.items() if path.exists()}


def reference(folder: Path) -> Tokenizer:
    """ChatGPT's tokenizer, whose English is the unit."""
    return open_tokenizer(folder / "cl100k_base.tiktoken").tokenizer


def write_smollm2(gguf: Path, folder: Path) -> Path:
    """SmolLM2's `tokenizer.json`: vocabulary and merges from the GGUF file, its pre-tokenizer from here."""
    with gguf.open("rb") as file:
        values = read_gguf(file)
    tokens, kinds = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]
    merges = [merge.split(" ") for merge in values["tokenizer.ggml.merges"]]
    control = [
        {"id": k, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        | {"special": True}
        for k, token in enumerate(tokens)
        if kinds[k] == _CONTROL
    ]
    byte_level: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    steps = [{"type": "Digits", "individual_digits": True}, byte_level | {"use_regex": True}]
    model = {"type": "BPE", "vocab": {token: k for k, token in enumerate(tokens)}, "merges": merges}
    document = {
        "version": "1.0",
        "added_tokens": control,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": None,
        "decoder": byte_level | {"use_regex": True},
        "model": model | {"dropout": None, "unk_token": None, "byte_fallback": False, "fuse_unk": False},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return folder


def read_gguf(file: BinaryIO) -> dict[str, Any]:
    """The key-value part of a GGUF file (version 2 or 3)."""
    magic, _, _, pairs = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF":
        raise ValueError(f"not a GGUF file: it begins with {magic!r}")
    values = {}
    for _ in range(pairs):
        key = _read(file, _STRING)
        values[key] = _read(file, _number(file, "I"))
    return values


def _read(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return file.read(_number(file, "Q")).decode("utf-8")
    if kind == _ARRAY:
        inner, count = _number(file, "I"), _number(file, "Q")
        return [_read(file, inner) for _ in range(count)]
    return _number(file, _NUMBERS[kind])


def _number(file: BinaryIO, letter: str) -> Any:
    return struct.unpack(f"<{letter}", file.read(struct.calcsize(f"<{letter}")))[0]
