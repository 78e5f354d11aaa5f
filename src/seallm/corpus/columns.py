"""Shards in, one flat file a figure over all documents out: what later steps read through a memory map.

A document's number is its place among all rows of all shards. A column is a `.npy` file with one entry a number, so a
step reads what it needs, the system's page cache holds what fits, and no process keeps a Python object for a document.

    hash 8  id_hash 8  final_id_hash 8  characters 4  quality 4  reason 1  group 1  high_source 1
    signatures P  bands P (the same bytes, band by band)
    fate 1  final_reason 1  representative 4  cluster_size 4  position 4

That is 49 bytes a document and two for each permutation: 30 GB on disk for 100 million documents with P = 126.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import write_json
from seallm.corpus.hashing import hash_strings
from seallm.corpus.rules import Thresholds, judge_again
from seallm.corpus.tiers import is_high_source

TYPES: dict[str, type[np.generic]] = {
    "hash": np.uint64,
    "id_hash": np.uint64,  # of the id as it was read; it may occur again
    "final_id_hash": np.uint64,
    "characters": np.uint32,
    "quality": np.float32,
    "reason": np.int8,  # the first rule that is broken, 0 for none
    "group": np.uint8,
    "high_source": np.bool_,
    "fate": np.int8,
    "tier": np.int8,  # as a fate; of a held-out document the tier it would be of
    "final_reason": np.int8,  # with duplicates
    "representative": np.uint32,  # the document that it stands behind; itself where it is no duplicate
    "cluster_size": np.int32,
    "position": np.uint32,  # row in the corpus file that it is written to
}
MOST_DOCUMENTS = 2**32 - 1
READ_DOCUMENTS = 20_000
_FIGURES = ("id", "source", "group", "quality", "characters", "hash", "signature")


@dataclass(frozen=True)
class Columns:
    """The columns of a run; small, so that it is sent to every worker.

    Attributes:
        folder: where they lie.
        starts: number of the first document of each shard, and the total.
        permutations: bytes of a signature.
        band_count: bands of a signature.
    """

    folder: Path
    starts: tuple[int, ...]
    permutations: int
    band_count: int

    @property
    def total(self) -> int:
        """Documents of all shards."""
        return self.starts[-1]

    def create(self) -> None:
        """Make the files that are missing, full of zeros; on most file systems they take no space yet.

        Raises:
            DataError: there are more documents than a 32-bit number can count.
        """
        if self.total > MOST_DOCUMENTS:
            raise DataError(
                f"{self.total} documents are more than {MOST_DOCUMENTS}. Give [corpus] fewer inputs at once"
            )
        self.folder.mkdir(exist_ok=True)
        for name in (*TYPES, "signatures", "bands"):
            path = self.folder / f"{name}.npy"
            if not path.exists():
                temporary = path.with_name(f".{path.name}.tmp")
                np.lib.format.open_memmap(temporary, "w+", TYPES.get(name, np.uint8), self._shape(name)).flush()
                temporary.replace(path)

    def read(self, name: str) -> npt.NDArray[Any]:
        """A column to read, from the disk as it is touched."""
        column: npt.NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r").view(np.ndarray)
        return column

    def write(self, name: str) -> "np.memmap[Any, Any]":
        """A column to write into; call `flush` before anything says that it is written."""
        opened: np.memmap[Any, Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r+")
        return opened

    def save(self, name: str, values: npt.NDArray[Any]) -> None:
        """Write a whole column."""
        column = self.write(name)
        column[:] = values
        column.flush()

    def _shape(self, name: str) -> tuple[int, ...]:
        if name == "signatures":
            return (self.total, self.permutations)
        if name == "bands":
            return (self.band_count, self.total, self.permutations // self.band_count)
        return (self.total,)


@dataclass(frozen=True)
class Shard:
    """A table of judged documents and where its figures go; it is sent to the worker that reads them.

    Attributes:
        table: a shard of `clean_file`, or a ledger table of a finished corpus.
        number: its place in `columns.starts`.
        groups: names of all groups; a document's group is kept as its place here.
        high_sources: sources whose documents are of the high tier.
        thresholds: what to judge the figures by; None where the table's own judgement stands.
    """

    table: Path
    number: int
    columns: Columns
    groups: tuple[str, ...]
    high_sources: tuple[str, ...]
    thresholds: Thresholds | None = None


def gather(shard: Shard, mark: Path) -> None:
    """Copy a shard's figures into the columns, and write `mark` when they are there."""
    columns = shard.columns
    names = ("hash", "id_hash", "characters", "quality", "reason", "group", "high_source", "signatures", "bands")
    targets = {name: columns.write(name) for name in names}
    start, wanted = columns.starts[shard.number], (*_FIGURES, *(("reason",) if shard.thresholds is None else ()))
    with pq.ParquetFile(shard.table) as file:
        # what no threshold changes: a shard has it as bits, a ledger as names
        fixed = "fixed" if "fixed" in file.schema_arrow.names else "reasons"
        judged = () if shard.thresholds is None else ("scores", fixed)
        for batch in file.iter_batches(READ_DOCUMENTS, columns=[*wanted, *judged]):
            rows = slice(start, start := start + len(batch))
            for name, values in _figures(batch, shard).items():
                targets[name][rows] = values
            signatures = signature_bytes(batch["signature"])
            targets["signatures"][rows] = signatures
            by_band = signatures.reshape(len(batch), columns.band_count, -1)
            targets["bands"][:, rows] = by_band.transpose(1, 0, 2)
    for target in targets.values():
        target.flush()
    write_json(mark, start)


def _figures(batch: pa.RecordBatch, shard: Shard) -> dict[str, npt.NDArray[Any]]:
    thresholds = shard.thresholds
    return {
        "hash": batch["hash"].to_numpy(),
        "id_hash": hash_strings(batch["id"]),
        "characters": np.minimum(batch["characters"].to_numpy(), 2**32 - 1),
        "quality": batch["quality"].to_numpy(),
        "reason": batch["reason"].to_numpy() if thresholds is None else judge_again(batch, thresholds),
        "group": group_numbers(batch["group"], shard.groups),
        "high_source": is_high_source(batch["source"], shard.high_sources),
    }


def group_numbers(groups: pa.Array, names: Sequence[str]) -> npt.NDArray[np.uint8]:
    """The place of each group in `names`."""
    encoded = groups.dictionary_encode()
    places = np.array([names.index(name) for name in encoded.dictionary.to_pylist()], np.uint8)
    numbers: npt.NDArray[np.uint8] = places[encoded.indices.to_numpy()]
    return numbers


def signature_bytes(signatures: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """A column of signatures as (n, permutations) bytes."""
    width = signatures.type.byte_width
    data: npt.NDArray[np.uint8] = np.frombuffer(signatures.buffers()[1], np.uint8)
    start, end = signatures.offset * width, (signatures.offset + len(signatures)) * width
    rows: npt.NDArray[np.uint8] = data[start:end].reshape(-1, width)
    return rows


def signature_column(signatures: npt.NDArray[np.uint8]) -> pa.FixedSizeBinaryArray:
    """(n, permutations) bytes as a column of signatures."""
    data = pa.py_buffer(np.ascontiguousarray(signatures))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(signatures.shape[1]), len(signatures), [None, data])
