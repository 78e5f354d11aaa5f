"""Input files in, raw documents out: WARC, HTML, JSON lines, Parquet and text, each row on its own.

JSON lines and Parquet rows carry a `text`, and if they like `id`, `url`, `source` and `licence`. An HTML or text file
is one document. A row that cannot be used is a BadRecord with its place and reason; only a file that can never have
been meant as input, a table without texts, is an error.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import ARCHIVE_ERRORS, open_binary, read_json_lines
from seallm.corpus.extract import decode_page
from seallm.corpus.raw_records import BadRecord, RawDocument, RawRecord
from seallm.corpus.repair import encodable
from seallm.corpus.warc import read_warc

TEXT = "text"
OPTIONAL_COLUMNS = ("id", "url", "source", "licence")
_SPELLINGS = {"license": "licence"}
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


def read_documents(path: Path, name: str) -> Iterator[RawRecord]:
    """Read a file by its ending, `.gz` and `.zst` included.

    Args:
        path: the file.
        name: what it is called in messages, so that they do not depend on where it lies.

    Raises:
        DataError: a Parquet file has no column of texts.
    """
    suffixes = [s.lower() for s in path.suffixes]
    kind = _FORMATS.get(suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in _ARCHIVES else "".join(suffixes[-1:]))
    if kind is None:
        yield BadRecord(name, f"unknown kind of file; its name must end in one of {', '.join(_FORMATS)} (.gz, .zst)")
    elif path.stat().st_size == 0:
        yield BadRecord(name, "the file is empty")
    elif kind == _WARC:
        yield from read_warc(path, name)
    elif kind == _JSON_LINES:
        yield from _read_json_lines(path, name)
    elif kind == _PARQUET:
        yield from _read_parquet(path, name)
    else:
        yield _read_whole(path, name, is_page=kind == _HTML)


def source_of_file(path: Path) -> str:
    """The source of documents that name none: the file's name without its endings."""
    return path.name.split(".")[0]


def _read_whole(path: Path, name: str, is_page: bool) -> RawRecord:
    try:
        with open_binary(path) as file:
            content = file.read()
    except ARCHIVE_ERRORS as error:
        return BadRecord(name, f"damaged archive: {error}")
    return RawDocument(name, page=content) if is_page else RawDocument(name, text=decode_page(content))


def _read_json_lines(path: Path, name: str) -> Iterator[RawRecord]:
    try:
        for number, row in read_json_lines(path):
            if isinstance(row, DataError):
                yield BadRecord(f"{name}:{number}", str(row).removeprefix(f"{path}:{number}: "))
            else:
                yield _make_document(row, f"{name}:{number}")
    except DataError as error:  # the archive breaks off here; the lines before it are used
        yield BadRecord(name, str(error).removeprefix(f"{path} "))


def _read_parquet(path: Path, name: str) -> Iterator[RawRecord]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        yield BadRecord(name, f"not a Parquet file: {error}")
        return
    schema = file.schema_arrow
    if TEXT not in schema.names or not _is_text(schema.field(TEXT).type):
        columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise DataError(f"{path} has no column `{TEXT}` of strings; it has {columns}. Rename a column, or leave it out")
    wanted = [n for n in schema.names if n == TEXT or _SPELLINGS.get(n, n) in OPTIONAL_COLUMNS]
    row = 0
    try:
        for batch in file.iter_batches(_PARQUET_ROWS, columns=wanted):
            columns_by_name = {n: _plain_values(batch.column(n)) for n in batch.schema.names}
            for index in range(len(batch)):
                row += 1
                yield _make_document({n: v[index] for n, v in columns_by_name.items()}, f"{name}:{row}")
    except (pa.ArrowException, OSError) as error:
        yield BadRecord(name, f"damaged Parquet file after row {row}: {error}")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _plain_values(column: pa.Array) -> list[Any]:
    """Python values; strings as bytes, because one that is not UTF-8 must not take its batch along."""
    if _is_text(column.type):
        column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        return list(column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist())
    return list(column.to_pylist())


def _make_document(row: Mapping[str, Any], where: str) -> RawRecord:
    row = {_SPELLINGS.get(key, key): value for key, value in row.items()}
    try:
        fields = {key: _as_text(row[key]) for key in (TEXT, *OPTIONAL_COLUMNS) if row.get(key) is not None}
    except UnicodeDecodeError as error:
        return BadRecord(where, f"not valid UTF-8: {error}")
    if not isinstance(row.get(TEXT), str | bytes):
        found = f"a {type(row[TEXT]).__name__}" if TEXT in row else f"only {', '.join(row) or 'nothing'}"
        return BadRecord(where, f"no `{TEXT}` string in this row: found {found}")
    id_, url, source, licence = (fields.get(key) for key in OPTIONAL_COLUMNS)
    return RawDocument(where, text=fields[TEXT], id=id_, url=url, source=source, licence=licence)


def _as_text(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else encodable(str(value))
