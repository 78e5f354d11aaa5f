"""Benchmark files as they are published in, raw rows out: JSON, JSON lines, CSV, TSV, Parquet, SQuAD, plain lines.

Every row comes with the place it stands at, so that a message can name it.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines

Row = dict[str, Any]
FILE_COLUMN = "$file"  # a row's file, without what is the same for all: `college_biology`


class MissingDataError(DataError):
    """A task's data file is not in the folder of the data."""


def find_files(data: Path, patterns: Sequence[str], fetch: str = "") -> list[Path]:
    """Files of the first pattern that matches any, sorted.

    Raises:
        MissingDataError: none does; the message says how to get the files, and where they belong.
    """
    for pattern in patterns:
        found = sorted(file for file in data.glob(pattern) if file.is_file())
        if found:
            return found
    place = data / patterns[0]
    if fetch:
        raise MissingDataError(f"{place} does not exist. Fetch it: {fetch.replace('{data}', str(data))}")
    raise MissingDataError(
        f"{place} does not exist. Put the file there, point [evaluate] at the folder that has it, "
        "or take the task out of [evaluate] tasks"
    )


def raw_rows(path: Path, header: Sequence[str] = ()) -> Iterator[tuple[str, Row]]:
    """(place, row) of each row of a file; what a layout nests is flattened.

    Args:
        path: the file; its ending says its layout. A `.txt` file with one column has a text a line, with several it is
            TSV; a header must be given.
        header: names of the columns of a file that has none.

    Raises:
        DataError: the file is not what its ending says, or a row is broken.
    """
    readers = {".jsonl": _json_lines, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    if path.suffix == ".txt" and len(header) == 1:
        rows = _text_lines(path, header[0])
    elif path.suffix == ".tsv" or (path.suffix in (".csv", ".txt") and header):
        rows = _separated(path, "," if path.suffix == ".csv" else "\t", header)
    elif path.suffix in readers:
        rows = readers[path.suffix](path)
    else:
        raise DataError(f"{path}: expected {', '.join(readers)} or .tsv")
    for where, row in rows:
        yield where, {**row, FILE_COLUMN: _file_subject(path)}


def _file_subject(path: Path) -> str:
    stem = path.stem
    for split in ("_test", "_train", "_dev", "_val"):
        stem = stem.removesuffix(split)
    return stem


def beside(rows: Iterator[tuple[str, Row]], columns: Mapping[str, Path]) -> Iterator[tuple[str, Row]]:
    """Rows of a file with columns of others that have a line for each of its rows.

    Raises:
        DataError: another file has more or fewer lines.
    """
    found = list(rows)
    for name, path in columns.items():
        lines = read_sentences(path)
        if len(lines) != len(found):
            raise DataError(f"{path} has {len(lines)} lines; expected one for each of the {len(found)} rows beside it")
        found = [(where, {**row, name: line}) for (where, row), line in zip(found, lines, strict=True)]
    yield from found


def _text_lines(path: Path, column: str) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(read_sentences(path), 1):
        yield f"{path}:{number}", {column: line}


def _json_lines(path: Path) -> Iterator[tuple[str, Row]]:
    for number, row in read_json_lines(path):
        if isinstance(row, DataError):
            raise row
        yield f"{path}:{number}", _flat(row)


def _flat(row: Row) -> Row:
    """A row of SEA-HELM, whose texts lie in the one entry of `prompts` and whose subject lies in `metadata`, as one."""
    prompts, about = row.get("prompts"), row.get("metadata")
    if not (isinstance(prompts, list) and len(prompts) == 1 and isinstance(prompts[0], dict)):
        return row
    return {**(about if isinstance(about, dict) else {}), **row, **prompts[0]}


def _json(path: Path) -> Iterator[tuple[str, Row]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    rows = _squad_rows(found["data"]) if isinstance(found, dict) and isinstance(found.get("data"), list) else found
    if isinstance(rows, dict):
        raise DataError(f'{path}: expected a list of rows, or SQuAD\'s {{"data": [...]}}')
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: {str(row)[:60]!r}; expected an object")
        yield f"{path}, row {number}", row


def _squad_rows(articles: Sequence[Row]) -> Iterator[Row]:
    """Questions of SQuAD's nested layout, each with its paragraph (Rajpurkar et al. 2016)."""
    for article in articles:
        if "paragraphs" not in article:
            yield article
        for paragraph in article.get("paragraphs", ()):
            for question in paragraph.get("qas", ()):
                yield {"context": paragraph.get("context"), **question}


def _csv(path: Path) -> Iterator[tuple[str, Row]]:
    return _separated(path, ",", ())


def _separated(path: Path, separator: str, header: Sequence[str]) -> Iterator[tuple[str, Row]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from None
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
    )
    names = list(header) or next(lines, [])
    for number, cells in enumerate(lines, 1 if header else 2):
        if not any(cells[len(names) :]):  # some programs end every line with a separator
            cells = cells[: len(names)]
        if len(cells) != len(names):
            raise DataError(f"{path}:{number}: {len(cells)} columns; expected {len(names)}: {', '.join(names)}")
        yield f"{path}:{number}", dict(zip(names, cells, strict=True))


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from None
    for number, row in enumerate(rows, 1):
        yield f"{path}, row {number}", row


def read_sentences(path: Path) -> list[str]:
    """Lines of a text file, stripped; the column `text` of any other file.

    Raises:
        DataError: it is missing, not UTF-8, or holds no text.
    """
    if path.suffix in (".jsonl", ".json", ".parquet", ".csv"):
        lines = [str(row.get("text") or "").strip() for _, row in raw_rows(path)]
    else:
        try:
            # not splitlines(): it also splits at U+2028 and others, which stand inside web sentences
            lines = [line.strip() for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]
        except FileNotFoundError:
            raise MissingDataError(
                f"{path} does not exist. Put the file there, point [evaluate] at the folder that has it, "
                "or take the task out of [evaluate] tasks"
            ) from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text: {error}") from None
    if not any(lines):
        raise DataError(f"{path} is empty; expected one sentence a line")
    return lines
