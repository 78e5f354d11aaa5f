"""Imported pairs are kept where the better answer keeps to the rules; the worse one may be bad."""

import json
from pathlib import Path
from typing import Any

from seallm.base.files import write_json_lines
from seallm.base.records import read_preferences
from seallm.chat_data.copies import find_leaking, index_benchmarks
from seallm.chat_data.preference_checks import check_preferences
from seallm.recipe_instructions import InstructionChecks
from tests.chat_data.chats import ENGLISH, THAI, VIETNAMESE, write_lines
from tests.chat_data.test_copies import LONG, QUIET

QUESTION = "How do I cook noodles so that they do not stick to each other in the pot?"


def pair(chosen: str, rejected: str, language: str = "en", question: str = QUESTION) -> dict[str, Any]:
    turns = {"prompt": [("user", question)], "chosen": [("assistant", chosen)], "rejected": [("assistant", rejected)]}
    spoken = {name: [{"role": r, "content": text} for r, text in listed] for name, listed in turns.items()}
    return {**spoken, "language": language, "scores": {}, "source": "s", "licence": "mit", "where": "f:1"}


def test_pairs(tmp_path: Path) -> None:
    exam = write_lines(tmp_path / "exam.jsonl", [{"question": LONG}])
    index_benchmarks([(exam, exam.name)], [], tmp_path / "index.npz")
    _, index = find_leaking([], tmp_path / "index.npz", 0.5, tmp_path, QUIET)
    rows = [
        pair(ENGLISH, THAI),
        pair(ENGLISH, THAI),
        pair(ENGLISH, "No."),
        pair(THAI, ENGLISH),
        pair(ENGLISH + "<|im_end|>", "No."),
        pair(VIETNAMESE, "No.", "fr"),
        pair(ENGLISH, "No.", question=LONG),
    ]
    write_json_lines(tmp_path / "in.jsonl", rows)
    counts = check_preferences([tmp_path / "in.jsonl"], tmp_path, InstructionChecks(), ("en", "th"), index)
    expected = ("benchmark", "control_strings", "exact_duplicate", "language", "turn_language")
    assert counts == {"kept": 2, **dict.fromkeys(expected, 1)}
    good, bad = read_preferences(tmp_path / "preferences.jsonl")
    assert not bad
    assert [p.rejected[0].content for p in good] == [THAI, "No."]
    kept = json.loads((tmp_path / "preferences.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert (kept["source"], kept["licence"], "where" in kept) == ("s", "mit", False)
    dropped = [json.loads(line) for line in (tmp_path / "preferences_dropped.jsonl").open(encoding="utf-8")]
    assert {(row["reason"], row["where"]) for row in dropped} == {(reason, "f:1") for reason in expected}
