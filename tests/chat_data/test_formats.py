"""Rows of each published layout become our records; rows that break it are refused with the reason."""

import json
from typing import Any

import pytest

from seallm.base.errors import DataError
from seallm.base.records import Conversation, Preference
from seallm.chat_data.formats import find_format, read_record

TURNS = [("user", "Q"), ("assistant", "A")]
MESSAGES = [{"role": role, "content": text} for role, text in TURNS]
SHARED = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]


def turns(row: dict[str, Any]) -> list[tuple[str, str]]:
    kind = find_format(row)
    assert kind is not None
    record = read_record(row, kind, "f:1")
    assert isinstance(record, Conversation)
    return [(m.role, m.content) for m in record.messages]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"messages": MESSAGES}, "messages"),
        ({"messages": json.dumps(MESSAGES)}, "messages"),
        ({"messages": str(MESSAGES)}, "messages"),  # as pandas writes CSV
        ({"messages": [MESSAGES[0], {"role": "assistant", "content": [{"type": "text", "text": "A"}]}]}, "messages"),
        ({"conversations": SHARED}, "sharegpt"),
        ({"conversations": {"from": ["human", "gpt"], "value": ["Q", "A"]}}, "sharegpt"),
        ({"conversation": MESSAGES}, "sharegpt"),
        ({"messages": SHARED}, "sharegpt"),
        ({"instruction": "Q", "input": "", "output": "A"}, "alpaca"),
        ({"instruction": "Q", "response": "A", "context": None}, "alpaca"),
        ({"prompt": "Q", "completion": "A"}, "prompt"),
        ({"prompt": MESSAGES[:1], "completion": MESSAGES[1:]}, "prompt"),
        ({"question": "Q", "answer": "A"}, "prompt"),
        ({"inputs": "Q", "targets": "A"}, "prompt"),
    ],
)
def test_conversations(row: dict[str, Any], kind: str) -> None:
    assert find_format(row) == kind
    assert turns(row) == TURNS


def test_what_formats_have_beside_turns() -> None:
    row = {"instruction": "Q", "input": "text", "output": "A", "system": "Be kind.", "history": [["q", "a"]]}
    asked = [("system", "Be kind."), ("user", "q"), ("assistant", "a"), ("user", "Q\n\ntext"), ("assistant", "A")]
    assert turns(row) == asked
    labelled = read_record(
        {"messages": MESSAGES, "lang": "vi", "license": ["mit", "cc0"], "category": "math", "dataset": "d"},
        "messages",
        "f:1",
    )
    assert isinstance(labelled, Conversation)
    found = (labelled.language, labelled.licence, labelled.category, labelled.source)
    assert found == ("vi", "mit, cc0", "math", "d")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": []}, "expected a list of turns"),
        ({"messages": "Q"}, "expected a list of turns, found str 'Q'"),
        ({"messages": [MESSAGES[0]]}, "must alternate user, assistant and end with assistant"),
        ({"messages": [MESSAGES[1], *MESSAGES]}, "must alternate"),
        ({"messages": [*MESSAGES, MESSAGES[0]]}, "end with assistant"),
        ({"messages": [MESSAGES[0], {"role": "assistant", "content": " "}]}, "has no text"),
        ({"messages": [MESSAGES[0], {"role": "assistant", "content": None}]}, "has no text"),
        ({"messages": [MESSAGES[0], {"role": "tool", "content": "A"}]}, "role 'tool'; expected system, user"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, MESSAGES[1]]}, "only text can be trained"),
        ({"messages": [MESSAGES[0], {**MESSAGES[1], "tool_calls": [{}]}]}, "calls a tool"),
        ({"messages": [MESSAGES[0], {**MESSAGES[1], "weight": 0}]}, "weight 0"),
        ({"messages": [1, 2]}, "turn 0 is a int"),
        ({"conversations": [{"from": "bing", "value": "A"}]}, "role 'bing'"),
        ({"instruction": "", "output": "A"}, "`instruction` is str ''"),
        ({"instruction": "Q", "output": None}, "`output` is missing"),
        ({"instruction": "Q", "output": "A", "history": ["q"]}, "expected pairs"),
        ({"prompt": "Q", "completion": None}, "`completion` is missing"),
        ({"prompt": 5, "completion": "A"}, "`prompt` is a int"),
    ],
)
def test_broken_rows(row: dict[str, Any], message: str) -> None:
    kind = find_format(row)
    assert kind is not None
    with pytest.raises(DataError, match=message) as error:
        read_record(row, kind, "f:1")
    assert str(error.value).startswith("f:1: ")


def test_rows_of_no_format() -> None:
    assert find_format({"text": "a page"}) is None
    assert find_format({"instruction": "Q"}) is None


HUMAN = "\n\nHuman: Q\n\nAssistant: a\n\nHuman: more\n\nAssistant: "


@pytest.mark.parametrize(
    ("row", "prompt", "scores"),
    [
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, ["Q"], {}),
        (
            {
                "prompt": "Q",
                "chosen": MESSAGES,
                "rejected": [MESSAGES[0], {"role": "assistant", "content": "B"}],
                "score_chosen": 8,
                "score_rejected": "2.5",
            },
            ["Q"],
            {"chosen": 8.0, "rejected": 2.5},
        ),
        ({"chosen": HUMAN + "A", "rejected": HUMAN + "B"}, ["Q", "a", "more"], {}),
        (
            {
                "instruction": "Q",
                "completions": [
                    {"response": "C", "overall_score": 5.0},
                    {"response": "A", "overall_score": 9.0},
                    {"response": "B", "overall_score": 1.0},
                    {"response": "D", "overall_score": None},
                ],
            },
            ["Q"],
            {"chosen": 9.0, "rejected": 1.0},
        ),
        (
            {
                "input": {"messages": MESSAGES[:1]},
                "preferred_output": [{"role": "assistant", "content": "A"}],
                "non_preferred_output": [{"role": "assistant", "content": "B"}],
            },
            ["Q"],
            {},
        ),
        ({"prompt": "Q", "system": "S", "chosen": "A", "rejected": "B"}, ["S", "Q"], {}),
    ],
)
def test_preferences(row: dict[str, Any], prompt: list[str], scores: dict[str, float]) -> None:
    assert find_format(row) == "preference"
    found = read_record(row, "preference", "f:1")
    assert isinstance(found, Preference)
    assert [m.content for m in found.prompt] == prompt
    assert (found.chosen[0].content, found.rejected[0].content) == ("A", "B")
    assert found.scores == scores


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Q", "chosen": "A", "rejected": "A"}, "chosen and rejected are the same"),
        ({"prompt": "Q", "chosen": "A", "rejected": ""}, "`rejected` is str ''"),
        ({"chosen": "A", "rejected": "B"}, "no `prompt`"),
        ({"prompt": MESSAGES, "chosen": "A", "rejected": "B"}, "end with the user"),
        ({"chosen": HUMAN + "A", "rejected": HUMAN.replace("more", "else") + "B"}, "do not begin with the same one"),
        ({"instruction": "Q", "completions": [{"response": "A", "overall_score": 1}]}, "1 scored answers"),
        ({"instruction": "Q", "completions": None}, "0 scored answers"),
        (
            {
                "instruction": "Q",
                "completions": [{"response": t, "overall_score": s} for t, s in (("A", 1), ("B", float("nan")))],
            },
            "1 scored answers",
        ),
        ({"input": 5, "preferred_output": [], "non_preferred_output": []}, "expected a list of turns, found a int"),
    ],
)
def test_broken_preferences(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_record(row, "preference", "f:1")
