"""Rows of any data set in, rows with our own names out: which column holds the text, the address, the licence.

    columns = { text = "content", id = "doc_id", url = "meta.url", licence = "license", source = "publisher" }

A dotted name goes into nested structs (`meta.url` is `url` within `meta`), unless a column has just that name. What is
not named is looked for under our own name; `license` is read as `licence`.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from seallm.base.errors import DataError

TEXT = "text"
OPTIONAL_FIELDS = ("id", "url", "source", "licence")
FIELDS = (TEXT, *OPTIONAL_FIELDS)
_SPELLINGS = {"licence": "license"}
ROWS_TO_LOOK_AT = 100  # a named column that none of these rows has is not there

ColumnMap = Mapping[str, str]
OUR_NAMES: ColumnMap = {}


def read_row(row: Mapping[str, Any], columns: ColumnMap) -> dict[str, Any]:
    """Our fields of one row, those that it has.

    Args:
        row: a JSON object.
        columns: their names, by ours.
    """
    fields = {}
    for field in FIELDS:
        value = look_up(row, columns.get(field, field))
        if value is None and field not in columns and field in _SPELLINGS:
            value = row.get(_SPELLINGS[field])
        if value is not None:
            fields[field] = value
    return fields


def look_up(row: Mapping[str, Any], name: str) -> Any:
    """The value under a name, dotted or not; None where there is none."""
    if name in row or "." not in name:
        return row.get(name)
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def check_rows(
    rows: Iterable[tuple[int, dict[str, Any] | DataError]], columns: ColumnMap, where: str
) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Pass JSON rows on, once the first of them are seen to have the columns that the recipe names.

    Raises:
        DataError: a named column is in none of the first rows.
    """
    rows = iter(rows)
    first = list(islice(rows, ROWS_TO_LOOK_AT)) if columns else []
    objects = [row for _, row in first if isinstance(row, dict)]
    for field, name in columns.items():
        if objects and not any(_has(row, name) for row in objects):
            there = dict.fromkeys(name for row in objects for name in _names(row))
            raise _missing(field, name, where, there)
    yield from first
    yield from rows


def _has(row: Mapping[str, Any], name: str) -> bool:
    if name in row:
        return True
    head, _, rest = name.partition(".")
    within = row.get(head)
    return bool(rest) and isinstance(within, Mapping) and _has(within, rest)


def _names(row: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, Mapping) and value:
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def choose_columns(schema: pa.Schema, columns: ColumnMap, where: str) -> dict[str, str]:
    """Their names by ours, of what a Parquet file has.

    Raises:
        DataError: a named column is not there, or the texts are no strings.
    """
    kinds = dict(_leaves(schema))
    chosen = {}
    for field in FIELDS:
        name = columns.get(field, field)
        if name not in kinds and field not in columns:
            name = _SPELLINGS.get(field, name)
        if name in kinds:
            chosen[field] = name
        elif field in columns:
            raise _missing(field, name, where, [f"{name} ({kind})" for name, kind in kinds.items()])
    text = columns.get(TEXT, TEXT)
    if TEXT not in chosen or not is_text(kinds[text]):
        there = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise DataError(
            f"{where} has no column `{text}` of strings; it has {there}. Name the right one: "
            'columns = { text = "..." } in [corpus], or leave the file out'
        )
    return chosen


def _leaves(fields: Iterable[pa.Field], prefix: str = "") -> Iterator[tuple[str, pa.DataType]]:
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _leaves([field.type.field(n) for n in range(field.type.num_fields)], f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.type


def pick(batch: pa.RecordBatch, name: str) -> pa.Array:
    """One column of a batch by its dotted name."""
    if name in batch.schema.names:
        return batch.column(name)
    head, *rest = name.split(".")
    return pc.struct_field(batch.column(head), rest)


def is_text(kind: pa.DataType) -> bool:
    """True for strings of every layout."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _missing(field: str, name: str, where: str, there: Iterable[str]) -> DataError:
    return DataError(
        f"{where} has no column `{name}`, which [corpus] columns names for {field}; it has {', '.join(there)}. "
        "Correct the name, or leave it out"
    )
