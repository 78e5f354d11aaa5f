import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seallm.base.errors import DataError
from seallm.base.records import (
    Conversation,
    Message,
    Preference,
    is_held_out,
    parse_conversation,
    parse_preference,
    read_conversations,
    read_preferences,
    write_conversations,
    write_preferences,
)

TURNS = [{"role": "user", "content": "สวัสดี"}, {"role": "assistant", "content": "สวัสดีครับ"}]


def test_conversations_survive_the_disk(tmp_path: Path) -> None:
    conversation = Conversation(
        (Message("user", "ສະບາຍດີ\n"), Message("assistant", "ສະບາຍດີ!")), "lo", "natural-dialogue"
    )
    write_conversations(tmp_path / "a.jsonl", [conversation, conversation])
    assert read_conversations(tmp_path / "a.jsonl") == ([conversation, conversation], [])


def test_preferences_survive_the_disk(tmp_path: Path) -> None:
    answer = (Message("assistant", "a"),)
    preference = Preference((Message("user", "q"),), answer, (Message("assistant", "b"),), "en", {"margin": 0.5})
    write_preferences(tmp_path / "a.jsonl", [preference])
    assert read_preferences(tmp_path / "a.jsonl") == ([preference], [])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "non-empty list"),
        ({"messages": []}, "non-empty list"),
        ({"messages": ["hi"]}, "role None"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role 'robot'"),
        ({"messages": [{"role": "user", "content": " "}]}, "no text"),
        ({"messages": TURNS[:1]}, "alternate"),
        ({"messages": TURNS[::-1]}, "alternate"),
        ({"messages": [*TURNS, {"role": "system", "content": "x"}]}, "alternate"),
    ],
)
def test_malformed_conversations_say_what_is_wrong(row: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        parse_conversation(row, "chat.jsonl:3")
    assert str(error.value).startswith("chat.jsonl:3")


def test_bad_rows_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"messages": []}\nnot json\n', encoding="utf-8")
    write_conversations(tmp_path / "b.jsonl", [parse_conversation({"messages": TURNS}, "x")])
    path.write_text(path.read_text() + (tmp_path / "b.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    good, bad = read_conversations(path)
    assert len(good) == 1
    assert [line.split(":")[1] for line in bad] == ["1", "2"]


def test_held_out_is_a_stable_share_of_questions() -> None:
    held = [is_held_out(f"question {i}", 0.2, seed=1) for i in range(2_000)]
    assert sum(held) / len(held) == pytest.approx(0.2, abs=0.03)
    assert held == [is_held_out(f"question {i}", 0.2, seed=1) for i in range(2_000)]
    assert not any(is_held_out(f"question {i}", 0.0, seed=1) for i in range(50))
    assert all(is_held_out(f"question {i}", 1.0, seed=1) for i in range(50))


USER, GOOD, BAD = ({"role": r, "content": c} for r, c in (("user", "q"), ("assistant", "a"), ("assistant", "b")))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": None, "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "q", "chosen": "a", "rejected": "b", "language": None, "scores": {"margin": 1, "note": "x"}},
    ],
)
def test_the_forms_of_preferences_that_trl_knows(row: dict[str, object], tmp_path: Path) -> None:
    found = parse_preference(row, "x")
    expected = Preference((Message("user", "q"),), (Message("assistant", "a"),), (Message("assistant", "b"),), "")
    assert (found.prompt, found.chosen, found.rejected) == (expected.prompt, expected.chosen, expected.rejected)
    assert found.scores == ({"margin": 1.0} if "scores" in row else {})
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    assert read_preferences(tmp_path / "a.parquet")[0][0].chosen == expected.chosen


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": [USER], "chosen": [GOOD]}, "rejected: expected a non-empty list"),
        ({"prompt": [USER], "chosen": [GOOD], "rejected": [GOOD]}, "the same"),
        ({"prompt": [GOOD], "chosen": [GOOD], "rejected": [BAD]}, "must alternate and end with the user"),
        ({"prompt": [USER, USER], "chosen": [GOOD], "rejected": [BAD]}, "must alternate and end with the user"),
        ({"prompt": [GOOD, USER], "chosen": [GOOD], "rejected": [BAD]}, "must alternate and end with the user"),
        ({"prompt": [USER], "chosen": [USER, GOOD], "rejected": [BAD]}, "expected one assistant turn"),
        ({"chosen": [USER, GOOD], "rejected": [BAD]}, "begin with the same turns"),
        ({"prompt": " ", "chosen": "a", "rejected": "b"}, "no text"),
    ],
)
def test_bad_preferences_are_kept_apart(row: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n[]\n", encoding="utf-8")
    good, bad = read_preferences(tmp_path / "a.jsonl")
    assert good == []
    assert len(bad) == 2
    assert message in bad[0]
    assert bad[0].startswith(f"{tmp_path / 'a.jsonl'}:1")


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet"):
        read_preferences(tmp_path / "a.parquet")


def test_scores_that_json_cannot_hold_are_left_out() -> None:
    row = {"prompt": "p", "chosen": "c", "rejected": "r", "scores": {"a": 1, "b": float("nan"), "c": float("inf")}}
    assert parse_preference(row, "x").scores == {"a": 1.0}
