"""A SentencePiece `tokenizer.model` in, its parts out; and the same file with more pieces behind its own.

The file is a protocol buffer: fields of (number, kind, bytes), of which this module reads the few it needs. Fields that
repeat may stand anywhere, and of others the last one counts, so that a file grows by bytes at its end and all that is
unknown here stays as it was.
"""

import base64
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from seallm.base.errors import VocabError
from seallm.vocab.splits import split_merges

SPACE = "▁"
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_UNIGRAM, _BPE = 1, 2


class PieceType(IntEnum):
    """What a piece is, by its number in the file."""

    NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary; its id is its place. A greater score is merged first."""

    text: str
    score: float
    type: PieceType = PieceType.NORMAL


@dataclass(frozen=True)
class SentencePieceModel:
    """What a `tokenizer.model` holds.

    Attributes:
        data: the whole file.
        pieces: the vocabulary in order of ids.
        is_bpe: True for BPE, False for a unigram model.
        byte_fallback: unknown characters are spelled in bytes.
        charsmap: compiled normalisation rules; empty where text stays as it is.
        adds_space: a space is put in front of a text.
        removes_spaces: spaces at the ends and repeated ones are removed.
    """

    data: bytes
    pieces: Sequence[Piece]
    is_bpe: bool
    byte_fallback: bool
    charsmap: bytes
    adds_space: bool
    removes_spaces: bool


def read_model(path: Path) -> SentencePieceModel:
    """Read a `tokenizer.model`.

    Raises:
        VocabError: it is not a SentencePiece model, or one of words or characters.
    """
    data = path.read_bytes()
    try:
        fields = list(_fields(data))
        pieces = [_piece(value) for number, value in fields if number == 1]
        trainer, normalizer = (
            {k: v for n, value in fields if n == wanted for k, v in _fields(value)} for wanted in (2, 3)
        )
        if not pieces:
            raise ValueError("it has no pieces")
    except (IndexError, ValueError, KeyError, TypeError, AttributeError) as error:  # what other bytes lead to
        found = "it ends too early" if isinstance(error, IndexError) else error
        raise VocabError(
            f"{path} is not a SentencePiece model ({found}). Llama-3's file of this name is of another kind: take the "
            "tokenizer.json beside it"
        ) from None
    kind = trainer.get(3, _UNIGRAM)
    if kind not in (_UNIGRAM, _BPE):
        raise VocabError(f"{path} holds a SentencePiece model of type {kind}; expected type 2 (BPE) or 1 (unigram)")
    return SentencePieceModel(
        data,
        pieces,
        kind == _BPE,
        bool(trainer.get(35, 0)),
        bytes(normalizer.get(2, b"")),
        bool(normalizer.get(3, 1)),
        bool(normalizer.get(4, 1)),
    )


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an int, a float of four bytes, or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif kind in (_BYTES, _FOUR_BYTES, _EIGHT_BYTES):
            size, at = _varint(data, at) if kind == _BYTES else (4 if kind == _FOUR_BYTES else 8, at)
            inner = data[at : at + size]
            if len(inner) < size:
                raise ValueError("it ends too early")
            yield number, inner if kind == _BYTES else struct.unpack("<f" if size == 4 else "<d", inner)[0]
            at += size
        else:
            raise ValueError(f"field {number} is of kind {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    return Piece(fields[1].decode("utf-8"), float(fields.get(2, 0.0)), PieceType(fields.get(3, PieceType.NORMAL)))


def with_pieces(data: bytes, pieces: Iterable[Piece], num_pieces: int) -> bytes:
    """The file with more pieces at its end.

    Args:
        data: a `tokenizer.model`.
        pieces: new ones in order of ids; the first gets the first free id.
        num_pieces: size of the whole vocabulary, which the file names too.
    """
    added = b"".join(_message(1, _piece_bytes(piece)) for piece in pieces)
    return data + added + _message(2, _number(4, num_pieces))


def new_model(pieces: Sequence[Piece], *, adds_space: bool) -> bytes:
    """A BPE model of these pieces with byte fallback, which changes nothing of a text but spaces to "▁"."""
    trainer = _number(3, _BPE) + _number(4, len(pieces)) + _number(35, 1)
    normalizer = _message(1, b"identity") + _number(3, int(adds_space)) + _number(4, 0) + _number(5, 1)
    listed = b"".join(_message(1, _piece_bytes(piece)) for piece in pieces)
    return listed + _message(2, trainer) + _message(3, normalizer)


def _piece_bytes(piece: Piece) -> bytes:
    score = bytes([2 << 3 | _FOUR_BYTES]) + struct.pack("<f", piece.score)
    return _message(1, piece.text.encode("utf-8")) + score + _number(3, piece.type)


def _message(number: int, data: bytes) -> bytes:
    return _to_varint(number << 3 | _BYTES) + _to_varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _to_varint(number << 3 | _VARINT) + _to_varint(value)


def _to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def to_document(model: SentencePieceModel) -> dict[str, Any]:
    """The same tokenizer as the content of a `tokenizer.json`.

    Pieces that their maker defined are cut out of a text first, as in SentencePiece; runs of spaces among them
    are merged before all else instead, as a `tokenizer.json` cannot cut out what its normaliser writes.
    """
    special = (PieceType.UNKNOWN, PieceType.CONTROL)
    added = [
        {"id": number, "content": piece.text, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": piece.type in special}
        for number, piece in enumerate(model.pieces)
        if piece.type in special or (piece.type == PieceType.USER_DEFINED and SPACE not in piece.text)
    ]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": _normalizer(model),
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": _decoder(model),
        "model": _bpe(model) if model.is_bpe else _unigram(model),
    }


def _normalizer(model: SentencePieceModel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    if model.charsmap:
        charsmap = base64.b64encode(model.charsmap).decode("ascii")
        steps.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if model.removes_spaces:
        steps.append({"type": "Strip", "strip_left": True, "strip_right": True})
        steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    if model.adds_space:
        steps.append({"type": "Prepend", "prepend": SPACE})
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    return {"type": "Sequence", "normalizers": steps}


def _decoder(model: SentencePieceModel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}]
    steps += [{"type": "ByteFallback"}] if model.byte_fallback else []
    steps += [{"type": "Fuse"}]
    steps += [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if model.adds_space else []
    return {"type": "Sequence", "decoders": steps}


def _bpe(model: SentencePieceModel) -> dict[str, Any]:
    unknown = next((piece.text for piece in model.pieces if piece.type == PieceType.UNKNOWN), None)
    made_first = [p.text for p in model.pieces if p.type == PieceType.USER_DEFINED and SPACE in p.text]
    ordered = sorted((p for p in model.pieces if p.type == PieceType.NORMAL), key=lambda piece: -piece.score)
    tokens = [*sorted(made_first, key=len), *(piece.text for piece in ordered)]
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
        "ignore_merges": False,
        "vocab": {piece.text: number for number, piece in enumerate(model.pieces)},
        "merges": [list(pair) for pair in split_merges(tokens, set(tokens))],
    }


def _unigram(model: SentencePieceModel) -> dict[str, Any]:
    unknown = next((n for n, piece in enumerate(model.pieces) if piece.type == PieceType.UNKNOWN), None)
    return {
        "type": "Unigram",
        "unk_id": unknown,
        "vocab": [[piece.text, piece.score] for piece in model.pieces],
        "byte_fallback": model.byte_fallback,
    }
