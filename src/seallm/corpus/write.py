"""Shards and fates in, the corpus's Parquet files out: one call a language, rows in the order of their ids."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.files import atomic_writer, write_json
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.corpus.layout import DROPPED, HELD_OUT, REASONS, TIERS, UNKNOWN, documents_of

ROW_GROUP_DOCUMENTS = 2_000
_KEPT_COLUMNS = ("text", "language", "source", "url", "licence", "scores")


@dataclass(frozen=True)
class LanguageGroup:
    """A language's rows to write, or those of no language; it is sent to the worker that writes them.

    Attributes:
        fates: the file that `save_fates` wrote for it.
        results: summaries of all shards, in order.
        out: folder of the corpus.
    """

    name: str
    fates: Path
    results: tuple[Path, ...]
    out: Path


def write_group(group: LanguageGroup, mark: Path) -> None:
    """Write all files of one group, and `mark` when they are complete."""
    fates = pq.read_table(group.fates)
    tables = [
        pq.read_table(documents_of(result), columns=list(_KEPT_COLUMNS), filters=[("group", "==", group.name)])
        for result in group.results
    ]
    starts = np.cumsum([0, *(len(t) for t in tables)])
    positions = starts[fates["shard"].to_numpy()] + fates["row"].to_numpy()
    documents = pa.concat_tables(tables).take(pa.array(positions))
    fate = fates["fate"].to_numpy()
    columns = {name: documents[name] for name in _KEPT_COLUMNS}
    columns["id"] = fates["id"]
    columns["tier"] = pa.array([TIERS.get(value) for value in fate.tolist()], pa.string())
    columns["reason"] = pa.array([REASONS.get(value) for value in fates["reason"].to_pylist()], pa.string())
    columns["cluster_size"] = fates["cluster_size"]
    table = pa.table([columns[name] for name in DOCUMENT_SCHEMA.names], names=DOCUMENT_SCHEMA.names).cast(
        DOCUMENT_SCHEMA
    )
    _write_documents(group.out / "dropped" / f"{group.name}.parquet", table.filter(pa.array(fate == DROPPED)))
    if group.name != UNKNOWN:
        _write_documents(group.out / "held_out" / f"{group.name}.parquet", table.filter(pa.array(fate == HELD_OUT)))
        for value, tier in TIERS.items():
            path = group.out / "documents" / f"{group.name}.{tier}.parquet"
            _write_documents(path, table.filter(pa.array(fate == value)))
    write_json(mark, len(table))


def _write_documents(path: Path, table: pa.Table) -> None:
    with atomic_writer(path) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=ROW_GROUP_DOCUMENTS)
