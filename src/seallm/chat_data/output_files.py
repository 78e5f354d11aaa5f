"""Checked conversations and their parts in, files of conversations out, each in an order that no input decides.

hybrid.jsonl  sft.jsonl  held_out.jsonl  left_over.jsonl   conversations, in the order of their draws
dropped.jsonl   conversations that broke a rule, with reason, figure and place
checks.json     counts of the import and of every reason, by language
mix.json        conversations of each part, by language, category, source and licence
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.files import write_json, write_json_lines
from seallm.base.records import Conversation, write_conversations
from seallm.chat_data.conversation_table import LABELS, to_conversations
from seallm.chat_data.mixing import PARTS, Mixed, mix_table
from seallm.chat_data.preparing import Prepared, dropped_counts, of_other_languages

CONVERSATIONS, DROPPED, CHECKS, MIX = "conversations.jsonl", "dropped.jsonl", "checks.json", "mix.json"
_BATCH = 2_000


def load_table(prepared: Prepared) -> pa.Table:
    """All conversations, with the categories that the checks found."""
    table = pa.concat_tables([pq.read_table(path) for path in prepared.tables])
    return table.set_column(table.schema.get_field_index("category"), "category", prepared.figures["category"])


def write_kept(path: Path, table: pa.Table, rows: npt.NDArray[np.int64]) -> None:
    """Write these conversations, in this order."""
    write_conversations(path, _conversations(table, rows))


def write_dropped(path: Path, table: pa.Table, prepared: Prepared) -> None:
    """Write what broke a rule, by key and place, with the reason and the figure."""
    places = prepared.figures["where"].to_pylist()
    dropped = np.flatnonzero(prepared.reasons != "")
    order = np.array(sorted(dropped.tolist(), key=lambda row: (prepared.keys[row], places[row])), np.int64)
    conversations = _conversations(table, order)
    write_json_lines(
        path,
        (
            {"reason": prepared.reasons[row], "detail": prepared.details[row], "where": places[row], **asdict(c)}
            for row, c in zip(order.tolist(), conversations, strict=True)
        ),
    )


def write_checks(path: Path, prepared: Prepared) -> dict[str, Any]:
    """Write and return what was read and dropped; by language those that are wanted."""
    languages = prepared.figures["language"].to_pylist()
    by_language: dict[str, Counter[str]] = {}
    for language, reason in zip(languages, prepared.reasons.tolist(), strict=True):
        by_language.setdefault(language, Counter())[reason or "kept"] += 1
    others = of_other_languages(prepared)
    found = {
        **prepared.counts,
        "kept": int((prepared.reasons == "").sum()),
        "dropped": dropped_counts(prepared),
        "languages": {
            code: dict(sorted(row.items())) for code, row in sorted(by_language.items()) if code not in others
        },
        "other_languages": others,
    }
    write_json(path, found)
    return found


def write_mix(
    out: Path, table: pa.Table, prepared: Prepared, rows: npt.NDArray[np.int64], mixed: Mixed
) -> Sequence[Mapping[str, Any]]:
    """Write the parts and their table; return the table.

    Args:
        out: folder to write to.
        table: all conversations.
        prepared: what was found of them.
        rows: those that were mixed.
        mixed: their parts.
    """
    for number, name in enumerate(PARTS):
        mine = np.flatnonzero(mixed.parts == number)
        order = mine[np.lexsort((prepared.keys[rows[mine]], mixed.draws[mine]))]
        write_kept(out / f"{name}.jsonl", table, rows[order])
    labels = {name: np.array(prepared.figures[name].to_pylist(), object)[rows].tolist() for name in LABELS}
    cells = mix_table(labels, mixed.parts)
    write_json(out / MIX, cells)
    return cells


def _conversations(table: pa.Table, rows: npt.NDArray[np.int64]) -> Iterator[Conversation]:
    for start in range(0, len(rows), _BATCH):
        yield from to_conversations(table.take(pa.array(rows[start : start + _BATCH])))
