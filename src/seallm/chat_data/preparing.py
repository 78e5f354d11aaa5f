"""Source files in, checked conversations out: import each file, check each table, then look for copies across all.

Work over files runs in `workers` processes, and each file's result is written once, whole: a killed run continues where
it stopped. Nothing depends on the order of files or rows but the order of the quarantine, which is that of the files.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import atomic_writer, read_json, write_json_lines
from seallm.base.places import place_size
from seallm.base.runtime import Runtime
from seallm.base.shards import map_shards
from seallm.chat_data.checking import FIGURES_SCHEMA, LANGUAGE, check_table
from seallm.chat_data.conversation_table import LABELS
from seallm.chat_data.copies import (
    BENCHMARK,
    EXACT,
    NEAR,
    Copies,
    find_copies,
    find_leaking,
    index_benchmarks,
    key_numbers,
)
from seallm.chat_data.importing import SourceFile, import_file
from seallm.chat_data.preference_checks import check_preferences
from seallm.recipe_instructions import InstructionChecks, Instructions

PRELOAD = "seallm.chat_data.checking"
_GROUPS_AT_ONCE = 8  # row groups of 2,000 conversations
_TABLE_COLUMNS = ("where", "key", *(name for name in LABELS if name != "category"))
_FIGURES_SCHEMA = pa.schema([*(pa.field(name, pa.string()) for name in _TABLE_COLUMNS), *FIGURES_SCHEMA])
QUARANTINE = "quarantine.jsonl"


@dataclass(frozen=True)
class Prepared:
    """All conversations that could be read, and what was found of them; one row each in the order of tables.

    Attributes:
        tables: files of the conversations, as `importing` writes them.
        figures: FIGURES_SCHEMA with the labels and `where`, (n,).
        keys: hash of words and labels, (n,).
        reasons: why it is dropped; empty where it stays, (n,).
        details: the figure that dropped it, (n,).
        counts: rows read, bad, repaired; for the manifest.
    """

    tables: Sequence[Path]
    figures: pa.Table
    keys: npt.NDArray[np.uint64]
    reasons: npt.NDArray[np.object_]
    details: npt.NDArray[np.object_]
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _CheckJob:
    """A part of a table and how it is checked; it is sent to the worker that does so."""

    table: Path
    groups: range  # row groups of the table
    checks: InstructionChecks
    languages: tuple[str, ...]


def import_all(
    files: Sequence[SourceFile], quarantine: Path, work: Path, max_bad_share: float, runtime: Runtime
) -> tuple[list[Path], dict[str, Any]]:
    """Import every file.

    Args:
        files: the sources.
        quarantine: file to write with the bad rows.
        work: folder for intermediate files.
        max_bad_share: of all rows that may be unreadable.
        runtime: `workers` processes.

    Returns:
        The tables of conversations, beside each a file of preferences (`preference_files`), and counts.

    Raises:
        DataError: too many rows cannot be read, or there is none.
    """
    results = [work / f"{number:05d}.json" for number in range(len(files))]
    order = sorted(range(len(files)), key=lambda i: (-place_size(files[i].place), i))  # the largest first
    jobs = [files[i] for i in order]
    map_shards(import_file, jobs, [results[i] for i in order], "importing", runtime, runtime.engine, PRELOAD)
    summaries = [read_json(result) for result in results]
    bad = [row for summary in summaries for row in summary["quarantine"]]
    write_json_lines(quarantine, bad)
    counts = {
        "conversations": sum(summary["conversations"] for summary in summaries),
        "preferences": sum(summary["preferences"] for summary in summaries),
        "quarantined": len(bad),
        "repaired_texts": sum(summary["repaired"] for summary in summaries),
        "formats": dict(sorted(sum((Counter(s["formats"]) for s in summaries), Counter[str]()).items())),
    }
    _check_readable(counts, bad, max_bad_share, quarantine)
    return [result.with_suffix(".parquet") for result in results], counts


def preference_files(tables: Sequence[Path]) -> list[Path]:
    """The files of preferences beside these tables."""
    return [table.with_suffix(".preferences.jsonl") for table in tables]


def _check_readable(counts: dict[str, Any], quarantine: Sequence[dict[str, Any]], most: float, path: Path) -> None:
    good, bad = counts["conversations"] + counts["preferences"], len(quarantine)
    if bad <= most * (good + bad) and good:
        return
    if not good + bad:
        raise DataError("The files named hold no rows at all. Check the paths, and that they are not empty")
    kinds = Counter(row["reason"].split(" (")[0].split("; ")[0].split(", found")[0] for row in quarantine)
    reasons = "; ".join(f"{number:,} x {reason}" for reason, number in kinds.most_common(3))
    first = f" The first: {quarantine[0]['where']}." if quarantine else ""
    raise DataError(
        f"{bad:,} of {good + bad:,} rows cannot be read, more than the share of {most:g} that is allowed: {reasons}."
        f"{first} All of them, with their reasons, are in {path}. Mend them, name their format or columns, or raise "
        "max_bad_share"
    )


def prepare(
    files: Sequence[SourceFile],
    settings: Instructions,
    benchmarks: Sequence[tuple[Path, str]],
    languages: tuple[str, ...],
    out: Path,
    work: Path,
    runtime: Runtime,
) -> Prepared:
    """Import and check.

    Args:
        files: the sources.
        settings: thresholds of the checks, and the share of rows that may be unreadable.
        benchmarks: files of tests and their names.
        languages: codes that are wanted.
        out: gets quarantine.jsonl, preferences.jsonl and preferences_dropped.jsonl.
        work: folder for intermediate files; what is finished there is not done again.
        runtime: `workers` processes.

    Raises:
        DataError: too many rows cannot be read, or there is no conversation.
    """
    checks = settings.checks
    most = settings.max_bad_share
    tables, counts = import_all(files, out / QUARANTINE, work, most, runtime)
    jobs = [_CheckJob(table, groups, checks, languages) for table in tables for groups in _parts_of(table)]
    results = [job.table.with_suffix(f".figures.{job.groups.start:06d}.parquet") for job in jobs]
    map_shards(_check, jobs, results, "checking", runtime, runtime.engine, PRELOAD)
    found = [pq.read_table(result) for result in results]
    figures = pa.concat_tables([_FIGURES_SCHEMA.empty_table(), *found]).combine_chunks()
    keys = key_numbers(figures["key"].to_pylist())
    reasons, details = (np.array(figures[name].to_pylist(), object) for name in ("reason", "detail"))
    index = None
    if benchmarks:
        index_benchmarks(benchmarks, checks.benchmark_fields, work / "benchmarks.npz")
        leaks, index = find_leaking(tables, work / "benchmarks.npz", checks.benchmark_share, work, runtime)
        _drop_leaking(leaks, [len(pq.ParquetFile(t).read(["key"])) for t in tables], reasons, details)
    if len(figures):
        copies = find_copies(figures, keys, reasons == "", checks.near_duplicate_similarity, work, runtime)
        _drop_copies(copies, figures["where"].to_pylist(), reasons, details)
    counts["checked_preferences"] = check_preferences(preference_files(tables), out, checks, languages, index)
    return Prepared(tables, figures, keys, reasons, details, counts)


def _drop_leaking(
    leaks: Sequence[Sequence[dict[str, Any]]],
    sizes: Sequence[int],
    reasons: npt.NDArray[np.object_],
    details: npt.NDArray[np.object_],
) -> None:
    start = 0
    for found, size in zip(leaks, sizes, strict=True):
        for leak in found:
            row = start + int(leak["id"])
            if not reasons[row]:
                reasons[row] = BENCHMARK
                details[row] = f"{leak['benchmark']}, row {leak['row']}, {leak['share']:.0%} of it"
        start += size


def _drop_copies(
    copies: Copies,
    places: Sequence[str],
    reasons: npt.NDArray[np.object_],
    details: npt.NDArray[np.object_],
) -> None:
    for is_copy, reason in ((copies.exact, EXACT), (copies.near, NEAR)):
        for row in np.flatnonzero(is_copy).tolist():
            reasons[row], details[row] = reason, f"of {places[copies.of[row]]}"


def _parts_of(table: Path) -> list[range]:
    """The row groups of a table in parts that are checked apart, so that one large file keeps several workers busy."""
    count = pq.ParquetFile(table).num_row_groups
    return [range(start, min(start + _GROUPS_AT_ONCE, count)) for start in range(0, count, _GROUPS_AT_ONCE)]


def _check(job: _CheckJob, result: Path) -> None:
    schema = _FIGURES_SCHEMA
    with atomic_writer(result) as out, pq.ParquetWriter(out, schema) as writer, pq.ParquetFile(job.table) as file:
        for group in job.groups:
            table = file.read_row_group(group)
            found = check_table(table, job.checks, job.languages)
            columns = {name: table[name] for name in _TABLE_COLUMNS} | {
                name: found[name] for name in FIGURES_SCHEMA.names
            }
            writer.write_table(pa.table([columns[name] for name in schema.names], schema=schema))


def dropped_counts(prepared: Prepared) -> dict[str, int]:
    """Conversations dropped for each reason, the most frequent first."""
    counts = Counter(reason for reason in prepared.reasons.tolist() if reason)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def of_other_languages(prepared: Prepared) -> dict[str, int]:
    """How many conversations there are in each language that is not wanted."""
    codes = np.array(prepared.figures["language"].to_pylist(), object)[prepared.reasons == LANGUAGE]
    return dict(Counter(sorted(codes.tolist())))
