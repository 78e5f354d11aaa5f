"""Input files in, raw documents out: WARC, HTML, JSON lines, Parquet and text, each row on its own.

JSON lines and Parquet rows carry a `text`, and if they like `id`, `url`, `source` and `licence`, under these names or
those of a column map. An HTML or text file is one document. A row that cannot be used is a BadRecord with its place and
reason; only a file that can never have been meant as input, a table without texts, is an error. Files are read as
streams, from a disk or through fsspec.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import ARCHIVE_ERRORS, parse_json_lines, unpacked
from seallm.base.places import Place, open_place, place_name, place_suffixes
from seallm.canonical.repair import encodable
from seallm.corpus.extract import decode_page
from seallm.corpus.foreign_columns import (
    OPTIONAL_FIELDS,
    OUR_NAMES,
    TEXT,
    ColumnMap,
    check_rows,
    choose_columns,
    is_text,
    pick,
    read_row,
)
from seallm.corpus.raw_records import BadRecord, RawDocument, RawRecord, SkippedRecord
from seallm.corpus.warc import read_warc

_PARQUET_ROWS = 1_000

_WARC, _HTML, _JSON_LINES, _PARQUET, _TEXT_FILE = range(5)
_FORMATS = {
    ".warc": _WARC,
    ".wet": _WARC,
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".parquet": _PARQUET,
    ".txt": _TEXT_FILE,
    ".md": _TEXT_FILE,
}
_ARCHIVES = (".gz", ".zst")
_ABOUT = ("readme", "license", "licence", "notice", "changelog", "citation")  # beside a data set, not of it


def read_documents(place: Place, name: str, columns: ColumnMap = OUR_NAMES) -> Iterator[RawRecord]:
    """Read a file by its ending, `.gz` and `.zst` included.

    Args:
        place: the file.
        name: what it is called in messages, so that they do not depend on where it lies.
        columns: for JSON lines and Parquet: their names of columns, by our names.

    Raises:
        DataError: a table has no column of texts or not those that `columns` names, or a remote file is out of reach.
    """
    suffixes = place_suffixes(place)
    packing = suffixes.pop() if len(suffixes) > 1 and suffixes[-1] in _ARCHIVES else ""
    kind = _FORMATS.get("".join(suffixes[-1:]))
    if kind is None:
        yield BadRecord(name, f"unknown kind of file; its name must end in one of {', '.join(_FORMATS)} (.gz, .zst)")
        return
    if kind == _TEXT_FILE and source_of_file(place).lower() in _ABOUT:
        yield SkippedRecord("texts about the data")
        return
    with open_place(place) as file:
        if not file.read(1):
            yield BadRecord(name, "the file is empty")
            return
        file.seek(0)
        if kind == _WARC:
            yield from read_warc(file, name, packing)
        elif kind == _JSON_LINES:
            yield from _read_json_lines(unpacked(file, packing), name, columns)
        elif kind == _PARQUET:
            yield from _read_parquet(file, name, columns)
        else:
            yield _read_whole(unpacked(file, packing), name, is_page=kind == _HTML)


def source_of_file(place: Place) -> str:
    """The source of documents that name none: the file's name without its endings."""
    return place_name(place).split(".")[0]


def _read_whole(file: Any, name: str, is_page: bool) -> RawRecord:
    try:
        with closing(file):
            content = file.read()
    except ARCHIVE_ERRORS as error:
        return BadRecord(name, f"damaged archive: {error}")
    return RawDocument(name, page=content) if is_page else RawDocument(name, text=decode_page(content))


def _read_json_lines(file: Any, name: str, columns: ColumnMap) -> Iterator[RawRecord]:
    try:
        with closing(file):
            for number, row in check_rows(parse_json_lines(file, name), columns, name):
                if isinstance(row, DataError):
                    yield BadRecord(f"{name}:{number}", str(row).removeprefix(f"{name}:{number}: "))
                else:
                    yield _make_document(read_row(row, columns), row, columns, f"{name}:{number}")
    except ARCHIVE_ERRORS as error:  # the archive breaks off here; the lines before it are used
        yield BadRecord(name, f"the archive is damaged here ({error}); the lines before it are used")


def _read_parquet(file: Any, name: str, columns: ColumnMap) -> Iterator[RawRecord]:
    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        yield BadRecord(name, f"not a Parquet file: {error}")
        return
    chosen = choose_columns(table.schema_arrow, columns, name)
    row = 0
    try:
        for batch in table.iter_batches(_PARQUET_ROWS, columns=list(dict.fromkeys(chosen.values()))):
            values = {field: _plain_values(pick(batch, theirs)) for field, theirs in chosen.items()}
            for index in range(len(batch)):
                row += 1
                fields = {field: column[index] for field, column in values.items()}
                yield _make_document(fields, {chosen.get(k, k): v for k, v in fields.items()}, columns, f"{name}:{row}")
    except (pa.ArrowException, OSError) as error:
        yield BadRecord(name, f"damaged Parquet file after row {row}: {error}")


def _plain_values(column: pa.Array) -> list[Any]:
    """Python values; strings as bytes, because one that is not UTF-8 must not take its batch along."""
    if is_text(column.type):
        column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        return list(column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist())
    return list(column.to_pylist())


def _make_document(fields: Mapping[str, Any], row: Mapping[str, Any], columns: ColumnMap, where: str) -> RawRecord:
    """A document of our fields; `row` is what they were made of, for messages."""
    name = columns.get(TEXT, TEXT)
    if not isinstance(fields.get(TEXT), str | bytes):
        value = fields.get(TEXT)
        found = f"a {type(value).__name__}" if value is not None or name in row else f"only {_list_names(row)}"
        return BadRecord(where, f"no `{name}` string in this row: found {found}")
    try:
        texts = {field: _as_text(value) for field, value in fields.items() if value is not None}
    except UnicodeDecodeError as error:
        return BadRecord(where, f"not valid UTF-8: {error}")
    id_, url, source, licence = (texts.get(field) for field in OPTIONAL_FIELDS)
    return RawDocument(where, text=texts[TEXT], id=id_, url=url, source=source, licence=licence)


def _list_names(row: Mapping[str, Any]) -> str:
    return ", ".join(row) or "nothing"


def _as_text(value: object) -> str:
    if isinstance(value, list):  # `licenses: ["mit", "bsd"]`
        return ", ".join(_as_text(part) for part in value)
    return value.decode("utf-8") if isinstance(value, bytes) else encodable(str(value))
