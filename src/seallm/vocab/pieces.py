"""Texts in, counted pieces out: what the learner counts pairs in.

Merges never cross a pre-token; where a SentencePiece tokenizer has no pre-tokenizer they never cross a space. Long
pieces (a Thai sentence is one) are cut at cluster boundaries, for learning only: the written tokenizer does not do it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.pretokenizer import PreTokenizer
from seallm.vocab.scripts import is_cluster_boundary

MAX_PIECE_CHARACTERS = 64
_WORDS = re.compile("▁*[^▁]+|▁+")  # no token has a space behind a letter, so no merge crosses these cuts


@dataclass(frozen=True)
class CountedPieces:
    """Different pieces of one or more languages, encoded.

    Attributes:
        ids: (tokens,) token ids of all pieces, one after another.
        offsets: (pieces + 1,) piece k has `ids[offsets[k]:offsets[k + 1]]`.
        language: (pieces,) number of the language; the same piece of two languages is two pieces.
        train_count: (pieces,) occurrences in the corpus text.
        dev_count: (pieces,) occurrences in the development sentences.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    language: NDArray[np.int32]
    train_count: NDArray[np.int64]
    dev_count: NDArray[np.int64]


def count_pieces(texts: Iterable[str], pre_tokenizer: PreTokenizer) -> Counter[str]:
    """How often each piece occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(pre_tokenizer.pieces(text))
    words: Counter[str] = Counter()
    for piece, count in counts.items():
        for word in _WORDS.findall(piece):
            for part in cut_long(word):
                words[part] += count
    return words


def cut_long(piece: str) -> list[str]:
    """Cut at the first cluster boundary after every 64 characters."""
    if len(piece) <= MAX_PIECE_CHARACTERS:
        return [piece]
    parts, start = [], 0
    while len(piece) - start > MAX_PIECE_CHARACTERS:
        end = start + MAX_PIECE_CHARACTERS
        while end < len(piece) and not is_cluster_boundary(piece[end - 1], piece[end]):
            end += 1
        parts.append(piece[start:end])
        start = end
    return parts + ([piece[start:]] if start < len(piece) else [])


def encode_counts(train: Counter[str], dev: Counter[str], language: int, encoder: BpeEncoder) -> CountedPieces:
    """Encode one language's pieces; those that occur only in the development sentences come last."""
    pieces = [*train, *(piece for piece in dev if piece not in train)]
    ids, offsets = encoder.encode(pieces)
    return CountedPieces(
        ids,
        offsets,
        np.full(len(pieces), language, np.int32),
        np.array([train[piece] for piece in pieces], np.int64),
        np.array([dev[piece] for piece in pieces], np.int64),
    )


def joined(parts: Sequence[CountedPieces]) -> CountedPieces:
    """All languages' pieces in one."""
    starts = np.cumsum([0, *(part.ids.size for part in parts)])
    return CountedPieces(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([[0], *(part.offsets[1:] + start for part, start in zip(parts, starts, strict=False))]),
        np.concatenate([part.language for part in parts]),
        np.concatenate([part.train_count for part in parts]),
        np.concatenate([part.dev_count for part in parts]),
    )
