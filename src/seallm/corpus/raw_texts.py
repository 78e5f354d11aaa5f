"""One input file in, its texts out, repaired, and what the whole crawl must know of them before any is judged.

    <n>.texts.parquet   the texts, a batch a row group: id, text, source, url, licence, host, repaired
    <n>.lines.<k>.parquet  on how many pages of each site each line stands, for `site_frames`
    <n>.windows.npz     in how many documents each window of the benchmarks stands, for `decontaminate`
    <n>.json            what was read, skipped, quarantined and repaired; written last

Memory does not grow with the file: documents are read one by one and written a batch at a time.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.files import atomic_writer, write_json
from seallm.base.places import Place
from seallm.canonical.repair import RepairPolicy, repair_counted
from seallm.corpus.decontaminate import count_documents, load_index
from seallm.corpus.extract import Extractor, extract_text
from seallm.corpus.foreign_columns import ColumnMap
from seallm.corpus.raw_records import BadRecord, RawDocument, SkippedRecord
from seallm.corpus.site_frames import count_lines, save_counts
from seallm.corpus.sources import read_documents, source_of_file

BATCH_BYTES, BATCH_DOCUMENTS = 16 * 2**20, 4_000
TEXTS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("licence", pa.string()),
        ("host", pa.string()),
        ("repaired", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class RawFile:
    """One file and how it is read; it is sent to the worker that reads it.

    Attributes:
        name: what the file is called in messages.
        columns: names of columns in foreign tables.
        strip_frames: count lines, so that frames can be told.
        index: file of the benchmarks' windows, if there are benchmarks.
    """

    place: Place
    name: str
    columns: ColumnMap
    extractor: Extractor
    policy: RepairPolicy
    strip_frames: bool
    index: Path | None


@dataclass
class _Batch:
    rows: list[tuple[str, str, str, str | None, str | None, str | None, bool]] = field(default_factory=list)
    bytes: int = 0

    def add(self, document: RawDocument, text: str, repaired: bool, file_source: str) -> None:
        digest = hashlib.blake2b(f"{document.url or ''}\n{text}".encode(), digest_size=12).hexdigest()
        host = _host(document.url)
        source = document.source or host or file_source
        self.rows.append((document.id or digest, text, source, document.url, document.licence, host, repaired))
        self.bytes += 4 * len(text)

    def is_full(self) -> bool:
        return self.bytes >= BATCH_BYTES or len(self.rows) >= BATCH_DOCUMENTS

    def table(self) -> pa.Table:
        values = zip(*self.rows, strict=True)
        columns = [pa.array(column, kind) for column, kind in zip(values, TEXTS_SCHEMA.types, strict=True)]
        return pa.table(columns, schema=TEXTS_SCHEMA)


@dataclass
class _Tally:
    documents: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    quarantine: list[dict[str, str]] = field(default_factory=list)


def texts_of(summary: Path) -> Path:
    """The file of texts whose summary this is."""
    return summary.with_suffix(".texts.parquet")


def line_counts_of(summary: Path) -> list[Path]:
    """The files of line counts beside a summary."""
    return sorted(summary.parent.glob(f"{summary.stem}.lines.*.parquet"))


def window_counts_of(summary: Path) -> Path:
    """The file of window counts whose summary this is."""
    return summary.with_suffix(".windows.npz")


def read_raw(file: RawFile, result: Path) -> None:
    """Read one file into `result` (a summary, JSON) and the files beside it.

    Raises:
        DataError: the file is a table without texts, or a remote file is out of reach.
    """
    tally = _Tally()
    index = load_index(file.index) if file.index else None
    documents = np.zeros(len(index.table.hashes) if index else 0, np.int64)
    for leftover in line_counts_of(result):
        leftover.unlink()
    with atomic_writer(texts_of(result)) as out, pq.ParquetWriter(out, TEXTS_SCHEMA, compression="zstd") as writer:
        for number, batch in enumerate(_read_batches(file, tally)):
            table = batch.table()
            writer.write_table(table, row_group_size=len(table))
            tally.documents += len(table)
            if file.strip_frames:
                save_counts(
                    count_lines(table["text"], table["host"]), result.with_suffix(f".lines.{number:05d}.parquet")
                )
            if index is not None:
                documents += count_documents(table["text"], index)
    if index is not None:
        positions = np.flatnonzero(documents)
        with atomic_writer(window_counts_of(result)) as out:
            np.savez(out, positions=positions, documents=documents[positions])
    write_json(
        result,
        {
            "documents": tally.documents,
            "skipped": tally.skipped,
            "repaired": tally.repaired,
            "quarantine": tally.quarantine,
        },
    )


def _read_batches(file: RawFile, tally: _Tally) -> Iterator[_Batch]:
    batch, file_source = _Batch(), source_of_file(file.place)
    for record in read_documents(file.place, file.name, file.columns):
        if isinstance(record, SkippedRecord):
            tally.skipped[record.kind] += 1
        elif isinstance(record, BadRecord):
            tally.quarantine.append({"where": record.where, "reason": record.reason})
        else:
            found = record.text if record.page is None else extract_text(record.page, record.encoding, file.extractor)
            text, counts = repair_counted(found or "", file.policy)
            tally.repaired += counts
            batch.add(record, text, bool(counts), file_source)
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
