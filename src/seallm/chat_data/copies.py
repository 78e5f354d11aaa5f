"""Checked conversations in, those that are copies of others or of a benchmark's text out.

Copies are found across all sources at once, by the corpus stage's search: the same characters, or enough shingles in
common. Digits do not count there, so of near duplicates those are kept whose numbers differ: `12 x 7` and `12 x 9` are
two tasks. Nor are those copies whose prompts differ: one refusal may answer many requests. Of a cluster the longest
stays, then the one whose key is smallest, so files may come in any order.

Benchmarks are looked for as in the corpus: what counts is how much of one test's text a conversation covers, and
windows of many conversations are phrases (`decontaminate`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.files import atomic_writer, read_json, write_json
from seallm.base.runtime import Runtime
from seallm.base.shards import map_shards
from seallm.chat_data.checking import BANDS, PERMUTATIONS, PROMPT_PERMUTATIONS, spoken_texts
from seallm.corpus.benchmark_files import read_passages
from seallm.corpus.columns import Columns, signature_bytes
from seallm.corpus.decontaminate import (
    BenchmarkIndex,
    count_documents,
    describe_leaks,
    find_leaks,
    load_index,
    make_index,
    mark_common,
    save_index,
)
from seallm.corpus.duplicates import find_duplicates, least_equal_bytes

BENCHMARK, EXACT, NEAR = "benchmark", "exact_duplicate", "near_duplicate"
PROMPT_SIMILARITY = 0.6  # share of words in common from which two prompts ask the same
_KEY_DIGITS = 16  # hexadecimal digits of 64 bits


@dataclass(frozen=True)
class Copies:
    """One row a conversation.

    Attributes:
        exact: a copy, but for white space, (n,).
        near: nearly a copy, with the same numbers and nearly the same prompts, (n,).
        of: row of the conversation that it resembles and that comes before it; its own where there is none, (n,).
    """

    exact: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]
    of: npt.NDArray[np.int64]


def key_numbers(keys: Sequence[str]) -> npt.NDArray[np.uint64]:
    """The first 64 bits of each key, (n,)."""
    return np.array([int(key[:_KEY_DIGITS], 16) for key in keys], np.uint64)


def find_copies(
    figures: pa.Table,
    keys: npt.NDArray[np.uint64],
    is_open: npt.NDArray[np.bool_],
    similarity: float,
    work: Path,
    runtime: Runtime,
) -> Copies:
    """Find copies among the conversations that no rule has dropped.

    Args:
        figures: of all conversations, as `check_table` returns them.
        keys: `key_numbers` of them, (n,).
        is_open: no rule has dropped it, (n,).
        similarity: estimated share of shingles in common that makes a copy.
        work: folder for intermediate files.
        runtime: `workers` processes search.
    """
    columns = Columns(work / "columns", (0, len(figures)), PERMUTATIONS, BANDS)
    columns.create()
    signatures = signature_bytes(figures["signature"].combine_chunks())
    values = {
        "hash": figures["hash"].to_numpy(),
        "final_id_hash": keys,
        "characters": np.minimum(figures["characters"].to_numpy(), 2**32 - 1),
        "reason": ~is_open,
        "signatures": signatures,
        "bands": signatures.reshape(len(figures), BANDS, -1).transpose(1, 0, 2),
    }
    for name, column in values.items():
        columns.save(name, column)
    found = find_duplicates(columns, similarity, work, runtime)
    of = found.representatives.astype(np.int64)
    alike = _Alike(
        signatures,
        signature_bytes(figures["prompt_signature"].combine_chunks()),
        figures["numbers"].to_numpy(),
        similarity,
    )
    near = np.zeros(len(figures), np.bool_)
    candidates = np.flatnonzero(found.near & ~found.exact)
    order = np.lexsort((keys[candidates], -values["characters"][candidates].astype(np.int64), of[candidates]))
    for cluster in np.split(candidates[order], np.flatnonzero(np.diff(of[candidates[order]])) + 1):
        _keep_different(cluster, alike, near, of)
    return Copies(found.exact, near, of)


@dataclass(frozen=True)
class _Alike:
    """What tells whether two conversations of a cluster are one task: texts, prompts and numbers."""

    texts: npt.NDArray[np.uint8]
    prompts: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.uint64]
    similarity: float

    def to(self, row: int, others: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Which of the others a row is nearly a copy of; the first is known to have nearly its text."""
        least_text = least_equal_bytes(PERMUTATIONS, self.similarity)
        least_prompt = least_equal_bytes(PROMPT_PERMUTATIONS, PROMPT_SIMILARITY)
        is_text = (self.texts[others] == self.texts[row]).sum(axis=1) >= least_text
        is_text[0] = True
        is_prompt = (self.prompts[others] == self.prompts[row]).sum(axis=1) >= least_prompt
        found: npt.NDArray[np.bool_] = is_text & is_prompt & (self.numbers[others] == self.numbers[row])
        return found


def _keep_different(
    cluster: npt.NDArray[np.int64], alike: _Alike, near: npt.NDArray[np.bool_], of: npt.NDArray[np.int64]
) -> None:
    """Mark the members of a cluster that are nearly copies of its first or of one that is kept before them.

    Args:
        cluster: rows with one representative in `of`, in the order they are preferred in.
        alike: compares them.
        near: marked here.
        of: what each resembles, changed where that is not the representative.
    """
    kept = [int(of[cluster[0]])] if len(cluster) else []
    for row in cluster.tolist():
        matches = np.flatnonzero(alike.to(row, kept))
        if len(matches):
            near[row], of[row] = True, kept[int(matches[0])]
        else:
            of[row] = row
            kept.append(row)


@dataclass(frozen=True)
class LeakJob:
    """A table of conversations and the file of the benchmarks' windows; it is sent to the worker that looks."""

    table: Path
    index: Path
    share: float


def index_benchmarks(files: Sequence[tuple[Path, str]], fields: Sequence[str], path: Path) -> None:
    """Write the windows of these benchmarks (files and their names) to `path`, unless they are there."""
    if not path.exists():
        save_index(make_index([p for file, name in files for p in read_passages(file, name, fields)]), path)


def find_leaking(
    tables: Sequence[Path], index: Path, share: float, work: Path, runtime: Runtime
) -> tuple[list[list[dict[str, object]]], BenchmarkIndex]:
    """Find passages of benchmarks.

    Returns:
        For each table the passages in it (benchmark, its row, and the conversation's row as `id`), and the index with
        the windows marked that are common in the tables.
    """
    jobs = [LeakJob(table, index, share) for table in tables]
    counts = [work / f"windows.{number:05d}.npy" for number in range(len(jobs))]
    map_shards(_count_windows, jobs, counts, "benchmark phrases", runtime)
    marked = work / "benchmarks.marked.npz"
    if not marked.exists():
        found = load_index(index)
        total = sum((np.load(path) for path in counts), np.zeros(len(found.table.hashes), np.int64))
        save_index(mark_common(found, total), marked)
    results = [work / f"leaks.{number:05d}.json" for number in range(len(jobs))]
    map_shards(_find_leaks, [LeakJob(t, marked, share) for t in tables], results, "benchmark copies", runtime)
    return [read_json(path) for path in results], load_index(marked)


def _count_windows(job: LeakJob, result: Path) -> None:
    counts = count_documents(spoken_texts(pq.read_table(job.table)), load_index(job.index))
    with atomic_writer(result) as file:
        np.save(file, counts, allow_pickle=False)


def _find_leaks(job: LeakJob, result: Path) -> None:
    texts, index = spoken_texts(pq.read_table(job.table)), load_index(job.index)
    found = find_leaks(texts, index, job.share)
    write_json(result, describe_leaks(texts, [str(number) for number in range(len(texts))], found, index))
