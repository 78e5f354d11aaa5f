"""New tokens in order and parallel sentences in, tokens for the same meaning after any number of them out.

The learner runs once. New merges rank behind all before them, so the encoding with the first k new tokens is the full
encoding with the later merges undone: of each new token in the full encoding, count what it is made of, from the last
merge to the first. One pass over the text and one over the merges give the whole curve, exactly.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seallm.vocab.base_tokenizer import BpeTokenizer, byte_piece
from seallm.vocab.compression import count_tokens
from seallm.vocab.vocabulary_checks import encode_all

DECODE_SHARE_STEP = 1_000  # marginal figures are per so many tokens


@dataclass(frozen=True)
class Curve:
    """What new tokens do to each language.

    Attributes:
        tokens: by language, (new tokens + 1,) tokens of its sentences after the first k new ones.
        ratios: by language, the same relative to the unit.
        by_language: by language, (new tokens + 1,) how many of the first k are its own.
    """

    tokens: Mapping[str, NDArray[np.int64]]
    ratios: Mapping[str, NDArray[np.float64]]
    by_language: Mapping[str, NDArray[np.int64]]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(new tokens + 1,) mean ratio of the languages beside the first."""
        ratios: NDArray[np.float64] = np.stack(list(self.ratios.values())[1:])
        return np.asarray(ratios.mean(axis=0))

    @property
    def worst(self) -> NDArray[np.float64]:
        """(new tokens + 1,) largest ratio."""
        ratios: NDArray[np.float64] = np.stack(list(self.ratios.values())[1:])
        return np.asarray(ratios.max(axis=0))


@dataclass(frozen=True)
class NewToken:
    """One new token: the two it is made of, or none where it is a character of its own."""

    token: str
    new_id: int
    parts: tuple[str, str] | None
    language: str


def trace(
    base: BpeTokenizer,
    extended: BpeTokenizer,
    new: Sequence[NewToken],
    sentences: Mapping[str, Sequence[str]],
    unit: int,
) -> Curve:
    """The curve of every language.

    Args:
        base: the tokenizer that was extended, its pre-tokenizer repaired where the extended one's is.
        extended: the tokenizer with all new tokens, each merge with its two parts alone.
        new: all new tokens in order of ids.
        sentences: the same sentences in every language, the base language first.
        unit: tokens that a ratio of 1 stands for.
    """
    tokens = {code: _after_each(base, extended, new, lines) for code, lines in sentences.items()}
    owners = np.array([token.language for token in new])
    return Curve(
        tokens,
        {code: counts / unit for code, counts in tokens.items()},
        {code: np.concatenate([[0], np.cumsum(owners == code)]).astype(np.int64) for code in sentences},
    )


def _after_each(
    base: BpeTokenizer, extended: BpeTokenizer, new: Sequence[NewToken], lines: Sequence[str]
) -> NDArray[np.int64]:
    """(new tokens + 1,) tokens of the lines after the first k new ones."""
    counts: Counter[int] = Counter()
    for ids in encode_all(extended, lines):
        counts.update(ids)
    saved = np.zeros(len(new) + 1, np.int64)
    new_ids = {token.token: token.new_id for token in new}
    for number in range(len(new) - 1, -1, -1):
        found = new[number]
        times = counts[found.new_id]
        if found.parts is None:
            saved[number + 1] = times * (_pieces_without(base, found.token) - 1)
            continue
        saved[number + 1] = times
        for part in found.parts:
            if part in new_ids:
                counts[new_ids[part]] += times
    total = count_tokens(extended.tokenizer, lines) + int(saved.sum())
    remaining: NDArray[np.int64] = total - np.cumsum(saved)
    return remaining


def _pieces_without(base: BpeTokenizer, symbol: str) -> int:
    """Tokens that the base spells a missing symbol with: its bytes; a lone byte letter has none of its own."""
    if base.kind == "byte-level":
        return 1
    return sum(byte_piece(byte) in base.vocabulary for byte in symbol.encode("utf-8"))


@dataclass(frozen=True)
class Shape:
    """Size of a model, as far as the cost of a vocabulary depends on it.

    Attributes:
        hidden_size: width of an embedding row.
        body_parameters: weights beside the embeddings.
        tied: input and output embedding are one matrix.
    """

    hidden_size: int
    body_parameters: int
    tied: bool

    def row_parameters(self) -> int:
        """Parameters that one more token costs."""
        return self.hidden_size * (1 if self.tied else 2)

    def decode_weights(self, rows: int) -> int:
        """Weights that one decoded token reads: the body, and the output embedding of so many rows."""
        return self.body_parameters + self.hidden_size * rows


def shape_of(config: Mapping[str, Any]) -> Shape | None:
    """Size of a Llama-like model by its `config.json`; None where that does not say."""
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    if not all(isinstance(config.get(name), int) for name in names):
        return None
    hidden, layers, heads, inner = (int(config[name]) for name in names)
    head = int(config.get("head_dim") or hidden // heads)
    groups = int(config.get("num_key_value_heads") or heads)
    attention = 2 * hidden * heads * head + 2 * hidden * groups * head
    return Shape(hidden, layers * (attention + 3 * hidden * inner), bool(config.get("tie_word_embeddings", False)))


def stop_at(curve: Curve, least_gain: float, step: int = DECODE_SHARE_STEP) -> int:
    """Where to stop: the first number of tokens from which a further `step` of them never gains enough.

    Args:
        curve: of the test or development sentences.
        least_gain: share of the mean ratio that `step` tokens must take off, such as 0.01.
        step: tokens.

    Returns:
        A multiple of `step`, or all new tokens where they gain enough to the end.
    """
    mean = curve.mean
    last = len(mean) - 1
    starts = range(0, last, step)
    enough = [start for start in starts if 1 - mean[min(start + step, last)] / mean[start] >= least_gain]
    return min(enough[-1] + step, last) if enough else 0


def cheapest_decoding(curve: Curve, shape: Shape, base_rows: int, step: int = DECODE_SHARE_STEP) -> tuple[int, float]:
    """The number of tokens at which decoding the same meaning reads fewest weights, and its cost relative to none.

    Fewer tokens are fewer passes through the body; each pass has a larger output embedding to read.
    """
    mean = curve.mean
    places = [*range(0, len(mean) - 1, step), len(mean) - 1]
    costs = [float(mean[k]) * shape.decode_weights(base_rows + k) for k in places]
    best = int(np.argmin(costs))
    return places[best], costs[best] / costs[0]


def table(curve: Curve, step: int, shape: Shape | None, base_rows: int) -> list[dict[str, Any]]:
    """Rows of the plan: at every `step` tokens the ratios, their mean and worst, and what the last `step` gained."""
    last = len(curve.mean) - 1
    places = [*range(0, last, step), last]
    rows = []
    for before, place in zip([0, *places], places, strict=False):
        mean, mean_before = float(curve.mean[place]), float(curve.mean[before])
        gain = 1 - mean / mean_before
        row: dict[str, Any] = {
            "new_tokens": place,
            "ratios": {code: round(float(ratio[place]), 4) for code, ratio in curve.ratios.items()},
            "by_language": {code: int(counts[place]) for code, counts in curve.by_language.items()},
            "mean": round(mean, 4),
            "worst": round(float(curve.worst[place]), 4),
            "gain_share": round(gain, 5),
        }
        if shape is not None:
            millions = (place - before) * shape.row_parameters() / 1e6
            decode = mean * shape.decode_weights(base_rows + place)
            row["million_parameters"] = round(place * shape.row_parameters() / 1e6, 3)
            row["gain_share_per_million_parameters"] = round(gain / millions, 6) if millions else 0.0
            row["decode_cost"] = round(decode / (float(curve.mean[0]) * shape.decode_weights(base_rows)), 4)
        rows.append(row)
    return rows
