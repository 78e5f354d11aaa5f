"""Files of rows in, raw rows out one by one: JSON lines, JSON, CSV, Parquet and the Arrow files of saved data sets.

A row that cannot be read is a BadRow in its place, with file, number and reason; a damaged file gives the rows before
the damage and one BadRow for the rest. Rows are counted from 1, as an editor counts the lines of a file of lines.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import ARCHIVE_ERRORS, parse_json_lines, unpacked
from seallm.base.places import Place, open_place, place_name, place_suffixes

ABOUT_STEMS = ("readme", "license", "licence", "notice", "changelog", "citation")  # beside a data set, not of it
ABOUT_NAMES = ("dataset_info.json", "state.json", "dataset_dict.json", "dataset_infos.json", "manifest.json")
OUR_COUNTS = ("quarantine.jsonl", "checks.json", "mix.json", "report.json")
BESIDE = (".dropped.jsonl", ".quarantine.jsonl", ".cost.json")  # what seallm writes beside conversations
_CACHE_PREFIX = "cache-"  # intermediate results beside the Arrow files of a saved data set
_ARCHIVES = (".gz", ".zst")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES, _JSON, _PARQUET, _ARROW = (".jsonl", ".ndjson"), (".json",), (".parquet",), (".arrow",)
ENDINGS = (*_JSON_LINES, *_JSON, *_DELIMITERS, *_PARQUET, *_ARROW)
_MAX_FIELD_CHARACTERS = 2**31 - 1  # of a CSV field; Python's own limit is 131,072
_ARROW_FILE = b"ARROW1"
_BATCH_ROWS = 1_000
_EXTRA = "\x00extra"  # the csv reader's name for fields beyond the header

Row = dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: where it stands, why, and what it holds as far as it could be read."""

    where: str
    reason: str
    row: object = None


def is_about(place: Place) -> bool:
    """True for files that stand beside the rows of a data set: its description, its licence, counts, caches."""
    name = place_name(place).lower()
    if name in (*ABOUT_NAMES, *OUR_COUNTS) or name.endswith(BESIDE):
        return True
    return name.startswith(_CACHE_PREFIX) or name.split(".")[0] in ABOUT_STEMS


def read_rows(place: Place, name: str) -> Iterator[tuple[int, Row | BadRow]]:
    """Number and row of a file, read by its ending, `.gz` and `.zst` included.

    Args:
        place: the file.
        name: what it is called in messages, so that they do not depend on where it lies.

    Raises:
        DataError: a remote file is out of reach.
    """
    suffixes = place_suffixes(place)
    packing = suffixes.pop() if len(suffixes) > 1 and suffixes[-1] in _ARCHIVES else ""
    ending = "".join(suffixes[-1:])
    if ending not in ENDINGS:
        yield 0, BadRow(name, f"unknown kind of file; its name must end in one of {', '.join(ENDINGS)} (.gz, .zst)")
        return
    with open_place(place) as file, closing(unpacked(file, packing)) as content:
        number = 0
        try:
            for number, row in _rows_of(content, ending, name):
                yield number, row
        except (*ARCHIVE_ERRORS, pa.ArrowException, OSError, csv.Error) as error:
            yield number + 1, BadRow(name, f"damaged after row {number} ({error}); the rows before it are used")


def _rows_of(file: IO[bytes], ending: str, name: str) -> Iterator[tuple[int, Row | BadRow]]:
    if ending in _JSON_LINES:
        return _json_lines(file, name)
    if ending in _JSON:
        return _json(file.read(), name)
    if ending in _DELIMITERS:
        return _delimited(file.read(), _DELIMITERS[ending], name)
    if ending in _PARQUET:
        return _batches(pq.ParquetFile(file).iter_batches(_BATCH_ROWS), name)
    return _batches(_arrow_batches(file), name)


def _json_lines(file: IO[bytes], name: str) -> Iterator[tuple[int, Row | BadRow]]:
    for number, row in parse_json_lines(file, name):
        where = f"{name}:{number}"
        yield number, BadRow(where, str(row).removeprefix(f"{where}: ")) if isinstance(row, DataError) else row


def _json(content: bytes, name: str) -> Iterator[tuple[int, Row | BadRow]]:
    """Items of an array, of the one list of objects in an object, or of a row of values: whichever the file holds.

    Items are read one after another, so that a file that breaks off gives those before the break.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield 1, BadRow(name, f"not valid UTF-8: {error}")
        return
    items = _json_items(text, name)
    first = next(items, None)
    second = next(items, None)
    if first is not None and second is None and isinstance(first, dict):  # {"version": 1, "data": [...]}
        lists = [v for v in first.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        if len(lists) == 1 and not {"messages", "conversations", "conversation"} & set(first):
            items, first = iter(lists[0]), None
    given = (item for item in (first, second) if item is not None)
    for number, item in enumerate((*given, *items), 1):
        if isinstance(item, dict | BadRow):
            yield number, item
        else:
            yield number, BadRow(f"{name}:{number}", f"a JSON {type(item).__name__}, not an object", item)


def _json_items(text: str, name: str) -> Iterator[Any]:
    decoder, position, end, number = json.JSONDecoder(), 0, len(text), 0
    start = _next_place(text, 0, "")
    is_array = text[start : start + 1] == "["
    position = _next_place(text, start + is_array, ",")
    while position < end and not (is_array and text[position] == "]"):
        number += 1
        try:
            item, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            yield BadRow(f"{name}:{number}", f"not JSON from here on ({error}); the rows before it are used")
            return
        yield item
        position = _next_place(text, position, ",")
    if is_array and position >= end:
        yield BadRow(f"{name}:{number + 1}", "the file breaks off here; the rows before it are used")


def _next_place(text: str, position: int, skipped: str) -> int:
    """The next place that is no white space and none of the skipped characters."""
    while position < len(text) and (text[position].isspace() or text[position] in skipped):
        position += 1
    return position


def _delimited(content: bytes, delimiter: str, name: str) -> Iterator[tuple[int, Row | BadRow]]:
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    text = content.decode("utf-8-sig", errors="surrogateescape")
    reader = csv.DictReader(io.StringIO(text, ""), restkey=_EXTRA, delimiter=delimiter)
    for number, row in enumerate(reader, 2):
        where = f"{name}:{number}"
        found = sum(value is not None for key, value in row.items() if key != _EXTRA) + len(row.get(_EXTRA) or ())
        wanted = len(reader.fieldnames or ())
        if found != wanted:
            yield number, BadRow(where, f"{found} fields where the header has {wanted}", _printable(row))
        elif any(not _is_unicode(value) for value in row.values()):
            yield number, BadRow(where, "not valid UTF-8", _printable(row))
        else:
            yield number, row


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else True


def _printable(row: Row) -> Row:
    clean = {key: value for key, value in row.items() if key != _EXTRA}
    return {key: value.encode("utf-8", "replace").decode() if value else value for key, value in clean.items()}


def _arrow_batches(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """Batches of an Arrow stream, as saved data sets are, or of an Arrow file."""
    opening = file.read(len(_ARROW_FILE))
    file.seek(0)
    if opening == _ARROW_FILE:
        reader = pa.ipc.open_file(file)
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(pa.ipc.open_stream(file))


def _batches(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[tuple[int, Row | BadRow]]:
    number = 0
    for batch in batches:
        for start in range(0, len(batch), _BATCH_ROWS):
            for row in _row_values(batch.slice(start, _BATCH_ROWS)):
                number += 1
                if isinstance(row, UnicodeDecodeError):
                    yield number, BadRow(f"{name}:{number}", f"not valid UTF-8: {row}")
                else:
                    yield number, row


def _row_values(batch: pa.RecordBatch) -> list[Row | UnicodeDecodeError]:
    """Rows as Python values; a string that is not UTF-8 must not take its batch along."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        return [_row_value(batch.slice(number, 1)) for number in range(len(batch))]


def _row_value(batch: pa.RecordBatch) -> Row | UnicodeDecodeError:
    try:
        row: Row = batch.to_pylist()[0]
    except UnicodeDecodeError as error:
        return error
    return row
