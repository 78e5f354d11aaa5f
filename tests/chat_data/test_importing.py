"""Whole files through the import: every row is a conversation, a preference or a line of the quarantine."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seallm.base.errors import DataError
from seallm.base.files import read_json
from seallm.base.records import read_preferences
from seallm.chat_data.importing import SourceFile, import_file
from tests.chat_data.chats import chat_row, write_lines


def imported(path: Path, **settings: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    result = path.parent / "result.json"
    import_file(SourceFile(path, path.name, **settings), result)
    return pq.read_table(result.with_suffix(".parquet")).to_pylist(), read_json(result)


def test_nothing_is_lost(tmp_path: Path) -> None:
    rows = [chat_row("Hi", "Hello", "en"), chat_row("", "A", "en"), {"text": "page"}, chat_row("Oi", "Olá", "pt-BR")]
    path = write_lines(tmp_path / "chat.jsonl", rows)
    with path.open("a") as file:
        file.write("{broken\n")
    found, summary = imported(path, default_source="chat")
    assert [(row["where"], row["language"], row["source"]) for row in found] == [
        ("chat.jsonl:1", "en", "chat"),
        ("chat.jsonl:4", "pt-br", "chat"),
    ]
    quarantine = summary["quarantine"]
    assert [row["where"] for row in quarantine] == ["chat.jsonl:2", "chat.jsonl:3", "chat.jsonl:5"]
    assert [row["row"] for row in quarantine] == [rows[1], rows[2], None]
    assert "has no text" in quarantine[0]["reason"]
    assert summary["formats"] == {"messages": 2}


def test_the_format_is_that_of_most_rows_unless_it_is_given(tmp_path: Path) -> None:
    rows = [{"instruction": "Name a fruit.", "output": "A mango."}] * 2 + [{"prompt": "Q", "completion": "A"}]
    path = write_lines(tmp_path / "a.jsonl", rows)
    found, summary = imported(path, given={"language": "en"})
    assert len(found) == 2
    assert summary["quarantine"][0]["reason"].startswith("`instruction` is missing")
    found, summary = imported(path, format="prompt")
    assert (len(found), len(summary["quarantine"])) == (1, 2)


def test_rows_of_no_known_format_name_their_fields(tmp_path: Path) -> None:
    found, summary = imported(write_lines(tmp_path / "a.jsonl", [{"text": "page", "url": "x"}]))
    assert not found
    assert "has the fields text, url; expected those of messages, sharegpt" in summary["quarantine"][0]["reason"]


def test_columns_are_mapped_and_given_labels_win(tmp_path: Path) -> None:
    rows = [{"ask": "Wie?", "reply": {"text": "So."}, "language": "en", "license": "mit", "task": "Closed QA"}]
    path = write_lines(tmp_path / "a.jsonl", rows)
    columns = {"prompt": "ask", "completion": "reply.text", "category": "task"}
    found, _ = imported(path, columns=columns, given={"language": "Vietnamese", "source": "s"})
    row = found[0]
    assert [m["content"] for m in row["messages"]] == ["Wie?", "So."]
    labels = (row["language"], row["category"], row["source"], row["licence"])
    assert labels == ("vi", "text-processing", "s", "mit")
    with pytest.raises(DataError, match=r"no column 'answer' \(for `completion`\).*it has ask, reply"):
        imported(path, columns={"prompt": "ask", "completion": "answer"})


def test_rows_without_a_language_get_that_of_their_answers(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Translate.", "completion": "ฤดูเก็บเกี่ยวข้าวเริ่มในเดือนพฤศจิกายน"},
        {"prompt": "แปล", "completion": "The rice harvest begins in November, when the fields are dry."},
    ]
    found, _ = imported(write_lines(tmp_path / "a.jsonl", rows))
    assert [row["language"] for row in found] == ["th", "en"]


def test_texts_become_canonical_unicode(tmp_path: Path) -> None:
    rows = [chat_row("Hi\u200b there", "a\u0301", "en"), chat_row("\u200b\u200b", "A", "en")]
    found, summary = imported(write_lines(tmp_path / "a.jsonl", rows))
    assert [m["content"] for m in found[0]["messages"]] == ["Hi there", "á"]
    assert (summary["repaired"], summary["quarantine"][0]["reason"]) == (
        3,
        "message 0 (user) has no visible text",
    )


def test_preferences_keep_source_and_licence(tmp_path: Path) -> None:
    rows = [{"prompt": "Q?", "chosen": "ฤดูเก็บเกี่ยวข้าว", "rejected": "B", "license": "mit"}, {"prompt": "Q"}]
    rows.append({"prompt": "Q?", "chosen": "the same", "rejected": "the\u200b same "})
    path = write_lines(tmp_path / "a.jsonl", rows)
    found, summary = imported(path, default_source="ultra")
    assert (found, summary["preferences"], len(summary["quarantine"])) == ([], 1, 2)
    written = tmp_path / "result.preferences.jsonl"
    assert [p.language for p in read_preferences(written)[0]] == ["th"]
    row = json.loads(written.read_text(encoding="utf-8"))
    assert (row["source"], row["licence"]) == ("ultra", "mit")


def test_an_arrow_file_with_turns_in_columns(tmp_path: Path) -> None:
    kind = pa.struct({"from": pa.list_(pa.string()), "value": pa.list_(pa.string())})
    turns = [{"from": ["human", "gpt"], "value": ["Hi", "Hello"]}, {"from": ["human"], "value": ["Hi"]}]
    table = pa.table({"conversations": pa.array(turns, kind), "language": ["en", "en"]})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    found, summary = imported(tmp_path / "a.arrow")
    assert [m["content"] for m in found[0]["messages"]] == ["Hi", "Hello"]
    assert "must alternate" in summary["quarantine"][0]["reason"]
