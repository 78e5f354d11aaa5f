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
from seallm.base.kernels import kernel
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
from seallm.corpus.duplicates import agree, find_duplicates, least_equal_bytes

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
    near = np.zeros(len(figures), np.bool_)
    candidates = np.flatnonzero(found.near & ~found.exact)
    order = np.lexsort((keys[candidates], -values["characters"][candidates].astype(np.int64), of[candidates]))
    _mark_near(
        candidates[order],
        signatures,
        signature_bytes(figures["prompt_signature"].combine_chunks()),
        figures["numbers"].to_numpy(),
        (least_equal_bytes(PERMUTATIONS, similarity), least_equal_bytes(PROMPT_PERMUTATIONS, PROMPT_SIMILARITY)),
        near,
        of,
    )
    return Copies(found.exact, near, of)


@kernel
def _mark_near(
    candidates: npt.NDArray[np.int64],
    texts: npt.NDArray[np.uint8],
    prompts: npt.NDArray[np.uint8],
    numbers: npt.NDArray[np.uint64],
    least_equal: tuple[int, int],
    near: npt.NDArray[np.bool_],
    of: npt.NDArray[np.int64],
) -> None:
    """Mark the members of clusters that are nearly copies of their representative or of a member kept before them.

    Args:
        candidates: rows, cluster by cluster, each in the order its members are preferred in, (m,).
        texts: compact signatures of whole conversations, (n, PERMUTATIONS).
        prompts: of their prompts, (n, PROMPT_PERMUTATIONS).
        numbers: hashes of their digits, (n,).
        least_equal: bytes of two signatures that agree where texts are copies, and where prompts are.
        near: marked here, (n,).
        of: representative of each row, (n,); what it resembles instead, or itself, where that is another.
    """
    kept, count, representative = np.empty(candidates.shape[0] + 1, np.int64), 0, np.int64(-1)
    for row in candidates:
        if of[row] != representative:
            representative = of[row]
            kept[0], count = representative, 1
        for j in range(count):
            other = kept[j]
            if numbers[row] != numbers[other] or not agree(prompts, row, other, least_equal[1]):
                continue
            if j == 0 or agree(
                texts, row, other, least_equal[0]
            ):  # the representative has nearly its text, that is known
                near[row], of[row] = True, other
                break
        if not near[row]:
            of[row] = row
            kept[count] = row
            count += 1


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
