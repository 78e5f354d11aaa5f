"""Statistics and languages in, a reason to drop or none for each text out.

The rules are those of Gopher (Rae et al. 2021, table A1) and C4 (Raffel et al. 2020) as far as they carry over to ten
writing systems; their thresholds stand in the language files. Units are words, or clusters where no spaces part words.
The first rule that a text breaks, in the order of `layout.REASONS`, is its reason.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from seallm.corpus.identify import Identification
from seallm.corpus.layout import (
    DUPLICATE_LINES,
    EMPTY,
    ENCODING,
    FEW_LETTERS,
    LANGUAGE,
    LANGUAGE_SCORE,
    REPEATED_NGRAMS,
    SHORT,
    STOP_WORDS,
    SYMBOL_SHARE,
    TOP_NGRAM,
    UNIT_LENGTH,
)
from seallm.corpus.statistics import (
    CHARACTERS,
    DUPLICATE_LINE_CHARACTERS,
    LETTERS,
    LINE_CHARACTERS,
    LINES,
    REPEATED_NGRAM_LETTERS,
    REPLACEMENTS,
    SYMBOLS,
    TOP_NGRAM_LETTERS,
    UNIT_LETTERS,
    UNITS,
    WORDS,
    Statistics,
)
from seallm.languages import Language, Quality

Shares = Mapping[str, npt.NDArray[np.float32]]


def shares(statistics: Statistics, stop_words: npt.NDArray[np.int32]) -> Shares:
    """The figures that rules and tiers look at, by name; (n,) float32 each.

    Args:
        statistics: of n texts.
        stop_words: (n,) units that are stop words of the text's language.
    """
    totals = statistics.totals.astype(np.float64)
    characters, units = np.maximum(totals[:, CHARACTERS], 1), np.maximum(totals[:, UNITS], 1)
    unit_letters, lines = np.maximum(totals[:, UNIT_LETTERS], 1), np.maximum(totals[:, LINE_CHARACTERS], 1)
    figures = {
        "words": totals[:, WORDS],
        "words_per_line": totals[:, WORDS] / np.maximum(totals[:, LINES], 1),
        "mean_unit_letters": totals[:, UNIT_LETTERS] / units,
        "letter_share": totals[:, LETTERS] / characters,
        "symbol_share": totals[:, SYMBOLS] / characters,
        "replacement_share": totals[:, REPLACEMENTS] / characters,
        "stop_word_share": stop_words / units,
        "duplicate_line_share": totals[:, DUPLICATE_LINE_CHARACTERS] / lines,
        "top_ngram_share": totals[:, TOP_NGRAM_LETTERS] / unit_letters,
        "repeated_ngram_share": totals[:, REPEATED_NGRAM_LETTERS] / unit_letters,
    }
    return {name: values.astype(np.float32) for name, values in figures.items()}


def judge(
    statistics: Statistics,
    figures: Shares,
    identification: Identification,
    languages: Mapping[str, Language],
    stop_word_kinds: npt.NDArray[np.int32],
) -> npt.NDArray[np.int8]:
    """The reason to drop each text, 0 where it is kept.

    Args:
        statistics: of n texts.
        figures: what `shares` returned for them.
        identification: of the texts.
        languages: languages of the recipe, by code.
        stop_word_kinds: (n,) different stop words of the text's language that occur in it.
    """
    reasons = np.full(len(identification.languages), LANGUAGE, np.int8)
    for code, language in languages.items():
        rows = identification.languages == code
        broken = np.zeros(int(rows.sum()), np.int8)
        mine = {name: values[rows] for name, values in figures.items()}
        checks = {LANGUAGE_SCORE: identification.scores[rows] < language.min_identifier_score}
        checks |= _broken_rules(language.quality, statistics.totals[rows, UNITS], mine, stop_word_kinds[rows])
        for reason in sorted(checks, reverse=True):  # the first rule has the last word
            broken[checks[reason]] = reason
        reasons[rows] = broken
    reasons[statistics.totals[:, CHARACTERS] == 0] = EMPTY
    return reasons


def _broken_rules(
    quality: Quality, units: npt.NDArray[np.int64], figures: Shares, stop_word_kinds: npt.NDArray[np.int32]
) -> dict[int, npt.NDArray[np.bool_]]:
    length = figures["mean_unit_letters"]
    return {
        SHORT: units < quality.min_units,
        ENCODING: figures["replacement_share"] > quality.max_replacement_share,
        UNIT_LENGTH: (length < quality.min_mean_unit_letters) | (length > quality.max_mean_unit_letters),
        FEW_LETTERS: figures["letter_share"] < quality.min_letter_share,
        SYMBOL_SHARE: figures["symbol_share"] > quality.max_symbol_share,
        STOP_WORDS: (stop_word_kinds < quality.min_stop_words)
        | (figures["stop_word_share"] < quality.min_stop_word_share),
        DUPLICATE_LINES: figures["duplicate_line_share"] > quality.max_duplicate_line_share,
        TOP_NGRAM: figures["top_ngram_share"] > quality.max_top_ngram_share,
        REPEATED_NGRAMS: figures["repeated_ngram_share"] > quality.max_repeated_ngram_share,
    }
