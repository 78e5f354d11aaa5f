"""One input file in, one shard of judged documents out: the part of the corpus stage that runs once a file.

Documents are read, extracted and repaired one by one, gathered into batches, and then measured, identified and judged a
batch at a time by kernels, so memory does not grow with the file. A shard is a Parquet file whose row groups hold one
language each, so that later a language's rows are read without the others, and a summary that is written last.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.files import atomic_writer, write_json
from seallm.corpus.duplicates import band_keys
from seallm.corpus.extract import extract_text
from seallm.corpus.fasttext import default_model
from seallm.corpus.identify import Identification, Identifier
from seallm.corpus.layout import UNKNOWN, documents_of
from seallm.corpus.ngrams import MinHash, make_minhash
from seallm.corpus.quality import Shares, judge, shares
from seallm.corpus.raw_records import BadRecord, RawDocument, SkippedRecord
from seallm.corpus.repair import repair
from seallm.corpus.sources import read_documents, source_of_file
from seallm.corpus.statistics import CHARACTERS, measure
from seallm.corpus.tiers import quality_scores
from seallm.corpus.word_lists import WordLists
from seallm.languages import Language, known_languages, load_languages

BATCH_BYTES, BATCH_DOCUMENTS = 16 * 2**20, 4_000
IDENTIFIER_SCORE, QUALITY_SCORE = "language", "quality"


@dataclass(frozen=True)
class InputFile:
    """One file and how its documents are judged; it is sent to the worker that cleans it.

    Attributes:
        name: what the file is called in messages.
        languages: codes of the recipe's languages.
        minhash: permutations, bands and words of a shingle.
    """

    path: Path
    name: str
    languages: tuple[str, ...]
    minhash: tuple[int, int, int]


@dataclass
class _Batch:
    rows: list[tuple[str, str, str, str | None, str | None]] = field(default_factory=list)
    bytes: int = 0

    def add(self, document: RawDocument, text: str, file_source: str) -> None:
        digest = hashlib.blake2b(f"{document.url or ''}\n{text}".encode(), digest_size=12).hexdigest()
        source = document.source or _host(document.url) or file_source
        self.rows.append((document.id or digest, text, source, document.url, document.licence))
        self.bytes += 4 * len(text)

    def is_full(self) -> bool:
        return self.bytes >= BATCH_BYTES or len(self.rows) >= BATCH_DOCUMENTS


@dataclass(frozen=True)
class _Judge:
    """What is made once a process and used for every batch."""

    identifier: Identifier
    words: WordLists
    languages: dict[str, Language]
    minhash: MinHash
    bands: int


def shard_schema(bands: int) -> pa.Schema:
    """Columns of a shard: a document, what was found out about it, and what duplicate search needs."""
    strings = {"id": pa.string(), "text": pa.large_string()}
    strings |= dict.fromkeys(("language", "source", "url", "licence", "group"), pa.string())
    figures = {
        "scores": pa.map_(pa.string(), pa.float32()),
        "reason": pa.int8(),
        "quality": pa.float32(),
        "characters": pa.int64(),
        "hash": pa.uint64(),
        "bands": pa.list_(pa.uint64(), bands),
    }
    return pa.schema(list((strings | figures).items()))


def clean_file(file: InputFile, result: Path) -> None:
    """Clean one file into `result` (a summary, JSON) and the Parquet file beside it; both appear whole or not at all.

    Raises:
        DataError: the file is a table without texts.
    """
    judged, skipped = 0, Counter[str]()
    quarantine: list[dict[str, str]] = []
    tools = _make_judge(file.languages, file.minhash)
    schema = shard_schema(tools.bands)
    with atomic_writer(documents_of(result)) as out, pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in _read_batches(file, skipped, quarantine):
            table = _judge_batch(batch, tools).cast(schema)
            groups = table["group"].to_numpy(zero_copy_only=False)
            for group in sorted(set(groups)):
                writer.write_table(table.filter(pa.array(groups == group)), row_group_size=len(table))
            judged += len(table)
    write_json(result, {"documents": judged, "skipped": skipped, "quarantine": quarantine})


def compile_kernels(file: InputFile) -> None:
    """Compile all kernels that cleaning uses, into the disk cache: once here, and not again in every worker."""
    batch = _Batch()
    for text in ("a text of a spaced language", "ข้อความ"):
        batch.add(RawDocument(file.name, text=text), text, file.name)
    _judge_batch(batch, _make_judge(file.languages, file.minhash))


def _read_batches(file: InputFile, skipped: Counter[str], quarantine: list[dict[str, str]]) -> Iterator[_Batch]:
    batch, file_source = _Batch(), source_of_file(file.path)
    for record in read_documents(file.path, file.name):
        if isinstance(record, SkippedRecord):
            skipped[record.kind] += 1
        elif isinstance(record, BadRecord):
            quarantine.append({"where": record.where, "reason": record.reason})
        else:
            text = record.text if record.page is None else extract_text(record.page, record.encoding)
            batch.add(record, repair(text or ""), file_source)
            if batch.is_full():
                yield batch
                batch = _Batch()
    if batch.rows:
        yield batch


def _host(url: str | None) -> str | None:
    try:
        return urlsplit(url or "").hostname
    except ValueError:  # not a URL after all
        return None


@functools.cache
def _make_judge(languages: tuple[str, ...], minhash: tuple[int, int, int]) -> _Judge:
    model, labels = default_model()
    identifier = Identifier(tuple(load_languages(known_languages()).values()), model, labels)
    permutations, bands, shingle_words = minhash
    return _Judge(
        identifier,
        identifier.word_lists(),
        load_languages(languages),
        make_minhash(permutations, shingle_words),
        bands,
    )


def _judge_batch(batch: _Batch, tools: _Judge) -> pa.Table:
    ids, texts, sources, urls, licences = zip(*batch.rows, strict=True)
    text_array = pa.array(texts, pa.large_string())
    statistics = measure(text_array, tools.words, tools.minhash)
    identification = tools.identifier.identify(text_array, statistics)
    listed, kinds = (_of_own_language(c, identification, tools) for c in (statistics.listed, statistics.distinct))
    figures = shares(statistics, listed)
    reasons = judge(statistics, figures, identification, tools.languages, kinds)
    quality = quality_scores(figures, identification.scores)
    kept = reasons == 0
    bands = np.zeros((len(texts), tools.bands), np.uint64)
    bands[kept] = band_keys(statistics.signatures[kept], tools.bands)
    figures = {**figures, IDENTIFIER_SCORE: identification.scores, QUALITY_SCORE: quality}
    codes = identification.languages
    columns: dict[str, Any] = {
        "id": ids,
        "text": text_array,
        "language": codes,
        "source": sources,
        "url": pa.array(urls, pa.string()),
        "licence": pa.array(licences, pa.string()),
        "group": np.where(np.isin(codes, list(tools.languages)), codes, UNKNOWN),
        "scores": _score_maps(figures),
        "reason": reasons,
        "quality": quality,
        "characters": statistics.totals[:, CHARACTERS],
        "hash": statistics.hashes,
        "bands": pa.FixedSizeListArray.from_arrays(bands.reshape(-1), tools.bands),
    }
    return pa.table(columns)


def _of_own_language(
    counts: npt.NDArray[np.int32], identification: Identification, tools: _Judge
) -> npt.NDArray[np.int32]:
    """Of the counts of all stop-word lists, those of each text's own language: (n,)."""
    own = np.zeros(len(counts), np.int32)
    for number, language in enumerate(tools.identifier.languages):
        rows = identification.languages == language.code
        own[rows] = counts[rows, 2 * number]
    return own


def _score_maps(figures: Shares) -> pa.MapArray:
    """The same names for each text, with its values."""
    names, n = list(figures), len(next(iter(figures.values())))
    offsets = pa.array(np.arange(0, (n + 1) * len(names), len(names), dtype=np.int32))
    keys = pa.array(names * n, pa.string())
    return pa.MapArray.from_arrays(offsets, keys, pa.array(np.stack(list(figures.values()), axis=1).reshape(-1)))
