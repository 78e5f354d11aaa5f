"""The stream at scale: rows a second, time to the first row after a resume, bytes of state.

One source of 100 million documents (lengths in a memory-mapped file, 800 MB) and nine smaller ones. A resume is a new
process's first look: new objects, one row of the step. The state of the stream is the number of the step.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.tables import print_table
from seallm.train.draws import random_generator
from seallm.train.shares import in_units
from seallm.train.sources import Documents, Source, num_groups
from seallm.train.stream import Part, TextStream

LARGE, SMALL = 100_000_000, 200_000
MEAN_TOKENS = 600
ROWS_A_STEP = 1_024
STEPS = (10, 1_000_000, 10_000_000)
CHUNK = 5_000_000
STATE_BYTES = 8  # the number of the step


def make_offsets(path: Path, documents: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write offsets of documents with lognormal lengths; return them memory-mapped, and the tokens of each group."""
    offsets = np.lib.format.open_memmap(path, "w+", np.int64, (documents + 1,))
    groups = np.zeros(num_groups(documents), np.int64)
    at = 0
    for start in range(0, documents, CHUNK):
        stop = min(start + CHUNK, documents)
        lengths = (random_generator(0, start).lognormal(5.6, 1.2, stop - start) + 3).astype(np.int64)
        offsets[start] = at
        offsets[start + 1 : stop + 1] = at + np.cumsum(lengths)
        at = int(offsets[stop])
        groups += np.bincount(np.arange(start, stop) % len(groups), lengths, len(groups)).astype(np.int64)
    offsets.flush()
    del offsets
    return np.load(path, mmap_mode="r"), groups


def make_stream(sources: Sequence[tuple[str, Documents]], row_tokens: int) -> TextStream:
    """A stream over sources of equal shares, as long as its last step needs."""
    units = in_units([1.0] * len(sources))
    parts = [Part(Source(name, own, 0), share) for (name, own), share in zip(sources, units, strict=True)]
    return TextStream("bench", parts, (max(STEPS) + 1) * ROWS_A_STEP, row_tokens, 0)


def plain_shuffle_seconds(offsets: NDArray[np.int64]) -> float:
    """What one permutation of all documents and its sums would cost, once an epoch and process."""
    started = time.perf_counter()
    order = random_generator(0, "all").permutation(len(offsets) - 1)
    lengths = np.diff(offsets)
    np.cumsum(lengths[order])
    return time.perf_counter() - started


def run(documents: int = LARGE) -> dict[str, Any]:
    """Measure, and print two tables."""
    with tempfile.TemporaryDirectory() as folder:
        large = Documents(*make_offsets(Path(folder) / "large.npy", documents))
        small = Documents(*make_offsets(Path(folder) / "small.npy", SMALL))
        sources = [("large", large), *((f"small {n}", small) for n in range(9))]
        results: dict[str, Any] = {"documents": documents + 9 * SMALL, "state bytes": STATE_BYTES}
        for row_tokens in (256, 1_024, 4_096):
            stream = make_stream(sources, row_tokens)
            started = time.perf_counter()
            rows = 4_096
            for number in range(rows):
                stream.row(number)
            results[f"rows a second, {row_tokens} tokens"] = rows / (time.perf_counter() - started)
        resumes = {}
        for step in STEPS:
            times = []
            for _ in range(5):
                stream = make_stream(sources, 4_096)
                started = time.perf_counter()
                stream.row(step * ROWS_A_STEP)
                times.append(time.perf_counter() - started)
            resumes[step] = {"first": times[0], "median of 5": float(np.median(times))}
        results["seconds to the first row of a step"] = resumes
        results["seconds of one permutation of all documents"] = plain_shuffle_seconds(large.offsets)
    _print(results)
    return results


def _print(results: dict[str, Any]) -> None:
    lines = [(name, f"{value:,.2f}") for name, value in results.items() if not isinstance(value, dict)]
    print_table(("", "value"), lines, "Stream of ten sources, one core")
    resumes = results["seconds to the first row of a step"]
    rows = [(f"{step:,}", *(f"{1000 * value:,.1f}" for value in found.values())) for step, found in resumes.items()]
    print_table(("step", "first, ms", "median of 5, ms"), rows, f"Resume: rows of 4,096, {ROWS_A_STEP:,} rows a step")
