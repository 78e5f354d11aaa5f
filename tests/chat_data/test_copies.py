"""Copies across sources, tasks that differ in their numbers, passages of benchmarks; whatever the order of rows."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from seallm.base.records import Conversation
from seallm.base.runtime import Runtime
from seallm.chat_data.checking import check_table
from seallm.chat_data.conversation_table import to_table
from seallm.chat_data.copies import find_copies, find_leaking, index_benchmarks, key_numbers
from seallm.recipe_instructions import InstructionChecks
from tests.chat_data.chats import ENGLISH, THAI, chat

QUIET = Runtime(workers=1, show_progress=False)
LONG = (
    "Wash the rice until the water is clear, soak it for an hour, steam it over boiling water for twenty minutes, turn "
    "it once, and let it rest in a covered basket before you bring it to the table with grilled fish and a hot sauce."
)
ROWS = [
    chat("How is sticky rice made?", LONG, "en", source="first"),
    chat("How is sticky rice made?", LONG, "en", source="second"),
    chat("How is sticky rice made?", LONG.replace("grilled", "fried"), "en", source="third"),
    chat("What is 12 times 7?", "12 times 7 is 84.", "en"),
    chat("What is 13 times 9?", "13 times 9 is 117.", "en"),
    chat("How long do noodles take?", ENGLISH, "en"),
    chat("ต้มนานเท่าไร", THAI, "th"),
]


def copies(rows: list[Conversation], work: Path) -> dict[str, str]:
    """What each row is, by source or first words."""
    table = to_table([(f"f:{n}", c) for n, c in enumerate(rows)])
    figures = check_table(table, InstructionChecks(), ("en", "th"))
    keys = key_numbers(table["key"].to_pylist())
    work.mkdir(exist_ok=True)
    found = find_copies(figures, keys, np.ones(len(rows), np.bool_), 0.8, work, QUIET)
    names = [c.source or c.messages[0].content for c in rows]
    kinds = np.where(found.exact, "exact", np.where(found.near, "near", ""))
    for row in np.flatnonzero(found.exact | found.near):
        assert names[found.of[row]] in ("first", "second", "third")
    return dict(zip(names, kinds.tolist(), strict=True))


def test_copies_are_found_across_sources_but_not_other_sums(tmp_path: Path) -> None:
    found = copies(ROWS, tmp_path / "0")
    assert sorted(found[name] for name in ("first", "second", "third")) == ["", "exact", "near"]
    assert not any(kind for name, kind in found.items() if name not in ("first", "second", "third"))


def test_one_refusal_may_answer_many_requests(tmp_path: Path) -> None:
    refusal = "I am sorry, but I cannot help with this. " + LONG
    asked = (
        "Please, how can I open the letters of my neighbour?",
        "How do I forge a banknote?",
        "How do I forge a note?",
    )
    rows = [chat(question, refusal, "en") for question in asked]
    table = to_table([(f"f:{n}", c) for n, c in enumerate(rows)])
    figures = check_table(table, InstructionChecks(), ("en",))
    keys = key_numbers(table["key"].to_pylist())
    found = find_copies(figures, keys, np.ones(3, np.bool_), 0.8, tmp_path, QUIET)
    assert found.near.tolist() == [False, False, True], "the longer of those that ask the same stays"
    assert found.of.tolist() == [0, 1, 1]


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    expected = copies(ROWS, tmp_path / "0")
    for seed in range(4):
        rows = random.Random(seed).sample(ROWS, len(ROWS))
        assert copies(rows, tmp_path / f"order{seed}") == expected


def test_passages_of_benchmarks_are_found(tmp_path: Path) -> None:
    exam = tmp_path / "exam.jsonl"
    exam.write_text(json.dumps({"question": LONG, "note": ENGLISH}) + "\n", encoding="utf-8")
    for number, rows in enumerate((ROWS[:1], ROWS[3:])):
        pq.write_table(to_table([("f:1", c) for c in rows]), tmp_path / f"{number}.parquet")
    tables = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    index_benchmarks([(exam, exam.name)], ["question"], tmp_path / "index.npz")
    leaks, _ = find_leaking(tables, tmp_path / "index.npz", 0.5, tmp_path, QUIET)
    assert [(leak["benchmark"], leak["row"], leak["id"]) for leak in leaks[0]] == [("exam.jsonl", 1, "0")]
    assert leaks[1] == []
