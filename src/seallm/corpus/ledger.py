"""Judged tables and decisions in, the ledger out: one row a document, with everything that was found out about it.

    ledger/00000.parquet   the documents of the first input file, in the order in which they were judged
    ledger/rules.json      the thresholds and choices that decided

The ledger holds no text; `file` and `row` say where that lies. It keeps hash and signature of every document, so that
`retier` can decide anew, duplicates included, without reading the raw input again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.files import atomic_writer
from seallm.corpus.columns import READ_DOCUMENTS, Columns, Shard
from seallm.corpus.layout import REASONS, TIERS, fates_of, file_of
from seallm.corpus.names import read_names
from seallm.corpus.rules import Thresholds, broken_rules, fixed_reasons, reason_lists
from seallm.corpus.scores import figures_of

ROW_GROUP_DOCUMENTS = 10_000
_COPIED = ("url", "source", "licence", "language", "group", "scores", "repaired")
_COPIED_FIGURES = ("quality", "characters", "hash", "signature")


@dataclass(frozen=True)
class LedgerPart:
    """One table's part of the ledger; it is sent to the worker that writes it.

    Attributes:
        shard: the judged table and its columns.
        read_from: name of the input file; None where the table is a ledger itself and says so.
        names: files with the final ids of all shards.
        thresholds: what decided, by language.
    """

    shard: Shard
    read_from: str | None
    names: tuple[Path, ...]
    thresholds: Thresholds


def ledger_schema(permutations: int) -> pa.Schema:
    """Columns of the ledger."""
    strings = dict.fromkeys(("id", "url", "source", "licence", "language", "group", "tier", "reason"), pa.string())
    rest = {
        "reasons": pa.list_(pa.string()),  # every rule that it broke; `reason` is the first of them
        "scores": pa.map_(pa.string(), pa.float32()),
        "cluster_size": pa.int32(),
        "duplicate_of": pa.string(),  # id of the document that it stands behind
        "file": pa.string(),
        "row": pa.uint32(),
        "read_from": pa.string(),
        "repaired": pa.bool_(),
        "quality": pa.float32(),
        "characters": pa.int64(),
        "hash": pa.uint64(),
        "signature": pa.binary(permutations),
    }
    return pa.schema(list((strings | rest).items()))


def write_ledger(part: LedgerPart, result: Path) -> None:
    """Write one table's part of the ledger."""
    shard = part.shard
    schema, row = ledger_schema(shard.columns.permutations), 0
    origin = ("reasons", "read_from") if part.read_from is None else ()
    ids = read_names(part.names[shard.number])
    with (
        pq.ParquetFile(shard.table) as file,
        atomic_writer(result) as out,
        pq.ParquetWriter(out, schema, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(READ_DOCUMENTS, columns=[*_COPIED, *_COPIED_FIGURES, *origin]):
            columns = {name: batch[name] for name in (*_COPIED, *_COPIED_FIGURES)}
            columns["id"] = ids.slice(row, len(batch))
            columns |= _decided(batch, part, row)
            table = pa.table([columns[name] for name in schema.names], names=schema.names).cast(schema)
            writer.write_table(table, row_group_size=ROW_GROUP_DOCUMENTS)
            row += len(batch)


def _decided(batch: pa.RecordBatch, part: LedgerPart, row: int) -> dict[str, Any]:
    columns, start = part.shard.columns, part.shard.columns.starts[part.shard.number] + row
    rows = slice(start, start + len(batch))
    names = ("fate", "tier", "reason", "final_reason", "group", "representative", "cluster_size", "position")
    own = {name: columns.read(name)[rows] for name in names}
    broken = broken_rules(
        own["reason"], own["final_reason"], batch["group"], figures_of(batch["scores"]), part.thresholds
    )
    if part.read_from is None:
        broken |= fixed_reasons(batch["reasons"])
    return {
        "tier": _lookup([TIERS.get(fate) for fate in range(4)], own["tier"]),
        "reason": _lookup([REASONS.get(number) for number in range(max(REASONS) + 1)], own["final_reason"]),
        "reasons": reason_lists(broken),
        "cluster_size": own["cluster_size"],
        "duplicate_of": _representative_ids(own["representative"], start, columns, part.names),
        "file": _files(own["group"], own["fate"], part.shard.groups),
        "row": own["position"],
        "read_from": batch["read_from"] if part.read_from is None else pa.array([part.read_from] * len(batch)),
    }


def _lookup(values: Sequence[str | None], places: npt.NDArray[Any]) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(places))


def _files(groups: npt.NDArray[np.uint8], fates: npt.NDArray[np.int8], names: Sequence[str]) -> pa.Array:
    files = [file_of(name, fate) if fate in fates_of(name) else None for name in names for fate in range(4)]
    return _lookup(files, groups.astype(np.int64) * 4 + fates)


def _representative_ids(
    representatives: npt.NDArray[np.uint32], start: int, columns: Columns, names: Sequence[Path]
) -> pa.Array:
    """Ids of the documents that others stand behind, null for those that stand for themselves."""
    rows = np.flatnonzero(representatives != np.arange(start, start + len(representatives)))
    numbers = representatives[rows].astype(np.int64)
    shards = np.searchsorted(columns.starts, numbers, side="right") - 1
    found = np.full(len(representatives), None, dtype=object)
    for shard in np.unique(shards):
        mine = shards == shard
        places = numbers[mine] - columns.starts[int(shard)]
        found[rows[mine]] = read_names(names[int(shard)]).take(pa.array(places)).to_pylist()
    return pa.array(found.tolist(), pa.string())
