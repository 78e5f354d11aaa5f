"""The figures of all shards in, the fate of each document out: duplicate, held out, high or low.

Only what later decisions need is read here, a hundred-odd bytes a document; texts stay in the shards. Documents get
their final id (one that was used before gets a number), and all choices follow from ids, scores and settings, not from
the order of files or the number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seallm.base.files import atomic_writer
from seallm.corpus.duplicates import find_duplicates
from seallm.corpus.hashing import hash_strings
from seallm.corpus.layout import EXACT_DUPLICATE, HELD_OUT, HIGH, LOW, NEAR_DUPLICATE, documents_of
from seallm.corpus.tiers import high_tier, is_high_source
from seallm.recipe import Corpus

_COLUMNS = ("id", "group", "source", "reason", "quality", "characters", "hash", "bands")


@dataclass(frozen=True)
class Ledger:
    """All documents of a run, in the order of shards and rows; (n,) each.

    Attributes:
        shards: number of the shard a document lies in.
        rows: its place among the rows of its group in that shard.
        groups: its language, or `unknown`.
        bands: (n, bands) MinHash band keys.
    """

    ids: pa.Array
    sources: pa.Array
    shards: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    reasons: npt.NDArray[np.int8]
    quality: npt.NDArray[np.float32]
    characters: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    bands: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Decisions:
    """The fate of each document, in the ledger's order; `order` lists documents by id."""

    fates: npt.NDArray[np.int8]
    reasons: npt.NDArray[np.int8]
    cluster_sizes: npt.NDArray[np.int32]
    order: npt.NDArray[np.int64]


def read_ledger(results: Sequence[Path]) -> Ledger:
    """Read the figures of all shards."""
    tables = [pq.read_table(documents_of(result), columns=list(_COLUMNS)) for result in results]
    table = pa.concat_tables(tables).combine_chunks()
    groups = np.array(table["group"].to_pylist(), dtype="U16")
    shards = np.repeat(np.arange(len(tables), dtype=np.int32), [len(t) for t in tables])
    bands = pc.list_flatten(table["bands"]).to_numpy().reshape(len(table), -1)
    return Ledger(
        ids=_unique_ids(table["id"]),
        sources=table["source"].combine_chunks(),
        shards=shards,
        rows=_rows_in_group(shards, groups),
        groups=groups,
        reasons=table["reason"].to_numpy(),
        quality=table["quality"].to_numpy(),
        characters=table["characters"].to_numpy(),
        hashes=table["hash"].to_numpy(),
        bands=bands,
    )


def _rows_in_group(shards: npt.NDArray[np.int32], groups: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    rows = np.zeros(len(groups), np.int64)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        starts = np.searchsorted(shards[members], shards[members], side="left")
        rows[members] = np.arange(len(members)) - starts
    return rows


def _unique_ids(ids: pa.ChunkedArray) -> pa.Array:
    """The ids; the second document of the same id gets `#2` at its end, and so on."""
    encoded = ids.combine_chunks().dictionary_encode()
    numbers = encoded.indices.to_numpy()
    repeated = np.flatnonzero(np.bincount(numbers)[numbers] > 1) if len(ids) else np.zeros(0, np.int64)
    if not len(repeated):
        return ids.combine_chunks()
    values, taken = ids.to_pylist(), set(encoded.dictionary.to_pylist())
    last: dict[str, int] = {}
    for row in repeated:
        name = values[row]
        last[name] = last.get(name, 0) + 1
        while last[name] > 1 and f"{name}#{last[name]}" in taken:
            last[name] += 1
        if last[name] > 1:
            values[row] = f"{name}#{last[name]}"
            taken.add(values[row])
    return pa.array(values, pa.string())


def decide(ledger: Ledger, settings: Corpus) -> Decisions:
    """Find duplicates among the documents that no rule dropped, then part the rest into held out, high and low."""
    n = len(ledger.ids)
    order = pc.sort_indices(ledger.ids).to_numpy().astype(np.int64)
    id_ranks = np.empty(n, np.int64)
    id_ranks[order] = np.arange(n)
    reasons, sizes = ledger.reasons.copy(), np.ones(n, np.int32)
    kept = np.flatnonzero(reasons == 0)
    best_first = np.lexsort((id_ranks[kept], -ledger.characters[kept]))
    ranks = np.empty(len(kept), np.int64)
    ranks[best_first] = np.arange(len(kept))
    duplicates = find_duplicates(ledger.hashes[kept], ledger.bands[kept], ranks)
    reasons[kept[duplicates.exact]] = EXACT_DUPLICATE
    reasons[kept[duplicates.near]] = NEAR_DUPLICATE
    sizes[kept] = np.maximum(duplicates.cluster_sizes, 1)
    fates = np.zeros(n, np.int8)
    draws = hash_strings(ledger.ids)
    from_high_source = is_high_source(ledger.sources, settings.high_sources)
    for group in np.unique(ledger.groups[reasons == 0]):
        members = order[(ledger.groups[order] == group) & (reasons[order] == 0)]
        held_out = _hold_out(draws[members], settings.held_out_share)
        fates[members[held_out]] = HELD_OUT
        rest = members[~held_out]
        high = high_tier(ledger.quality[rest], from_high_source[rest], settings.high_share)
        fates[rest] = np.where(high, HIGH, LOW)
    return Decisions(fates, reasons, sizes, order)


def _hold_out(draws: npt.NDArray[np.uint64], share: float) -> npt.NDArray[np.bool_]:
    """Those whose id's hash falls below the share; one at least where there are two, or nothing can be measured."""
    chosen = draws.astype(np.float64) < share * 2.0**64
    if share > 0 and len(draws) > 1 and not chosen.any():
        chosen[draws.argmin()] = True
    return chosen


def save_fates(path: Path, group: str, ledger: Ledger, decisions: Decisions) -> None:
    """Write where each document of a group lies and what becomes of it, in the order of ids."""
    mine = decisions.order[ledger.groups[decisions.order] == group]
    columns = {
        "id": ledger.ids.take(pa.array(mine)),
        "shard": ledger.shards[mine],
        "row": ledger.rows[mine],
        "fate": decisions.fates[mine],
        "reason": decisions.reasons[mine],
        "cluster_size": decisions.cluster_sizes[mine],
    }
    with atomic_writer(path) as file:
        pq.write_table(pa.table(columns), file)
