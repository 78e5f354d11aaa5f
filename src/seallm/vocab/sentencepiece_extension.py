"""An extended `tokenizer.json` and the base's `tokenizer.model` in, a `tokenizer.model` with the same ids out.

SentencePiece merges by the score of the token that results. New tokens get scores below all others, falling with their
rank, and so come in the order of their merges. Any two parts that spell a token are merged there, so the
`tokenizer.json` gets a merge for each such pair too (`splits.py`); the certificate compares the ids of both files.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seallm.base.errors import VocabError
from seallm.base.files import atomic_writer
from seallm.vocab.base_tokenizer import BpeTokenizer
from seallm.vocab.sentencepiece_file import Piece, PieceType, SentencePieceModel, read_model, with_pieces
from seallm.vocab.splits import splits_of

SENTENCEPIECE_FILE = "tokenizer.model"


def model_file_of(base: BpeTokenizer, folder: Path) -> Path | None:
    """The SentencePiece model in a base's folder; None where there is none, or one of another kind (Llama-3's).

    Raises:
        VocabError: it disagrees with the base's `tokenizer.json` about ids.
    """
    file = folder / SENTENCEPIECE_FILE
    if base.kind != "sentencepiece" or not file.is_file():
        return None
    known = {**base.vocabulary, **base.added_tokens}
    pieces = read_model(file).pieces
    moved = [(number, piece.text) for number, piece in enumerate(pieces) if known.get(piece.text) != number]
    if moved:
        number, text = moved[0]
        raise VocabError(
            f"{file} gives {text!r} the id {number}, and {base.where} {known.get(text)} ({len(moved)} such tokens). "
            "Remove the file that is out of date"
        )
    return file


def with_all_splits(document: Mapping[str, Any], base: BpeTokenizer) -> dict[str, Any]:
    """The extended `tokenizer.json`, each new token with a merge for every pair of tokens that spells it.

    Args:
        document: the base's with new symbols and merges behind its own.
        base: the tokenizer before.
    """
    closed = copy.deepcopy(dict(document))
    num_old = len(base.merges)
    known = {token for token in document["model"]["vocab"] if token not in base.unmergeable}
    made = dict.fromkeys(left + right for left, right in document["model"]["merges"][num_old:])
    later = set(made)
    merges = closed["model"]["merges"][:num_old]
    for token in made:
        # parts of a token come before it, so that those still to come are none
        later.discard(token)
        merges += [list(pair) for pair in splits_of(token, known) if not later & set(pair)]
    closed["model"]["merges"] = merges
    return closed


def write_model(base_file: Path, base: BpeTokenizer, extended: BpeTokenizer, out: Path) -> None:
    """Write the base's `tokenizer.model` with the extended tokenizer's new tokens.

    Args:
        base_file: the base's model file, as `model_file_of` finds it.
        base: the base's `tokenizer.json`.
        extended: the extended one, closed by `with_all_splits`.
        out: file to write.
    """
    model = read_model(base_file)
    first, last = len(model.pieces), extended.next_id
    tokens = {token_id: token for token, token_id in {**extended.vocabulary, **extended.added_tokens}.items()}
    scores = _falling_scores(model, last - first)
    pieces = [_piece(tokens.get(i), i, base, score) for i, score in zip(range(first, last), scores, strict=True)]
    with atomic_writer(out) as file:
        file.write(with_pieces(model.data, pieces, last))


def _falling_scores(model: SentencePieceModel, count: int) -> list[float]:
    """Scores below those of all pieces that merges make, each different from the next in the file's 32 bits."""
    lowest = np.float32(
        min((p.score for p in model.pieces if p.type == PieceType.NORMAL and len(p.text) > 1), default=0)
    )
    step = max(1.0, 2 * float(np.spacing(np.abs(lowest) * np.float32(2) + np.float32(count))))
    return [float(lowest) - step * (k + 1) for k in range(count)]


def _piece(token: str | None, token_id: int, base: BpeTokenizer, score: float) -> Piece:
    """New text is a normal piece; tokens that the base added behind its vocabulary are cut out first."""
    if token is None:
        return Piece(f"<unused {token_id}>", score, PieceType.UNUSED)
    if token in base.added_tokens:
        special = next(entry for entry in base.document["added_tokens"] if entry["content"] == token).get("special")
        return Piece(token, 0.0, PieceType.CONTROL if special else PieceType.USER_DEFINED)
    return Piece(token, score)
