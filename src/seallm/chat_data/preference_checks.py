"""Imported preferences in, those that can be trained on out: the better answer keeps to the rules of conversations.

The prompt with its better answer is checked as a conversation is, for all but near copies; the worse answer may be bad,
that is what it is for. A pair that was there before, both answers and all, goes too.
"""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from seallm.base.errors import DataError
from seallm.base.files import atomic_writer, read_json_lines
from seallm.base.records import Conversation, parse_preference
from seallm.chat_data.checking import check_table, spoken_texts
from seallm.chat_data.conversation_table import to_table
from seallm.chat_data.copies import BENCHMARK, EXACT
from seallm.corpus.decontaminate import BenchmarkIndex, find_leaks
from seallm.recipe_instructions import InstructionChecks

PREFERENCES, DROPPED_PREFERENCES = "preferences.jsonl", "preferences_dropped.jsonl"
WHERE = "where"  # file and row, in the rows of `importing`; not in what is kept
_BATCH = 2_000
_CONTENT = ("prompt", "chosen", "rejected")

Row = dict[str, Any]


def preference_rows(files: Sequence[Path]) -> Iterator[Row]:
    """The rows of files that `importing` wrote, with their place."""
    for path in files:
        for _, row in read_json_lines(path):
            if isinstance(row, DataError):
                raise row
            yield row


def without_place(row: Row) -> Row:
    """The row as it is trained on."""
    return {name: value for name, value in row.items() if name != WHERE}


def check_preferences(
    files: Sequence[Path],
    out: Path,
    checks: InstructionChecks,
    languages: tuple[str, ...],
    index: BenchmarkIndex | None,
) -> dict[str, int]:
    """Write preferences.jsonl and preferences_dropped.jsonl into `out`.

    Args:
        files: as `importing` wrote them.
        out: folder to write to.
        checks: thresholds.
        languages: codes that are wanted.
        index: windows of the benchmarks, the common ones marked; None without benchmarks.

    Returns:
        How many were kept, and dropped for each reason.
    """
    counts: Counter[str] = Counter()
    seen: set[bytes] = set()
    rows = preference_rows(files)
    with atomic_writer(out / PREFERENCES) as kept, atomic_writer(out / DROPPED_PREFERENCES) as dropped:
        while batch := list(itertools.islice(rows, _BATCH)):
            for row, (reason, detail) in zip(batch, _judge(batch, checks, languages, index), strict=True):
                digest = _digest(row)
                if not reason and digest in seen:
                    reason, detail = EXACT, "both answers and the prompt were there before"
                seen.add(digest)
                counts[reason or "kept"] += 1
                if reason:
                    _write(dropped, {"reason": reason, "detail": detail, **row})
                else:
                    _write(kept, without_place(row))
    return dict(sorted(counts.items()))


def _judge(
    rows: Sequence[Row], checks: InstructionChecks, languages: tuple[str, ...], index: BenchmarkIndex | None
) -> list[tuple[str, str]]:
    """The first reason to drop each row, and its figure."""
    conversations = []
    for row in rows:
        pair = parse_preference(row, str(row.get(WHERE)))
        conversations.append((str(row.get(WHERE)), Conversation((*pair.prompt, *pair.chosen), pair.language, "none")))
    table = to_table(conversations)
    figures = check_table(table, checks, languages)
    found = list(zip(figures["reason"].to_pylist(), figures["detail"].to_pylist(), strict=True))
    return found if index is None else _with_leaks(found, spoken_texts(table), index, checks.benchmark_share)


def _with_leaks(
    found: list[tuple[str, str]], texts: pa.Array, index: BenchmarkIndex, share: float
) -> list[tuple[str, str]]:
    leaks = find_leaks(texts, index, share)
    for document, passage in zip(leaks.documents.tolist(), leaks.passages.tolist(), strict=True):
        if not found[document][0]:
            found[document] = (BENCHMARK, f"{index.benchmarks[passage]}, row {index.rows[passage]}")
    return found


def _digest(row: Row) -> bytes:
    content = json.dumps([row[name] for name in _CONTENT], ensure_ascii=False)
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


def _write(file: IO[bytes], row: Row) -> None:
    file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
