"""Hashes and MinHash signatures of all documents in, the document that each stands behind out.

Exact duplicates share the hash of their characters. Near duplicates are found in three steps. *Candidates* share a
band of their signatures (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4). *Pairs* are candidates that
agree in enough of the whole signature: one byte of each permutation is kept, so that unlike ones agree by chance in 1
of 256, and the estimate of the Jaccard similarity is corrected for that (Li and Koenig 2010, b-bit minwise hashing).
*Clusters* are joined pairs, but a document is dropped only if it resembles the one that stays: a chain of small changes
does not join its ends. There the threshold is lower, since two copies of one original differ more from each other than
each from it: where both share 80 % of their shingles with it, they share 60 % or more (Jaccard distance is a metric).

Of a cluster the longest document stays, then the one of the higher quality score, then the one of the smaller hash of
its id. It remembers how many documents it stands for. Memory: 4 bytes a document to join pairs, 10 for the result, and
one part of the keys in each worker (`partitions`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seallm.base.kernels import kernel
from seallm.base.runtime import Runtime
from seallm.base.shards import map_shards
from seallm.corpus.columns import Columns
from seallm.corpus.partitions import (
    Keys,
    Numbers,
    group_starts,
    part_count,
    part_documents,
    save_array,
    shared_keys,
)

NEAR_SIMILARITY = 0.7  # of 126 bytes, documents that share 80 % of their shingles miss it in 3 of 1,000 cases
SLACK = 1.5  # how much further from the one that stays a document may be than from its pair: 0.55 for 0.7
MOST_LEADERS = 16  # documents of a band's bucket that the others are compared with
MOST_KEPT = 1_024  # documents of a cluster that the others are compared with
CHANCE = 1 / 256  # share of bytes that agree in unlike documents
KEY_BYTES = 8  # most rows of a band, which are the bytes of a key


@dataclass(frozen=True)
class Duplicates:
    """One row a document.

    Attributes:
        exact: True for a copy of another document, which itself may be a near duplicate of a third.
        near: True for a document that stands behind another one with different text.
        representatives: the document that it stands behind; itself where it stays or was dropped before.
        cluster_sizes: documents that a kept one stands for, itself included; 0 for duplicates.
    """

    exact: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]
    representatives: Numbers
    cluster_sizes: npt.NDArray[np.int32]


@dataclass(frozen=True)
class _Part:
    """Band -1 stands for the hash of the whole text."""

    columns: Columns
    chosen: Path
    band: int
    part: int
    parts: int
    least_equal: int


def compact(signatures: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """One byte of each permutation's minimum: the high byte of a product that all its bits move."""
    return ((signatures * np.uint32(0x9E3779B1)) >> np.uint32(24)).astype(np.uint8)


def least_equal_bytes(permutations: int, similarity: float) -> int:
    """Bytes of two signatures that must agree for an estimated Jaccard similarity of at least `similarity`."""
    return int(np.ceil(permutations * (similarity + (1 - similarity) * CHANCE) - 1e-9))


def estimated_similarity(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """Jaccard similarity of two texts' shingles, from their compact signatures; its standard error is at most 0.05."""
    return max(0.0, (float(np.mean(first == second)) - CHANCE) / (1 - CHANCE))


def find_duplicates(columns: Columns, similarity: float, work: Path, runtime: Runtime) -> Duplicates:
    """Find exact and near duplicates among the documents that no rule dropped.

    Args:
        columns: with all figures and final ids.
        similarity: estimated Jaccard similarity from which two documents are near duplicates.
        work: folder for intermediate files; what is there already is not computed again.
        runtime: `workers` processes search.
    """
    total, chosen = columns.total, work / "chosen.npy"
    alive = columns.read("reason") == 0
    save_array(chosen, alive)
    representatives = np.arange(total, dtype=np.uint32)
    parts = [_Part(columns, chosen, -1, part, part_count(total), 0) for part in range(part_count(total))]
    for path in _search(_find_exact, parts, work, "exact duplicates", runtime):
        pairs = np.load(path)
        representatives[pairs[:, 0]] = pairs[:, 1]
    exact = representatives != np.arange(total, dtype=np.uint32)
    alive &= ~exact
    save_array(work / "distinct.npy", alive)
    count = part_count(int(alive.sum()))
    least = least_equal_bytes(columns.permutations, similarity)
    parts = [
        _Part(columns, work / "distinct.npy", band, part, count, least)
        for band in range(columns.band_count)
        for part in range(count)
    ]
    least_with_kept = least_equal_bytes(columns.permutations, 1 - SLACK * (1 - similarity))
    near_of = _cluster(columns, _search(_find_near, parts, work, "near duplicates", runtime), least_with_kept)
    near = near_of != np.arange(total, dtype=np.uint32)
    representatives = near_of[representatives]
    sizes = np.bincount(representatives, minlength=total).astype(np.int32)
    return Duplicates(exact, near, representatives, sizes)


def _search(
    function: Callable[[_Part, Path], None], parts: list[_Part], work: Path, title: str, runtime: Runtime
) -> list[Path]:
    kinds = ["exact" if part.band < 0 else f"near.{part.band:02d}" for part in parts]
    results = [work / f"pairs.{kind}.{part.part:03d}.npy" for kind, part in zip(kinds, parts, strict=True)]
    map_shards(function, parts, results, title, runtime)
    return results


def _find_exact(job: _Part, result: Path) -> None:
    """Write (copy, the best of its copies)."""
    hashes = job.columns.read("hash")
    chosen = np.load(job.chosen, mmap_mode="r")
    found = part_documents(job.columns.total, lambda rows: hashes[rows], chosen, job.part, job.parts)
    numbers, keys = _best_first(job.columns, *shared_keys(*found))
    best = numbers[group_starts(keys)]
    save_array(result, np.stack([numbers, best], axis=1)[numbers != best])


def _find_near(job: _Part, result: Path) -> None:
    """Write (document, a better one that it agrees with), among those that share this band."""
    columns = job.columns
    band = columns.read("bands")[job.band]
    chosen = np.load(job.chosen, mmap_mode="r")
    found = part_documents(columns.total, lambda rows: band_keys(band[rows]), chosen, job.part, job.parts)
    numbers, keys = _best_first(columns, *shared_keys(*found))
    leaders = numbers.copy()
    _follow(keys, numbers, columns.read("signatures"), job.least_equal, MOST_LEADERS, leaders)
    save_array(result, np.stack([numbers, leaders], axis=1)[numbers != leaders])


def band_keys(band: npt.NDArray[np.uint8]) -> Keys:
    """The bytes of a band (n, rows) as one number each; different bands have different bytes."""
    padded = np.zeros((len(band), KEY_BYTES), np.uint8)
    padded[:, : band.shape[1]] = band
    return padded.view(np.uint64)[:, 0]


def _best_first(columns: Columns, numbers: Numbers, keys: Keys) -> tuple[Numbers, Keys]:
    """Sort by key, and within a key by what stays first."""
    figures = (columns.read(name)[numbers] for name in ("final_id_hash", "quality", "characters"))
    ids, quality, characters = figures
    order = np.lexsort((ids, -quality, -characters.astype(np.int64), keys))
    return numbers[order], keys[order]


@kernel
def agree(signatures: npt.NDArray[np.uint8], first: int, second: int, least_equal: int) -> bool:
    """True where the compact signatures (n, permutations) of two texts have at least so many equal bytes."""
    equal = 0
    for place in range(signatures.shape[1]):
        equal += signatures[first, place] == signatures[second, place]
    return equal >= least_equal


@kernel
def _follow(
    keys: Keys,
    numbers: Numbers,
    signatures: npt.NDArray[np.uint8],
    least_equal: int,
    most_leaders: int,
    leaders: Numbers,
) -> None:
    """Give each document the first leader of its key that it agrees with; one that finds none becomes a leader."""
    own, count = np.empty(most_leaders, np.uint32), 0
    for i in range(numbers.shape[0]):
        if i == 0 or keys[i] != keys[i - 1]:
            count = 0
        for j in range(count):
            if agree(signatures, numbers[i], own[j], least_equal):
                leaders[i] = own[j]
                break
        if leaders[i] == numbers[i] and count < most_leaders:
            own[count] = numbers[i]
            count += 1


@kernel
def _find_root(parents: Numbers, member: np.uint32) -> np.uint32:
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member


@kernel
def _join(pairs: Numbers, parents: Numbers) -> None:
    for i in range(pairs.shape[0]):
        first, second = _find_root(parents, pairs[i, 0]), _find_root(parents, pairs[i, 1])
        parents[max(first, second)] = min(first, second)


@kernel
def _find_roots(parents: Numbers) -> None:
    for member in range(parents.shape[0]):
        parents[member] = _find_root(parents, np.uint32(member))


def _cluster(columns: Columns, pair_files: list[Path], least_equal: int) -> Numbers:
    """The document that each near duplicate stands behind; itself for the others."""
    representatives = np.arange(columns.total, dtype=np.uint32)
    parents = representatives.copy()
    for path in pair_files:
        _join(np.load(path), parents)
    _find_roots(parents)
    joined = parents != representatives
    joined[parents[joined]] = True
    members = np.flatnonzero(joined).astype(np.uint32)
    members, roots = _best_first(columns, members, parents[members].astype(np.uint64))
    del parents
    leaders = members.copy()
    _follow(roots, members, columns.read("signatures"), least_equal, MOST_KEPT, leaders)
    representatives[members] = leaders
    return representatives
