"""Pieces of text and the columns' decisions in, the corpus's Parquet files out: one call a language.

A piece is a row group. Pieces are read in an order drawn by hash, as many at a time as fit into a window; the
documents of a window are sorted by the hash of their id and appended to the files they belong to. So memory does not
grow with the corpus, and the beginning of a file is a sample of all inputs, not of the first one. While a language fits
into a window, its files do not depend on the order of inputs at all.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.files import atomic_writer, write_json
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.corpus.columns import Columns
from seallm.corpus.hashing import hash_strings
from seallm.corpus.layout import REASONS, TIERS, fates_of, file_of
from seallm.corpus.names import read_names

ROW_GROUP_DOCUMENTS = 2_000
WINDOW_BYTES, WINDOW_DOCUMENTS = 24 * 2**20, 20_000
_KEPT_COLUMNS = ("text", "language", "source", "url", "licence", "scores")


@dataclass(frozen=True)
class Texts:
    """A Parquet file whose row groups hold documents.

    Attributes:
        path: the file.
        group: read only row groups whose column `group` has this value; None for all.
        start: number of the first document, where they are numbered in the order of rows.
        numbers: file with the number of each row, where they are not.
        names: file with the final ids of the rows; None where the column `id` holds them.
    """

    path: Path
    group: str | None = None
    start: int = 0
    numbers: Path | None = None
    names: Path | None = None


@dataclass(frozen=True)
class Group:
    """A language's files to write, or those of no language; it is sent to the worker that writes them."""

    name: str
    texts: tuple[Texts, ...]
    columns: Columns
    out: Path


@dataclass(frozen=True)
class _Piece:
    texts: Texts
    row_group: int
    first_row: int
    documents: int
    text_bytes: int


def write_group(group: Group, mark: Path) -> None:
    """Write all files of one group and the rows' positions in them, and `mark` when they are complete."""
    positions, written = group.columns.write("position"), dict.fromkeys(fates_of(group.name), 0)
    with ExitStack() as files:
        writers = {}
        for fate in written:
            file = files.enter_context(atomic_writer(group.out / file_of(group.name, fate)))
            writers[fate] = files.enter_context(pq.ParquetWriter(file, DOCUMENT_SCHEMA, compression="zstd"))
        for window in _windows(_pieces(group.texts)):
            _write_window(window, group.columns, writers, written, positions)
    positions.flush()
    write_json(mark, sum(written.values()))


def _write_window(
    window: list[_Piece],
    columns: Columns,
    writers: dict[int, pq.ParquetWriter],
    written: dict[int, int],
    positions: npt.NDArray[np.uint32],
) -> None:
    """Append a window's documents to the files of their fates; note their positions and how many there are now."""
    table, numbers = _read_window(window, columns)
    fates = columns.read("fate")[numbers]
    for fate, writer in writers.items():
        rows = np.flatnonzero(fates == fate)
        writer.write_table(table.take(pa.array(rows)), row_group_size=ROW_GROUP_DOCUMENTS)
        positions[numbers[rows]] = np.arange(written[fate], written[fate] + len(rows))
        written[fate] += len(rows)


def _pieces(sources: tuple[Texts, ...]) -> list[_Piece]:
    """All pieces, in the order in which they are read."""
    pieces = []
    for texts in sources:
        metadata = pq.read_metadata(texts.path)
        names = metadata.schema.to_arrow_schema().names
        group, text = (_leaf(metadata, name) if name in names else None for name in ("group", "text"))
        row = 0
        for number in range(metadata.num_row_groups):
            found = metadata.row_group(number)
            if texts.group is None or (group is not None and found.column(group).statistics.min == texts.group):
                size = found.column(text).total_uncompressed_size
                pieces.append(_Piece(texts, number, row, found.num_rows, size))
            row += found.num_rows
    draws = hash_strings(pa.array([f"{number}" for number in range(len(pieces))], pa.string()))
    return [pieces[i] for i in np.argsort(draws, kind="stable")]


def _leaf(metadata: Any, name: str) -> int:
    """Number of a plain column among the file's leaves; nested columns have several."""
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    return paths.index(name)


def _windows(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    window: list[_Piece] = []
    for piece in pieces:
        size = sum(p.text_bytes for p in window) + piece.text_bytes
        count = sum(p.documents for p in window) + piece.documents
        if window and (size > WINDOW_BYTES or count > WINDOW_DOCUMENTS):
            yield window
            window = []
        window.append(piece)
    if window:
        yield window


def _read_window(window: list[_Piece], columns: Columns) -> tuple[pa.Table, npt.NDArray[np.uint32]]:
    """The window's documents as they are written, and their numbers, both sorted by the hash of the id."""
    read = [_read_piece(piece) for piece in window]
    numbers = np.concatenate([own for _, own in read])
    order = np.lexsort((numbers, columns.read("final_id_hash")[numbers]))
    documents, numbers = pa.concat_tables([table for table, _ in read]).take(pa.array(order)), numbers[order]
    filled: dict[str, Any] = {name: documents[name] for name in documents.column_names}
    filled["tier"] = _names(columns.read("tier")[numbers], TIERS)
    filled["reason"] = _names(columns.read("final_reason")[numbers], REASONS)
    filled["cluster_size"] = columns.read("cluster_size")[numbers]
    table = pa.table([filled[name] for name in DOCUMENT_SCHEMA.names], names=DOCUMENT_SCHEMA.names)
    return table.cast(DOCUMENT_SCHEMA), numbers


def _read_piece(piece: _Piece) -> tuple[pa.Table, npt.NDArray[np.uint32]]:
    texts = piece.texts
    kept = list(_KEPT_COLUMNS) if texts.names else ["id", *_KEPT_COLUMNS]
    with pq.ParquetFile(texts.path) as file:
        table = file.read_row_group(piece.row_group, columns=kept)
    if texts.names:
        table = table.append_column("id", read_names(texts.names).slice(piece.first_row, len(table)))
    if texts.numbers:
        stored = np.load(texts.numbers, mmap_mode="r")
        return table, stored[piece.first_row : piece.first_row + len(table)].copy()
    start = texts.start + piece.first_row
    return table.select(["id", *_KEPT_COLUMNS]), np.arange(start, start + len(table), dtype=np.uint32)


def _names(numbers: npt.NDArray[np.int8], names: dict[int, str]) -> pa.Array:
    """The name of each number, null where it has none."""
    table = pa.array([names.get(number) for number in range(max(names) + 1)], pa.string())
    return table.take(pa.array(numbers))
