"""A tokenizer folder in; a GGUF file's vocabulary out: tokens, their kinds, merges or scores, special ids, template.

Byte-level BPE becomes llama.cpp's tokenizer `gpt2` with a pre-tokenizer that is found by trial (`pre_tokenizers.py`).
SentencePiece-like BPE becomes `llama`, which merges by the score of the token that results: scores of `tokenizer.model`
where there is one, else falling with the rank of a token's first merge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from seallm.base.errors import ModelError
from seallm.export.pre_tokenizers import Fit, fit
from seallm.vocab.base_tokenizer import BpeTokenizer, byte_piece
from seallm.vocab.sentencepiece_extension import SENTENCEPIECE_FILE
from seallm.vocab.sentencepiece_file import read_model

BYTE_LEVEL, SENTENCEPIECE = "gpt2", "llama"  # llama.cpp's names


class TokenKind(IntEnum):
    """What a token is, by its number in the file."""

    NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


@dataclass(frozen=True)
class Vocabulary:
    """A GGUF file's.

    Attributes:
        model: `gpt2` or `llama`.
        tokens: in order of ids.
        kinds: of each token.
        merges: pairs joined by a space; empty where scores decide.
        scores: of each token; empty where merges decide.
        fit: of the pre-tokenizer; None where none is used.
        adds_space: a space is put in front of a text.
    """

    model: str
    tokens: Sequence[str]
    kinds: Sequence[TokenKind]
    merges: Sequence[str]
    scores: Sequence[float]
    fit: Fit | None
    adds_space: bool


def make_vocabulary(tokenizer: BpeTokenizer, folder: Path, rows: int, texts: Sequence[str]) -> Vocabulary:
    """The vocabulary of a model.

    Args:
        tokenizer: the folder's.
        folder: the model's; a `tokenizer.model` in it gives scores.
        rows: of the embedding; ids that no token has are filled up.
        texts: in all languages, to find the pre-tokenizer by.

    Raises:
        ModelError: there are more tokens than rows.
    """
    if tokenizer.next_id > rows:
        raise ModelError(f"{folder}: the tokenizer has ids up to {tokenizer.next_id - 1}, the model only {rows} rows")
    by_id = {token_id: token for token, token_id in {**tokenizer.vocabulary, **tokenizer.added_tokens}.items()}
    tokens = [by_id.get(token_id, f"[unused {token_id}]") for token_id in range(rows)]
    kinds = [_kind(tokenizer, by_id.get(token_id)) for token_id in range(rows)]
    if tokenizer.kind == "byte-level":
        found = fit(tokenizer, texts)
        merges = [f"{left} {right}" for left, right in tokenizer.merges if (left, right) not in found.left_out]
        return Vocabulary(BYTE_LEVEL, tokens, kinds, merges, [], found, False)
    scores = _scores(tokenizer, folder, tokens)
    return Vocabulary(SENTENCEPIECE, tokens, kinds, [], scores, None, puts_space(tokenizer))


def _kind(tokenizer: BpeTokenizer, token: str | None) -> TokenKind:
    if token is None:
        return TokenKind.UNUSED
    if token == tokenizer.document["model"].get("unk_token") and tokenizer.kind == "sentencepiece":
        return TokenKind.UNKNOWN
    if token in tokenizer.added_tokens:
        entry = next(e for e in tokenizer.document["added_tokens"] if e["content"] == token)
        return TokenKind.CONTROL if entry.get("special") else TokenKind.USER_DEFINED
    is_byte = tokenizer.kind == "sentencepiece" and len(token) == len(byte_piece(0)) and token in tokenizer.unmergeable
    return TokenKind.BYTE if is_byte else TokenKind.NORMAL


def _scores(tokenizer: BpeTokenizer, folder: Path, tokens: Sequence[str]) -> list[float]:
    """A greater score is merged first; characters, bytes and control tokens are never the result of a merge."""
    file = folder / SENTENCEPIECE_FILE
    if file.is_file():
        pieces = read_model(file).pieces
        known = {piece.text: piece.score for piece in pieces}
        if all(token in known for token in tokenizer.vocabulary):
            return [known.get(token, 0.0) for token in tokens]
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(tokenizer.merges):
        ranks.setdefault(left + right, rank)
    return [-float(ranks.get(token, 0)) for token in tokens]


def puts_space(tokenizer: BpeTokenizer) -> bool:
    """True where a tokenizer of the SentencePiece kind puts a space in front of a text."""
    plain = tokenizer.tokenizer.encode("a", add_special_tokens=False).tokens
    return bool(plain) and plain[0].startswith("▁")


def add_vocabulary(writer: Any, vocabulary: Vocabulary, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give a GGUF writer the vocabulary, special ids, and the chat template where there is one."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.fit.name if vocabulary.fit else "default")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types([int(kind) for kind in vocabulary.kinds])
    if vocabulary.merges:
        writer.add_token_merges(list(vocabulary.merges))
    if vocabulary.scores:
        writer.add_token_scores(list(vocabulary.scores))
        writer.add_add_space_prefix(vocabulary.adds_space)
    for name in ("bos", "eos", "unk", "pad"):
        token_id = getattr(tokenizer, f"{name}_token_id")
        if token_id is not None:
            getattr(writer, f"add_{name}_token_id")(int(token_id))
    begins, ends = added_around(tokenizer)
    writer.add_add_bos_token(begins)
    writer.add_add_eos_token(ends)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def added_around(tokenizer: PreTrainedTokenizerFast) -> tuple[bool, bool]:
    """Whether the tokenizer puts its beginning and its end of sequence around a text."""
    ids = tokenizer.backend_tokenizer.encode("a", add_special_tokens=True).ids
    return ids[0] == tokenizer.bos_token_id, ids[-1] == tokenizer.eos_token_id
