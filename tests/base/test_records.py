from pathlib import Path

import pytest

from seallm.base.errors import DataError
from seallm.base.records import (
    Conversation,
    Message,
    Preference,
    parse_conversation,
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
    assert list(read_preferences(tmp_path / "a.jsonl")) == [preference]


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
