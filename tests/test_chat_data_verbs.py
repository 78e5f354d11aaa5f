"""`seallm chat-data ...` as a user types it."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from seallm.base.errors import DataError, RecipeError
from seallm.base.records import read_conversations, read_preferences
from seallm.chat_data_verbs import chat_data_app
from tests.chat_data.chats import ENGLISH, THAI, chat_row, numbered_rows, write_lines


def run(*arguments: object) -> str:
    result = CliRunner().invoke(chat_data_app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def saved_data_set(folder: Path) -> None:
    """As `datasets` saves a dictionary of splits."""
    (folder / "train").mkdir(parents=True)
    table = pa.table({"inputs": ["ต้มนานเท่าไร"], "targets": [THAI], "language": ["tha"]})
    path = str(folder / "train" / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    for name in ("state.json", "dataset_info.json"):
        (folder / "train" / name).write_text("{}")


def test_import(tmp_path: Path) -> None:
    saved_data_set(tmp_path / "aya")
    (tmp_path / "alpaca.json").write_text(json.dumps([{"instruction": "How long?", "output": ENGLISH}] * 9 + [{}]))
    write_lines(tmp_path / "pairs.jsonl", [{"prompt": "How long?", "chosen": ENGLISH, "rejected": "No."}])
    out = tmp_path / "out" / "chat.jsonl"
    sources = [tmp_path / name for name in ("aya", "alpaca.json", "pairs.jsonl")]
    printed = run("import", *sources, "--out", out, "--licence", "CC0-1.0", "--workers", 1)
    assert "10 conversations and 1 preferences of 3 files (alpaca 9, preference 1, prompt 1), 1 bad rows." in printed
    good, bad = read_conversations(out)
    assert not bad
    assert {(c.language, c.source, c.licence) for c in good} == {
        ("en", "alpaca", "CC0-1.0"),
        ("th", "aya", "CC0-1.0"),
    }
    assert read_preferences(tmp_path / "out" / "chat.preferences.jsonl")[0][0].language == "en"
    quarantine = (tmp_path / "out" / "chat.quarantine.jsonl").read_text()
    assert json.loads(quarantine)["where"] == "alpaca.json:10"
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "chat.jsonl",
        "chat.preferences.jsonl",
        "chat.quarantine.jsonl",
    ]


def test_import_with_columns_and_too_many_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,a\nHow long?,Three minutes.\n,nothing\n")
    columns = ("--column", "prompt=q", "--column", "completion=a", "--language", "en")
    with pytest.raises(DataError, match=r"1 of 2 rows cannot be read.*a\.csv:3"):
        run("import", path, "--out", tmp_path / "b.jsonl", *columns)
    assert (tmp_path / "b.quarantine.jsonl").is_file()
    assert not (tmp_path / "b.jsonl").exists()
    run("import", path, "--out", tmp_path / "b.jsonl", *columns, "--max-bad-share", 0.5)
    assert len(read_conversations(tmp_path / "b.jsonl")[0]) == 1
    with pytest.raises(RecipeError, match="csv"):
        run("import", path, "--out", tmp_path / "b.jsonl", "--format", "csv")


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "chats" / "a.jsonl", [chat_row("How long?", ENGLISH, "en")])
    with pytest.raises(DataError, match="lies in the source"):
        run("import", path.parent, "--out", path.parent / "b.jsonl")
    with pytest.raises(DataError, match="lies in the source"):
        run("import", path, "--out", path)
    with pytest.raises(DataError, match=r"must be a folder, and there is a file"):
        run("check", path.parent, "--out", write_lines(tmp_path / "file", []))
    with pytest.raises(DataError, match=r"must be a file, and there is a folder"):
        run("import", path, "--out", tmp_path)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match="no rows at all"):
        run("import", tmp_path / "empty.jsonl", "--out", tmp_path / "c.jsonl", "--workers", 1)


def test_check_mix_and_report(tmp_path: Path) -> None:
    rows = [*numbered_rows(60), chat_row("How long does it take?", THAI, "en")]
    path = write_lines(tmp_path / "chat.jsonl", rows)
    printed = run("check", path, "--out", tmp_path / "checked", "--languages", "en,th,vi", "--workers", 1)
    assert "language" in printed
    assert len(read_conversations(tmp_path / "checked" / "conversations.jsonl")[0]) == 60
    dropped = json.loads((tmp_path / "checked" / "dropped.jsonl").read_text(encoding="utf-8"))
    assert (dropped["reason"], dropped["where"]) == ("turn_language", "chat.jsonl:61")
    checked = tmp_path / "checked" / "conversations.jsonl"
    options = ("--languages", "en,th,vi", "--workers", 1, "--set", "max_language_share=0.5")
    assert "Written to" in run("mix", checked, "--out", tmp_path / "mixed", *options)
    assert "Already finished" in run("mix", checked, "--out", tmp_path / "mixed", *options)
    assert len(read_conversations(tmp_path / "mixed" / "sft.jsonl")[0]) > 10
    assert "report.html" in run("report", tmp_path / "mixed")
    assert (tmp_path / "mixed" / "report.json").is_file()


def test_preferences_alone_are_checked(tmp_path: Path) -> None:
    rows = [{"prompt": "How long?", "chosen": ENGLISH, "rejected": "No."}] * 2
    path = write_lines(tmp_path / "pairs.jsonl", rows)
    printed = run("check", path, "--out", tmp_path / "checked", "--languages", "en", "--workers", 1)
    assert "Of 2 preferences: exact copy 1, kept 1." in printed
    assert f"prefer report {tmp_path / 'checked' / 'preferences.jsonl'}" in printed.replace("\n", "")
    assert len(read_preferences(tmp_path / "checked" / "preferences.jsonl")[0]) == 1
