"""Texts in, judged documents out: each batch through all that looks at its words.

Lines of their site's frame go, passages of benchmarks are looked for, and then texts are measured, identified, judged
and rid of personal data. Statistics, hashes and signatures are those of the text before masking: two pages that differ
in a number are no copies of one another.
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seallm.corpus.columns import signature_column
from seallm.corpus.decontaminate import BenchmarkIndex, cut_leaks, describe_leaks, find_leaks
from seallm.corpus.domain_lists import NO_LIST, DomainLists
from seallm.corpus.duplicates import compact
from seallm.corpus.fasttext import default_model
from seallm.corpus.fasttext_file import load_model
from seallm.corpus.harm import CATEGORIES, harm_figures, harm_labels
from seallm.corpus.harm_model import load_harm_model
from seallm.corpus.identify import Identification, Identifier
from seallm.corpus.layout import BENCHMARK, BLOCKED, EMPTY, HARM, LANGUAGE, OPTED_OUT, PERSONAL_DATA, UNKNOWN
from seallm.corpus.line_languages import line_languages
from seallm.corpus.ngrams import MinHash, make_minhash
from seallm.corpus.personal import mask_personal
from seallm.corpus.personal_rules import TYPES
from seallm.corpus.quality import judge, rule_figures, shares
from seallm.corpus.scores import figures_of, score_maps
from seallm.corpus.site_frames import FrameLines, remove_lines
from seallm.corpus.statistics import CHARACTERS, Statistics, measure
from seallm.corpus.tiers import quality_scores
from seallm.corpus.word_lists import WordLists
from seallm.languages import Language, known_languages, load_languages

QUALITY_SCORE = "quality"
KEPT_COLUMNS = ("id", "source", "url", "licence", "repaired")


@dataclass(frozen=True)
class HarmModel:
    """A classifier of the user's: its file and label, and the probability from which documents are dropped, if any."""

    path: Path
    label: str
    drop_from: float | None


@dataclass(frozen=True)
class TextFile:
    """One file of texts and how its documents are judged; it is sent to the worker that does so.

    Attributes:
        languages: codes of the recipe's languages.
        identifier_model: a fastText model in place of lid.176.
        minhash: permutations and words of a shingle.
        frames: file of the lines that are their site's frame, if they are to go.
        index: file of the benchmarks' windows, if there are benchmarks.
        benchmark_share: share of a passage that makes a leak.
        blocked: files of domains whose pages are dropped.
        opted_out: files of sites that do not want to be used.
    """

    texts: Path
    languages: tuple[str, ...]
    identifier_model: Path | None
    minhash: tuple[int, int]
    frames: Path | None
    index: Path | None
    benchmark_share: float
    benchmark_action: Literal["drop", "cut"]
    personal_data: Literal["mask", "drop", "off"]
    personal_placeholder: str
    harm_words: Literal["label", "drop", "off"]
    harm_model: HarmModel | None
    blocked: tuple[Path, ...]
    opted_out: tuple[Path, ...]


@dataclass(frozen=True)
class _Judge:
    """What is made once a process and used for every batch."""

    identifier: Identifier
    words: WordLists
    languages: dict[str, Language]
    minhash: MinHash


class Judged(NamedTuple):
    """A batch of documents as a shard holds them, and what was found in them.

    Attributes:
        leaks: one row for each passage of a benchmark.
        masked: personal data by type.
        frame_lines: lines of frames that went.
        scores: of identification, (n,).
    """

    table: pa.Table
    leaks: list[dict[str, Any]]
    masked: npt.NDArray[np.int64]
    frame_lines: int
    scores: npt.NDArray[np.float32]


def shard_schema(permutations: int) -> pa.Schema:
    """Columns of a shard: a document, what was found out about it, and what duplicate search needs."""
    strings = {"id": pa.string(), "text": pa.large_string()}
    strings |= dict.fromkeys(("language", "source", "url", "licence", "group"), pa.string())
    figures = {
        "scores": pa.map_(pa.string(), pa.float32()),
        "reason": pa.int8(),
        "fixed": pa.int64(),
        "quality": pa.float32(),
        "characters": pa.int64(),
        "hash": pa.uint64(),
        "signature": pa.binary(permutations),
        "repaired": pa.bool_(),
    }
    return pa.schema(list((strings | figures).items()))


@functools.cache
def _make_judge(languages: tuple[str, ...], identifier_model: Path | None, minhash: tuple[int, int]) -> _Judge:
    model, labels = load_model(identifier_model) if identifier_model else default_model()
    identifier = Identifier(tuple(load_languages(known_languages()).values()), model, labels)
    permutations, shingle_words = minhash
    return _Judge(
        identifier,
        identifier.word_lists(),
        load_languages(languages),
        make_minhash(permutations, shingle_words),
    )


@dataclass
class _Verdicts:
    """Reasons to drop: the first of each document, and as bits all those that no threshold changes."""

    first: npt.NDArray[np.int8]
    fixed: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        is_fixed = np.isin(self.first, (EMPTY, LANGUAGE))
        self.fixed = np.where(is_fixed, np.int64(1) << self.first.astype(np.int64), 0)

    def drop(self, rows: npt.NDArray[np.int64], reason: int) -> None:
        """Give these documents a reason; it is the first for those that no rule has dropped."""
        self.fixed[rows] |= np.int64(1) << reason
        self.first[rows[self.first[rows] == 0]] = reason


class _Prepared(NamedTuple):
    """Texts without frames, what of benchmarks they hold.

    Attributes:
        leaks: one row for each passage.
        leaking: (leaks,) the document that each is in.
        dropped: documents that must go for it.
    """

    texts: pa.Array
    frame_lines: int
    leaks: list[dict[str, Any]]
    leaking: npt.NDArray[np.int64]
    dropped: npt.NDArray[np.int64]


def judge_texts(table: pa.Table, file: TextFile, frames: FrameLines | None, index: BenchmarkIndex | None) -> Judged:
    """Judge a batch.

    Args:
        table: texts as `raw_texts` wrote them.
        file: how to judge.
        frames: lines that are their site's frame.
        index: windows of the benchmarks, the common ones marked.

    Raises:
        DataError: a text is null or not valid UTF-8.
        RecipeError: the placeholder of personal data cannot be used.
    """
    tools = _make_judge(file.languages, file.identifier_model, file.minhash)
    prepared = _prepare(table, file, frames, index)
    texts = prepared.texts
    statistics = measure(texts, tools.words, tools.minhash)
    lines = line_languages(texts, tools.identifier.identify(texts, statistics), tools.identifier, tools.words)
    identification = lines.identification
    listed, kinds = (_of_own_language(c, identification, tools) for c in (statistics.listed, statistics.distinct))
    figures = shares(statistics, listed)
    verdicts = _Verdicts(judge(statistics, figures, identification, tools.languages, kinds))
    verdicts.drop(prepared.dropped, BENCHMARK)
    _look_up_addresses(table, file, verdicts)
    further = {
        **rule_figures(statistics, identification, kinds),
        "mixed": lines.mixed,
        **_find_harm(texts, identification, file, tools, verdicts),
        QUALITY_SCORE: quality_scores(figures, identification.scores),
    }
    masked = np.zeros((len(texts), len(TYPES)), np.int32)
    if file.personal_data != "off":
        texts, masked = mask_personal(texts, identification.languages, file.personal_placeholder)
        _mask_quotes(prepared, identification.languages, file.personal_placeholder)
        further |= {f"personal_{name}": masked[:, place].astype(np.float32) for place, name in enumerate(TYPES)}
        if file.personal_data == "drop":
            verdicts.drop(np.flatnonzero(masked.any(axis=1)), PERSONAL_DATA)
    texts = _without_opted_out(texts, verdicts)
    scores = score_maps({**figures, **further}, lines.shares)
    judged = _judged_table(table, texts, statistics, identification, scores, verdicts, tools)
    counts = masked.sum(axis=0, dtype=np.int64)
    return Judged(judged, prepared.leaks, counts, prepared.frame_lines, identification.scores)


def _prepare(table: pa.Table, file: TextFile, frames: FrameLines | None, index: BenchmarkIndex | None) -> _Prepared:
    texts, frame_lines = table["text"].combine_chunks(), 0
    if frames is not None:
        stripped = remove_lines(texts, table["host"].combine_chunks(), frames)
        texts, frame_lines = stripped.texts, int(stripped.lines.sum())
    nobody = np.zeros(0, np.int64)
    if index is None:
        return _Prepared(texts, frame_lines, [], nobody, nobody)
    found = find_leaks(texts, index, file.benchmark_share)
    leaks = list(describe_leaks(texts, table["id"].to_pylist(), found, index))
    if file.benchmark_action == "cut":
        return _Prepared(cut_leaks(texts, found), frame_lines, leaks, found.documents, nobody)
    return _Prepared(texts, frame_lines, leaks, found.documents, np.unique(found.documents))


def _mask_quotes(prepared: _Prepared, languages: npt.NDArray[np.str_], placeholder: str) -> None:
    """What the list of leaks quotes is masked too, or it would keep what the corpus must not hold."""
    quotes = pa.array([leak["text"] for leak in prepared.leaks], pa.large_string())
    masked = mask_personal(quotes, languages[prepared.leaking], placeholder).texts.to_pylist()
    for leak, text in zip(prepared.leaks, masked, strict=True):
        leak["text"] = text


def _look_up_addresses(table: pa.Table, file: TextFile, verdicts: _Verdicts) -> None:
    for files, reason in ((file.blocked, BLOCKED), (file.opted_out, OPTED_OUT)):
        if files:
            listed_in = _domain_lists(files).match_all(table["url"])
            verdicts.drop(np.flatnonzero(listed_in != NO_LIST), reason)


def _without_opted_out(texts: pa.Array, verdicts: _Verdicts) -> pa.Array:
    """Whose owner does not want a text used will not want it kept: the document's row stays, its text does not."""
    is_opted_out = verdicts.fixed & np.int64(1 << OPTED_OUT) != 0
    if not is_opted_out.any():
        return texts
    empty = pa.array([""] * int(is_opted_out.sum()), texts.type)
    return pc.replace_with_mask(texts, pa.array(is_opted_out), empty)


@functools.cache
def _domain_lists(files: tuple[Path, ...]) -> DomainLists:
    return DomainLists.from_files(files)


def _find_harm(
    texts: pa.Array, identification: Identification, file: TextFile, tools: _Judge, verdicts: _Verdicts
) -> dict[str, npt.NDArray[np.float32]]:
    """Hits for 1,000 words by category, and the probability by the user's classifier."""
    figures: dict[str, npt.NDArray[np.float32]] = {}
    if file.harm_words != "off":
        found = harm_figures(texts, identification.languages, tuple(tools.languages))
        figures = {f"harm_{name}": found.rates[:, place] for place, name in enumerate(CATEGORIES)}
        if file.harm_words == "drop":
            verdicts.drop(np.flatnonzero(harm_labels(found).any(axis=1)), HARM)
    if file.harm_model:
        scores = load_harm_model(file.harm_model.path, file.harm_model.label)(texts)
        figures["harm_model"] = scores
        if file.harm_model.drop_from is not None:
            verdicts.drop(np.flatnonzero(scores >= file.harm_model.drop_from), HARM)
    return figures


def _judged_table(
    table: pa.Table,
    texts: pa.Array,
    statistics: Statistics,
    identification: Identification,
    scores: pa.MapArray,
    verdicts: _Verdicts,
    tools: _Judge,
) -> pa.Table:
    codes = identification.languages
    columns: dict[str, Any] = {
        **{name: table[name] for name in KEPT_COLUMNS},
        "text": texts,
        "language": codes,
        "group": np.where(np.isin(codes, list(tools.languages)), codes, UNKNOWN),
        "scores": scores,
        "reason": verdicts.first,
        "fixed": verdicts.fixed,
        "quality": figures_of(scores)[QUALITY_SCORE],
        "characters": statistics.totals[:, CHARACTERS],
        "hash": statistics.hashes,
        "signature": signature_column(compact(statistics.signatures)),
    }
    return pa.table({name: columns[name] for name in shard_schema(1).names})


def _of_own_language(
    counts: npt.NDArray[np.int32], identification: Identification, tools: _Judge
) -> npt.NDArray[np.int32]:
    """Of the counts of all stop-word lists, those of each text's own language: (n,)."""
    own = np.zeros(len(counts), np.int32)
    for number, language in enumerate(tools.identifier.languages):
        rows = identification.languages == language.code
        own[rows] = counts[rows, 2 * number]
    return own
