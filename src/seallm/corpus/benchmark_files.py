"""Benchmark files in, passages out: the texts that must not stand in the corpus.

A row's passages are all its strings, at any depth, or those of the fields that are named. Rows that many tests repeat
(a context asked about five times) give one passage. A benchmark file that cannot be read is an error and not a row of
the quarantine: a test that was silently left out would make every later score a false one.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import ARCHIVE_ERRORS, open_binary, read_json_lines
from seallm.canonical.repair import repair

_JSON_LINES, _JSON, _PARQUET, _TEXT = (".jsonl", ".ndjson"), (".json",), (".parquet",), (".txt", ".md")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (*_JSON_LINES, *_JSON, *_DELIMITERS, *_PARQUET, *_TEXT)
_ARCHIVES = (".gz", ".zst")
_MAX_FIELD = 2**31 - 1  # characters of a CSV field; Python's own limit is 131,072
_PARQUET_ROWS = 1_000


@dataclass(frozen=True)
class Passage:
    """A text of a benchmark.

    Attributes:
        benchmark: the file's name, as messages show it.
        row: from 1, as an editor counts lines in a file of lines.
        field: where in the row the text stands, such as `choices.0`; empty in a text file.
        text: repaired like the corpus, so that both are written alike.
    """

    benchmark: str
    row: int
    field: str
    text: str


def read_passages(path: Path, name: str, fields: Sequence[str] = ()) -> list[Passage]:
    """All different passages of one file, read by its ending (`.gz` and `.zst` included).

    JSON may be an array of rows, or an object with such an array; a text file has a passage a line.

    Args:
        path: the file.
        name: what it is called in messages and in the list of what was removed.
        fields: names of fields; only strings that stand in one of them, at any depth, are passages. None: all strings.

    Raises:
        DataError: the file cannot be read, or has no passage.
    """
    try:
        rows = list(_read_rows(path))
    except (*ARCHIVE_ERRORS, OSError, ValueError, pa.ArrowException, csv.Error, RecursionError) as error:
        raise DataError(f"Benchmark {name} cannot be read ({error}). Mend it, or take it out of the recipe") from None
    passages: dict[str, Passage] = {}
    for number, row in rows:
        for field, string in _strings(row, "", wanted=not fields, fields=frozenset(fields)):
            text = repair(string)
            if text and not _is_address(text):
                passages.setdefault(text, Passage(name, number, field, text))
    if not passages:
        looked = f"in the fields {', '.join(fields)}" if fields else "in any field"
        raise DataError(f"Benchmark {name} has no text {looked}. Check the file and the names of its fields")
    return list(passages.values())


def _read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    suffixes = [s.lower() for s in path.suffixes]
    ending = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in _ARCHIVES else "".join(suffixes[-1:])
    if ending not in ENDINGS:
        raise ValueError(f"its name must end in one of {', '.join(ENDINGS)} (.gz, .zst)")
    if ending in _JSON_LINES:
        for number, row in read_json_lines(path):
            if isinstance(row, DataError):
                raise ValueError(str(row).removeprefix(f"{path}:"))
            yield number, row
    elif ending in _PARQUET:
        yield from _parquet_rows(path)
    else:
        with open_binary(path) as file:
            text = file.read().decode("utf-8-sig")
        if ending in _JSON:
            yield from _json_rows(json.loads(text))
        elif ending in _DELIMITERS:
            csv.field_size_limit(_MAX_FIELD)
            yield from enumerate(csv.DictReader(io.StringIO(text, ""), delimiter=_DELIMITERS[ending]), 2)
        else:
            yield from enumerate(text.splitlines(), 1)


def _json_rows(value: Any) -> Iterator[tuple[int, Any]]:
    """The items of an array; of an object, those of the one list of objects in it (`{"version": 1, "data": [...]}`)."""
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
        value = lists[0] if len(lists) == 1 else [value]
    yield from enumerate(value if isinstance(value, list) else [value], 1)


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    with pq.ParquetFile(path) as file:
        number = 0
        for batch in file.iter_batches(_PARQUET_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _strings(value: Any, field: str, wanted: bool, fields: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Each string inside a value, with the path of keys and numbers that leads to it."""
    if isinstance(value, str):
        if wanted:
            yield field, value
        return
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(number), item) for number, item in enumerate(value)]
    else:
        return
    for key, item in items:
        yield from _strings(item, f"{field}.{key}" if field else key, wanted or key in fields, fields)


def _is_address(text: str) -> bool:
    """A URL names a page, and every page that links there would be taken for a copy of the test."""
    return text.startswith(("http://", "https://")) and not any(map(str.isspace, text))
