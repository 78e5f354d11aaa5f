"""A `tokenizer.json` in, its parts as the learner needs them out; kinds that cannot be extended are refused here.

Two kinds of BPE can be extended. "byte-level" (GPT-2, Llama-3, Qwen, SmolLM2): the symbols are the 256 bytes, each
written as one letter of a fixed alphabet. "sentencepiece" (Llama-2, Mistral, Gemma): the symbols are characters, a
space is written as "▁", and characters that are missing fall back to byte pieces such as `<0xE0>`.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from seallm.base.errors import VocabError
from seallm.base.files import read_json

Kind = Literal["byte-level", "sentencepiece"]
TOKENIZER_FILE = "tokenizer.json"
SPACE_PIECE = "▁"
MAX_IDS = 2**28  # a pair of ids and a language share one 64-bit key


@functools.cache
def byte_alphabet() -> tuple[str, ...]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2: printable bytes stand for themselves)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in printable else chr(next(hidden)) for byte in range(256))


@functools.cache
def _letter_bytes() -> dict[str, int]:
    return {letter: byte for byte, letter in enumerate(byte_alphabet())}


@dataclass(frozen=True)
class BpeTokenizer:
    """One BPE tokenizer file, opened.

    Attributes:
        where: the file or folder it came from, for messages.
        document: the content of `tokenizer.json`.
        kind: how text becomes symbols.
        tokenizer: the same file, ready to encode.
    """

    where: str
    document: Mapping[str, Any]
    kind: Kind
    tokenizer: Tokenizer

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """The model's own tokens and their ids; added tokens may be missing here."""
        vocabulary: dict[str, int] = self.document["model"]["vocab"]
        return vocabulary

    @functools.cached_property
    def added_tokens(self) -> dict[str, int]:
        """Tokens that are cut out of a text before anything else, such as `</s>`."""
        return {entry["content"]: int(entry["id"]) for entry in self.document.get("added_tokens") or []}

    @functools.cached_property
    def merges(self) -> list[tuple[str, str]]:
        """Pairs of tokens in order of priority, from either of the two spellings in use."""
        return [
            (pair[0], pair[1]) if isinstance(pair, list) else (pair.split(" ", 1)[0], pair.split(" ", 1)[1])
            for pair in self.document["model"]["merges"]
        ]

    @property
    def ignores_merges(self) -> bool:
        """True where a whole pre-token that is in the vocabulary is taken as it is (Llama-3)."""
        return bool(self.document["model"].get("ignore_merges"))

    @property
    def next_id(self) -> int:
        """The first id behind everything, added tokens included."""
        return max([*self.vocabulary.values(), *self.added_tokens.values()]) + 1

    @functools.cached_property
    def unmergeable(self) -> frozenset[str]:
        """Tokens that stand for something else than their letters: control tokens and byte pieces."""
        pieces = {byte_piece(b) for b in range(256)} if self.kind == "sentencepiece" else set()
        unknown = {self.document["model"].get("unk_token") or ""}
        return frozenset((pieces | unknown | self.added_tokens.keys()) & (self.vocabulary.keys() | self.added_tokens))

    def bytes_of(self, token: str) -> bytes:
        """The UTF-8 bytes a token stands for; a space piece is a space."""
        if self.kind == "byte-level":
            return bytes(_letter_bytes()[letter] for letter in token)
        return token.replace(SPACE_PIECE, " ").encode("utf-8")


def byte_piece(byte: int) -> str:
    """The SentencePiece token that stands for a byte no other token covers."""
    return f"<0x{byte:02X}>"


def load_bpe(folder: Path) -> BpeTokenizer:
    """Open the `tokenizer.json` of a model or tokenizer folder.

    Raises:
        VocabError: there is none, or it is of a kind that cannot be extended.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        found = sorted(p.name for p in folder.glob("*token*")) if folder.is_dir() else []
        raise VocabError(
            f"{folder} has no {TOKENIZER_FILE} (found: {', '.join(found) or 'nothing'}). Vocabulary extension needs a "
            "fast tokenizer: load the base with transformers' AutoTokenizer and save it with save_pretrained"
        )
    return parse_bpe(read_json(path), str(path))


def parse_bpe(document: Mapping[str, Any], where: str) -> BpeTokenizer:
    """Check the content of a `tokenizer.json` and open it.

    Raises:
        VocabError: not BPE, or BPE of a kind that cannot be extended.
    """
    model = document.get("model") or {}
    if model.get("type") != "BPE" or not model.get("merges"):
        raise VocabError(
            f"{where} holds a {model.get('type') or 'nameless'} model with {len(model.get('merges') or [])} merges. "
            "Only BPE tokenizers with merges can be extended (Llama, Mistral, Gemma, Qwen, SmolLM and their like)"
        )
    for option in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(option):
            raise VocabError(f"{where}: {option} = {model[option]!r} is not supported; expected a model without it")
    kind = _kind(document, where)
    if max(model["vocab"].values()) >= MAX_IDS:
        raise VocabError(f"{where}: token ids must be below {MAX_IDS}")
    return BpeTokenizer(where, document, kind, load_tokenizer(document, where))


def load_tokenizer(document: Mapping[str, Any], where: str) -> Tokenizer:
    """The content of a `tokenizer.json` ready to encode, however long the text: nothing is cut off or filled up.

    Raises:
        VocabError: the tokenizers library does not take it.
    """
    try:
        return Tokenizer.from_str(json.dumps({**document, "truncation": None, "padding": None}))
    except Exception as error:  # the library raises bare Exception
        raise VocabError(f"{where} cannot be loaded by the tokenizers library: {error}") from None


def _kind(document: Mapping[str, Any], where: str) -> Kind:
    model = document["model"]
    steps = pre_tokenizer_steps(document)
    if any(step["type"] == "ByteLevel" for step in steps):
        if steps[-1]["type"] != "ByteLevel":
            raise VocabError(f"{where}: the pre-tokenizer has steps after ByteLevel; expected ByteLevel to be the last")
        return "byte-level"
    missing = [byte_piece(b) for b in range(256) if byte_piece(b) not in model["vocab"]]
    if not model.get("byte_fallback") or missing:
        raise VocabError(
            f"{where} is neither byte-level nor SentencePiece-style with byte fallback "
            f"(byte_fallback = {model.get('byte_fallback')}, {len(missing)} of 256 byte pieces missing): "
            "it cannot spell every text, so nothing can be certified"
        )
    return "sentencepiece"


def pre_tokenizer_steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pre-tokenizer as a flat list of steps, in order."""

    def flat(step: dict[str, Any] | None) -> list[dict[str, Any]]:
        if step is None:
            return []
        return [s for inner in step["pretokenizers"] for s in flat(inner)] if step["type"] == "Sequence" else [step]

    return flat(document.get("pre_tokenizer"))
