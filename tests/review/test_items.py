"""Rows of every shape, good and broken."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from seallm.base.errors import DataError
from seallm.review.items import Item, input_files, parse_item, read_items
from tests.review.rows import CONVERSATIONS, PREFERENCE, pair, write


def test_a_conversation_keeps_its_record() -> None:
    item = parse_item(CONVERSATIONS[0], "a:1")
    assert (item.kind, item.language, item.category) == ("conversation", "th", "natural-dialogue")
    assert item.content == CONVERSATIONS[0]
    assert item.question == item.id


def test_texts_may_be_turns() -> None:
    row = pair(1)
    turns = {**row, "prompt": [{"role": "user", "content": row["prompt"]}]}
    turns["answers"] = [{**a, "text": [{"role": "assistant", "content": a["text"]}]} for a in row["answers"]]
    assert parse_item(row, "a:1") == parse_item(turns, "a:1")


def test_a_preference_is_a_comparison() -> None:
    item = parse_item(PREFERENCE, "a:1")
    assert [answer["model"] for answer in item.content["answers"]] == ["chosen", "rejected"]
    assert parse_item({**PREFERENCE, "prompt": "Xin chào", "chosen": "Chào bạn!"}, "a:1").id == item.id
    whole = {key: [*PREFERENCE["prompt"], *PREFERENCE[key]] for key in ("chosen", "rejected")}
    assert parse_item({**whole, "language": "vi"}, "a:1").id == item.id


def test_the_other_order_is_the_same_item() -> None:
    row = pair(1)
    turned = {**row, "answers": row["answers"][::-1], "category": "other"}
    assert parse_item(row, "a:1").id == parse_item(turned, "a:1").id
    swapped = [{"model": a["model"], "text": b["text"]} for a, b in zip(row["answers"], turned["answers"], strict=True)]
    assert parse_item({**row, "answers": swapped}, "a:1").id != parse_item(row, "a:1").id


def test_a_question_is_the_prompt_unless_it_is_named() -> None:
    one, other, foreign = (parse_item(row, "a:1") for row in (pair(1), pair(1, models=("a", "b")), pair(1, "lo")))
    assert one.id != other.id
    assert one.question == other.question != foreign.question
    assert parse_item({**pair(1), "question": "q7"}, "a:1").question == "q7"
    assert parse_item({**pair(1), "question_id": 7}, "a:1").question == "7"


ANSWER = {"model": "a", "text": "x"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "neither 'messages'"),
        ({"messages": []}, "non-empty list"),
        ({"messages": [{"role": "user", "content": "x"}]}, "must alternate"),
        ({"messages": [{"role": "user", "content": " "}]}, "no text"),
        ({"prompt": "x"}, "expected 'answers'"),
        ({"prompt": "x", "answers": [ANSWER]}, "expected 'answers'"),
        ({"prompt": "x", "answers": [ANSWER, "y"]}, "expected 'answers'"),
        ({"prompt": "x", "answers": [ANSWER, ANSWER]}, "two different names"),
        ({"prompt": "x", "answers": [ANSWER, {"model": "", "text": "y"}]}, "two different names"),
        ({"prompt": "x", "answers": [{"text": "y"}, ANSWER]}, "expected 'answers'"),
        ({"prompt": "x", "answers": [ANSWER, {"model": "b", "text": " "}]}, "no text"),
        ({"prompt": "x", "answers": [ANSWER, {"model": "b", "text": [{"role": "user", "content": "y"}]}]}, "has roles"),
        (
            {"prompt": [{"role": "assistant", "content": "x"}], "answers": pair(1)["answers"]},
            "end with a turn of the user",
        ),
        ({"prompt": "x", "answers": [ANSWER, {"model": "b", "text": "x"}]}, "nothing to compare"),
        ({"prompt": "x", "answers": [ANSWER, {"model": "b", "text": None}]}, "answer 2"),
        ({"prompt": "", "answers": [ANSWER, {"model": "b", "text": "y"}]}, "prompt"),
        ({"prompt": "x", "chosen": "y"}, "rejected"),
        ({**pair(1), "prompt": "\ud800"}, "surrogate"),
        ({**CONVERSATIONS[0], "language": "\udfff"}, "surrogate"),
        ({**pair(1), "prompt": "x" * 200_001}, "at most 200,000"),
    ],
)
def test_bad_rows_say_where_and_why(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        parse_item(row, "file.jsonl:3")
    assert str(error.value).startswith("file.jsonl:3")


def test_a_folder_with_broken_lines_and_other_files(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [CONVERSATIONS[0], pair(1), pair(1), {"x": 1}])
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b"{broken\n\xff\xfe\n[1]\n")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as packed:
        packed.write(json.dumps(PREFERENCE) + "\n")
    write(tmp_path / "review" / "export", "conversations.jsonl", CONVERSATIONS)  # what an export left there
    (tmp_path / "notes.txt").write_text("not for review")
    (tmp_path / ".hidden.jsonl").write_text("{}")
    files = input_files(tmp_path)
    assert [file.name for file in files] == ["a.jsonl", "b.jsonl.gz"]
    items, refused = read_items(files)
    assert [item.kind for item in items] == ["conversation", "comparison", "comparison"]
    assert [reason.split("a.jsonl:")[1].split(":")[0] for reason in refused] == ["4", "5", "6", "7"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        input_files(tmp_path / "none")


def test_identities_are_stable() -> None:
    found: list[Item] = [parse_item(row, "a:1") for row in (CONVERSATIONS[0], pair(1))]
    again = [parse_item(json.loads(json.dumps(row)), "b:2") for row in (CONVERSATIONS[0], pair(1))]
    assert [item.id for item in found] == [item.id for item in again]
    assert all(len(item.id) == 20 for item in found)
