"""Texts in, counted pieces out: what the learner counts pairs in.

Merges never cross a pre-token; where a SentencePiece tokenizer has no pre-tokenizer they never cross a space, unless
some language asks for it. Long pieces (a Thai sentence is one) are cut at a space or at a cluster boundary, for
learning only: the written tokenizer does not do it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seallm.languages import Script
from seallm.languages.scripts import SCRIPT_BLOCKS
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.pretokenizer import PreTokenizer
from seallm.vocab.scripts import is_cluster_boundary

MAX_PIECE_CHARACTERS = 64
CORPUS_WEIGHT = (
    1_000  # of one occurrence in the corpus: weights are whole numbers, so that no order depends on rounding
)
# a few hundred sentences must not outweigh any amount of text: their words repeat less than those of a language
MAX_DEVELOPMENT_WEIGHT = 100 * CORPUS_WEIGHT
_SPACES = " ▁"


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


def words_pattern(joined: Iterable[Script] = ()) -> re.Pattern[str]:
    """Where merges of a SentencePiece tokenizer may not reach across: the pattern matches what they stay within.

    No token of a base has a space behind a letter, so it encodes these parts one by one as it does the whole text.

    Args:
        joined: words of these scripts' letters alone, a single space in front of each, stay together.
    """
    blocks = [block for script in joined for block in SCRIPT_BLOCKS.get(script, ())]
    letters = "".join(f"{chr(first)}-{chr(last)}" for first, last in blocks)
    return re.compile((f"(?:▁?[{letters}]+(?=▁[{letters}]))*" if letters else "") + "▁*[^▁]+|▁+")


_WORDS = words_pattern()


def count_pieces(texts: Iterable[str], pre_tokenizer: PreTokenizer, words_of: re.Pattern[str] = _WORDS) -> Counter[str]:
    """How often each piece occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(pre_tokenizer.pieces(text))
    words: Counter[str] = Counter()
    for piece, count in counts.items():
        found = words_of.findall(piece)
        if count == 1:  # the usual case, without a loop
            words.update(found)
        else:
            for word in found:
                words[word] += count
    for word in [word for word in words if len(word) > MAX_PIECE_CHARACTERS]:
        count = words.pop(word)
        for part in cut_long(word):
            words[part] += count
    return words


def cut_long(piece: str) -> list[str]:
    """Cut after every 64 characters: at the next space, or if that is far at the next cluster boundary."""
    if len(piece) <= MAX_PIECE_CHARACTERS:
        return [piece]
    parts, start = [], 0
    while len(piece) - start > MAX_PIECE_CHARACTERS:
        end = _next_space(piece, start + MAX_PIECE_CHARACTERS)
        while end < len(piece) and not is_cluster_boundary(piece[end - 1], piece[end]):
            end += 1
        parts.append(piece[start:end])
        start = end
    return parts + ([piece[start:]] if start < len(piece) else [])


def _next_space(piece: str, start: int) -> int:
    """Position of the first space within 64 characters; `start` where there is none."""
    near = range(start, min(start + MAX_PIECE_CHARACTERS, len(piece)))
    return next((at for at in near if piece[at] in _SPACES), start)


def occurrence_weights(train: Counter[str], dev: Counter[str], share: float) -> tuple[int, int]:
    """What one occurrence weighs in the corpus and in the development sentences.

    Args:
        train: counted pieces of the corpus.
        dev: counted pieces of the sentences.
        share: of the sentences in the weighed text, measured in characters.
    """
    in_corpus, in_sentences = (sum(len(piece) * count for piece, count in pieces.items()) for pieces in (train, dev))
    weight = round(CORPUS_WEIGHT * share / (1 - share) * in_corpus / max(in_sentences, 1))
    return CORPUS_WEIGHT, min(weight, MAX_DEVELOPMENT_WEIGHT)


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
