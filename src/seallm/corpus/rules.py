"""Stored figures and thresholds in, the rules that each document breaks out: after the fact, without its text.

Rules that compare a figure of `scores` with thresholds of a language file stand in `RULES`. They can be explained
(`why`) and changed (`retier`). Every other reason is a fact of the first reading and stays as it was judged.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seallm.corpus.layout import (
    DUPLICATE_LINES,
    ENCODING,
    EXACT_DUPLICATE,
    FEW_LETTERS,
    LANGUAGE_SCORE,
    NEAR_DUPLICATE,
    REASONS,
    REPEATED_NGRAMS,
    SHORT,
    STOP_WORDS,
    SYMBOL_SHARE,
    TOP_NGRAM,
    UNIT_LENGTH,
)
from seallm.corpus.scores import Figures, figures_of
from seallm.languages import Language

Thresholds = Mapping[str, Mapping[str, float]]  # of each language by the name of the setting


class Rule(NamedTuple):
    """A figure that must not lie below one threshold or above another.

    Attributes:
        reason: number in `layout.REASONS`.
        figure: name in a document's `scores`.
        minimum: setting that it must reach; empty where there is none.
        maximum: setting that it must not pass; empty where there is none.
    """

    reason: int
    figure: str
    minimum: str = ""
    maximum: str = ""


RULES = (
    Rule(LANGUAGE_SCORE, "language", "min_identifier_score"),
    Rule(SHORT, "units", "min_units"),
    Rule(ENCODING, "replacement_share", maximum="max_replacement_share"),
    Rule(UNIT_LENGTH, "mean_unit_letters", "min_mean_unit_letters", "max_mean_unit_letters"),
    Rule(FEW_LETTERS, "letter_share", "min_letter_share"),
    Rule(SYMBOL_SHARE, "symbol_share", maximum="max_symbol_share"),
    Rule(STOP_WORDS, "stop_word_kinds", "min_stop_words"),
    Rule(STOP_WORDS, "stop_word_share", "min_stop_word_share"),
    Rule(DUPLICATE_LINES, "duplicate_line_share", maximum="max_duplicate_line_share"),
    Rule(TOP_NGRAM, "top_ngram_share", maximum="max_top_ngram_share"),
    Rule(REPEATED_NGRAMS, "repeated_ngram_share", maximum="max_repeated_ngram_share"),
)
THRESHOLD_NAMES = tuple(name for rule in RULES for name in (rule.minimum, rule.maximum) if name)
_NUMBERS = {name: number for number, name in REASONS.items()}
_REPLACED = {rule.reason for rule in RULES} | {EXACT_DUPLICATE, NEAR_DUPLICATE}


def thresholds_of(languages: Mapping[str, Language]) -> dict[str, dict[str, float]]:
    """Thresholds of each language, by the names that `RULES` uses."""
    found = {}
    for code, language in languages.items():
        settings = {**language.quality.model_dump(), "min_identifier_score": language.min_identifier_score}
        found[code] = {name: float(settings[name]) for name in THRESHOLD_NAMES}
    return found


def broken_by_figures(groups: pa.Array, figures: Figures, thresholds: Thresholds) -> npt.NDArray[np.int64]:
    """Which of `RULES` each document breaks: (n,) with bit r set for reason number r."""
    names = groups.to_numpy(zero_copy_only=False)
    broken = np.zeros(len(names), np.int64)
    for language, settings in thresholds.items():
        rows = np.flatnonzero(names == language)
        for rule in RULES:
            values = figures[rule.figure][rows]
            outside = np.zeros(len(rows), np.bool_)
            if rule.minimum:
                outside |= values < settings[rule.minimum]
            if rule.maximum:
                outside |= values > settings[rule.maximum]
            broken[rows] |= outside.astype(np.int64) << rule.reason
    return broken


def first_reasons(broken: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """The lowest bit's number; 0 where no bit is set."""
    lowest = broken & -broken
    return np.where(broken == 0, 0, np.log2(np.maximum(lowest, 1))).astype(np.int8)


def judge_again(batch: pa.RecordBatch, thresholds: Thresholds) -> npt.NDArray[np.int8]:
    """The first rule that each document of a shard or ledger breaks under other thresholds; duplicates do not count."""
    broken = broken_by_figures(batch["group"], figures_of(batch["scores"]), thresholds)
    fixed = batch["fixed"].to_numpy() if "fixed" in batch.schema.names else fixed_reasons(batch["reasons"])
    return first_reasons(broken | fixed)


def fixed_reasons(reasons: pa.ListArray) -> npt.NDArray[np.int64]:
    """Of lists of reasons, those that no threshold changes, as bits."""
    replaced = sum(1 << reason for reason in _REPLACED)
    return reason_bits(reasons) & ~np.int64(replaced)


def reason_bits(reasons: pa.ListArray) -> npt.NDArray[np.int64]:
    """Lists of names of reasons as bits."""
    bits = np.zeros(len(reasons), np.int64)
    names = pc.list_flatten(reasons).to_pylist()
    np.bitwise_or.at(
        bits, pc.list_parent_indices(reasons).to_numpy(), np.array([1 << _NUMBERS[n] for n in names], np.int64)
    )
    return bits


def reason_lists(broken: npt.NDArray[np.int64]) -> pa.ListArray:
    """Bits as lists of names, in the order in which the rules are asked."""
    numbers = np.array(sorted(REASONS))
    is_set = (broken[:, None] >> numbers) & 1 == 1
    offsets = np.concatenate([[0], np.cumsum(is_set.sum(axis=1))]).astype(np.int32)
    names = np.array([REASONS[int(n)] for n in numbers], dtype=object)[np.nonzero(is_set)[1]]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(names.tolist(), pa.string()))


def broken_rules(
    judged: npt.NDArray[np.int8],
    final: npt.NDArray[np.int8],
    groups: pa.Array,
    figures: Figures,
    thresholds: Thresholds,
) -> npt.NDArray[np.int64]:
    """All that speaks against each document, as bits.

    Args:
        judged: the first rule that it broke, 0 for none.
        final: the same, or that it is a duplicate.
        groups: its language, or `unknown`, to which no rule applies.
        figures: its scores.
        thresholds: of the languages.
    """
    broken = broken_by_figures(groups, figures, thresholds)
    for numbers in (judged, final):
        broken |= np.where(numbers > 0, np.int64(1) << numbers.astype(np.int64), 0)
    return broken
