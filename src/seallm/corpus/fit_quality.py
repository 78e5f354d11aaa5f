"""Documents one trusts in, thresholds of the quality rules for their language out, as the text of a language file.

A rule of the Gopher kind (Rae et al. 2021, table A1) was set by hand for English; FineWeb2 (Penedo et al. 2025, section
on filtering) showed that thresholds carry over to other languages when they are read off the figures of trusted text,
such as Wikipedia, of each language. Here a threshold is a far quantile of the figure over the reference documents,
widened by a margin, and kept within bounds that no writing system needs to leave: a reference of clean text alone would
otherwise make rules so strict that they drop every page that is merely less tidy.
"""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.errors import DataError
from seallm.base.files import files_under
from seallm.canonical.repair import repair
from seallm.corpus.extract import extract_text
from seallm.corpus.fasttext import default_model
from seallm.corpus.identify import Identification, Identifier
from seallm.corpus.layout import REASONS
from seallm.corpus.ngrams import MinHash, make_minhash
from seallm.corpus.quality import Shares, judge, shares
from seallm.corpus.raw_records import RawDocument
from seallm.corpus.sources import read_documents
from seallm.corpus.statistics import UNITS, Statistics, measure
from seallm.corpus.word_lists import WordLists
from seallm.languages import Language, Quality, known_languages, load_languages

BATCH_DOCUMENTS = 1_000
MIN_DOCUMENTS = 50
"""Fewest reference documents to fit a language on: a far quantile of fewer is the one worst document."""
TAIL = 0.01
"""Share of reference documents allowed beyond the quantile, on either side."""
MARGIN = 0.25
"""How far the threshold lies beyond the quantile, as a share of it or of its distance from the median, the smaller."""


@dataclass(frozen=True)
class Rule:
    """One threshold: the figure it limits, on which side, and the least and greatest value it may take."""

    figure: str
    is_upper: bool
    low: float
    high: float
    digits: int = 2


RULES: Mapping[str, Rule] = {
    "min_units": Rule("units", False, 20, 100, 0),
    "min_mean_unit_letters": Rule("mean_unit_letters", False, 1.0, 4.0, 1),
    "max_mean_unit_letters": Rule("mean_unit_letters", True, 2.0, 12.0, 1),
    "min_letter_share": Rule("letter_share", False, 0.5, 0.8),
    "max_symbol_share": Rule("symbol_share", True, 0.05, 0.15),
    "max_duplicate_line_share": Rule("duplicate_line_share", True, 0.2, 0.35),
    "max_top_ngram_share": Rule("top_ngram_share", True, 0.15, 0.3),
    "max_repeated_ngram_share": Rule("repeated_ngram_share", True, 0.15, 0.35),
    "min_stop_words": Rule("stop_word_kinds", False, 0, 3, 0),
    "min_stop_word_share": Rule("stop_word_share", False, 0, 0.05, 3),
    "min_identifier_score": Rule("identifier_score", False, 0.25, 0.9),
}


@dataclass(frozen=True)
class Fit:
    """What the reference documents of one language say.

    Attributes:
        documents: reference documents in the language.
        current: thresholds of the language file, `min_identifier_score` among them.
        fitted: the fitted ones, under the same names.
        dropped_now: share of the reference documents that each rule drops first today, by reason.
        dropped_fitted: the same with the fitted thresholds.
    """

    language: str
    documents: int
    current: dict[str, float]
    fitted: dict[str, float]
    dropped_now: dict[str, float]
    dropped_fitted: dict[str, float]


@dataclass(frozen=True)
class _Measured:
    """Some documents of one language and all that `judge` looks at."""

    statistics: Statistics
    figures: Shares
    identification: Identification
    stop_word_kinds: npt.NDArray[np.int32]


def fit_quality(reference: Path, languages: Sequence[str]) -> dict[str, Fit]:
    """Fit the thresholds of several languages.

    Args:
        reference: a file, folder or glob that the corpus stage can read; documents are told apart by their language.
        languages: codes; documents in others are passed over.

    Returns:
        fits by language, of those with at least MIN_DOCUMENTS documents.

    Raises:
        DataError: nothing is there, or no language has enough documents.
        RecipeError: a language has no file.
    """
    known = load_languages(tuple(languages))
    batches: dict[str, list[_Measured]] = {code: [] for code in known}
    for texts in _batches(reference):
        measured = _measure(texts)
        for code, found in batches.items():
            rows = np.flatnonzero(measured.identification.languages == code)
            if len(rows):
                found.append(_take(measured, rows, known[code]))
    counts = {code: sum(len(part.stop_word_kinds) for part in parts) for code, parts in batches.items()}
    if max(counts.values(), default=0) < MIN_DOCUMENTS:
        raise DataError(f"{reference}: no language has {MIN_DOCUMENTS} documents to fit on (found {counts})")
    return {code: _fit(known[code], _join(batches[code])) for code in known if counts[code] >= MIN_DOCUMENTS}


def toml_text(fit: Fit) -> str:
    """The fitted thresholds as they stand in a language file; what is the same for all languages is left out."""
    values = {name: value for name, value in fit.fitted.items() if value != getattr(Quality(), name, None)}
    identifier = values.pop("min_identifier_score")
    lines = [f"min_identifier_score = {identifier:g}", "", "[quality]"]
    return "\n".join(lines + [f"{name} = {value:g}" for name, value in values.items()]) + "\n"


def _batches(reference: Path) -> Iterator[list[str]]:
    batch: list[str] = []
    for path in files_under(reference):
        for record in read_documents(path, str(path)):
            if isinstance(record, RawDocument):
                raw = record.text if record.page is None else extract_text(record.page, record.encoding)
                batch.append(repair(raw or ""))
            if len(batch) == BATCH_DOCUMENTS:
                yield batch
                batch = []
    if batch:
        yield batch


@functools.cache
def _tools() -> tuple[Identifier, WordLists, MinHash]:
    model, labels = default_model()
    identifier = Identifier(tuple(load_languages(known_languages()).values()), model, labels)
    return identifier, identifier.word_lists(), make_minhash(1, 5)


def _measure(texts: list[str]) -> _Measured:
    identifier, words, minhash = _tools()
    array = pa.array(texts, pa.large_string())
    statistics = measure(array, words, minhash)
    return _Measured(statistics, {}, identifier.identify(array, statistics), np.zeros(len(texts), np.int32))


_IDENTIFIED = tuple(field.name for field in fields(Identification))


def _take(measured: _Measured, rows: npt.NDArray[np.int64], language: Language) -> _Measured:
    """These rows, all of one language, with the figures that depend on it."""
    columns: list[Any] = [column[rows] for column in measured.statistics]
    statistics = Statistics(*columns)
    stop_words = 2 * [known.code for known in _tools()[0].languages].index(language.code)
    identification = Identification(*(getattr(measured.identification, name)[rows] for name in _IDENTIFIED))
    figures = shares(statistics, statistics.listed[:, stop_words])
    return _Measured(statistics, figures, identification, statistics.distinct[:, stop_words])


def _join(parts: list[_Measured]) -> _Measured:
    columns: list[Any] = [
        np.concatenate([part.statistics[i] for part in parts]) for i in range(len(Statistics._fields))
    ]
    statistics = Statistics(*columns)
    names = parts[0].figures
    identification = Identification(
        *(np.concatenate([getattr(p.identification, name) for p in parts]) for name in _IDENTIFIED)
    )
    figures = {name: np.concatenate([p.figures[name] for p in parts]) for name in names}
    return _Measured(statistics, figures, identification, np.concatenate([p.stop_word_kinds for p in parts]))


def _fit(language: Language, measured: _Measured) -> Fit:
    figures: dict[str, npt.NDArray[Any]] = {
        **measured.figures,
        "units": measured.statistics.totals[:, UNITS],
        "stop_word_kinds": measured.stop_word_kinds,
        "identifier_score": measured.identification.scores,
    }
    fitted = {name: threshold(figures[rule.figure].astype(np.float64), rule) for name, rule in RULES.items()}
    rules = {name: value for name, value in fitted.items() if name != "min_identifier_score"}
    quality = Quality.model_validate({**language.quality.model_dump(), **rules})
    changed = language.model_copy(update={"quality": quality, "min_identifier_score": fitted["min_identifier_score"]})
    current = {**language.quality.model_dump(), "min_identifier_score": language.min_identifier_score}
    return Fit(
        language.code,
        len(measured.stop_word_kinds),
        {name: float(current[name]) for name in RULES},
        fitted,
        _dropped(language, measured),
        _dropped(changed, measured),
    )


def threshold(values: npt.NDArray[np.float64], rule: Rule) -> float:
    """The quantile of the rule's tail, MARGIN further out, within the rule's bounds, rounded outwards.

    Args:
        values: (n,) the figure of every reference document.
        rule: the side it limits and its bounds.
    """
    edge = float(np.quantile(values, 1 - TAIL if rule.is_upper else TAIL))
    distance = abs(edge - float(np.median(values)))
    edge += (1 if rule.is_upper else -1) * MARGIN * min(distance, abs(edge))
    scale = 10.0**rule.digits
    rounded = (math.ceil(edge * scale - 1e-6) if rule.is_upper else math.floor(edge * scale + 1e-6)) / scale
    return min(max(rounded, rule.low), rule.high)


def _dropped(language: Language, measured: _Measured) -> dict[str, float]:
    """The share of documents that each rule drops, in the order the rules are asked."""
    reasons = judge(
        measured.statistics,
        measured.figures,
        measured.identification,
        {language.code: language},
        measured.stop_word_kinds,
    )
    return {REASONS[r]: float((reasons == r).mean()) for r in sorted(set(reasons.tolist()) - {0})}
