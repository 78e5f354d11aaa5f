"""Hashes and MinHash bands of all documents in, the document that each stands behind out.

Exact duplicates share a hash of their characters; near duplicates share at least one band of their MinHash signature
(Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4), directly or through others. Of each cluster the longest
document stays, the one with the smallest id among equals, and remembers how many it stands for. The answer depends
neither on the order of the documents nor on how they were read.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seallm.base.kernels import kernel
from seallm.corpus.hashing import extend, mix


@dataclass(frozen=True)
class Duplicates:
    """One row a document.

    Attributes:
        exact: True for a copy of another document, which itself may be a near duplicate of a third.
        near: True for a document that stands behind another one with different text.
        cluster_sizes: documents that a kept one stands for, itself included; 0 for those that are not kept.
    """

    exact: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]
    cluster_sizes: npt.NDArray[np.int32]


@kernel
def _combine_bands(signatures: npt.NDArray[np.uint32], bands: npt.NDArray[np.uint64]) -> None:
    rows = signatures.shape[1] // bands.shape[1]
    for document in range(signatures.shape[0]):
        for band in range(bands.shape[1]):
            value = np.uint64(band)
            for row in range(band * rows, (band + 1) * rows):
                value = extend(value, np.uint64(signatures[document, row]))
            bands[document, band] = mix(value)


def band_keys(signatures: npt.NDArray[np.uint32], bands: int) -> npt.NDArray[np.uint64]:
    """One 64-bit key for each band of each signature: (n, bands); keys of different bands do not meet."""
    keys = np.empty((len(signatures), bands), np.uint64)
    _combine_bands(signatures, keys)
    return keys


@kernel
def _find_root(parents: npt.NDArray[np.int64], member: int) -> int:
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member


@kernel
def _join_equal(order: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64], parents: npt.NDArray[np.int64]) -> None:
    """Join neighbours in `order` that have the same key."""
    for i in range(1, order.shape[0]):
        if keys[order[i]] == keys[order[i - 1]]:
            first, second = _find_root(parents, order[i]), _find_root(parents, order[i - 1])
            parents[max(first, second)] = min(first, second)


@kernel
def _find_roots(parents: npt.NDArray[np.int64]) -> None:
    for member in range(parents.shape[0]):
        parents[member] = _find_root(parents, member)


def find_duplicates(
    hashes: npt.NDArray[np.uint64], bands: npt.NDArray[np.uint64], ranks: npt.NDArray[np.int64]
) -> Duplicates:
    """Find exact and near duplicates.

    Args:
        hashes: (n,) of the characters.
        bands: (n, bands) keys of the signatures' bands.
        ranks: (n,) position of each document among all, the best first; of a cluster, the best stays.
    """
    order = np.argsort(ranks, kind="stable")
    # number documents by rank, so that the smallest member of a cluster is its best
    hashes, bands = hashes[order], bands[order]
    exact_parents, parents = np.arange(len(order)), np.arange(len(order))
    _join_equal(np.argsort(hashes, kind="stable"), hashes, exact_parents)
    _find_roots(exact_parents)
    parents[:] = exact_parents
    for band in range(bands.shape[1]):
        keys = np.ascontiguousarray(bands[:, band])
        _join_equal(np.argsort(keys, kind="stable"), keys, parents)
    _find_roots(parents)
    numbers = np.arange(len(order))
    exact, near = np.zeros(len(order), np.bool_), np.zeros(len(order), np.bool_)
    exact[order] = exact_parents != numbers
    near[order] = (exact_parents == numbers) & (parents != numbers)
    sizes = np.zeros(len(order), np.int32)
    sizes[order] = np.bincount(parents, minlength=len(order))
    return Duplicates(exact, near, sizes)
