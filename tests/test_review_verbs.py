"""`seallm review ...` as a user types it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seallm.cli import app, main
from seallm.review.database import FILE
from seallm.review.judging import Verdict, save
from seallm.review.store import fill, open_reviews
from tests.review.rows import CONVERSATIONS, pair, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "drafts", "a.jsonl", [*CONVERSATIONS, pair(1, models=("[bold]sft", "dpo")), {"x": 1}])


def test_the_page_is_served_until_it_is_stopped(folder: Path) -> None:
    command = [sys.executable, "-m", "seallm", "review", str(folder), "--port", "0", "--overlap", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    lines = []
    while not (found := re.search(r"page\s+(http://127\.0\.0\.1:\d+)", (lines or [""])[-1])):
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    assert "5 to review, 5 of them new" in lines[0]
    assert "a.jsonl:6" in lines[1]
    with urllib.request.urlopen(f"{found.group(1)}/api/door") as response:
        assert json.load(response) == {"invited_only": False}
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert (folder / FILE).is_file()


def test_invitation_and_export(folder: Path) -> None:
    fill(folder)
    invited = CliRunner().invoke(app, ["review", "invite", str(folder), "สมชาย", "--languages", "th, lo"])
    token = invited.output.split("\n")[0]
    assert len(token) > 20
    assert f"#name=%E0%B8%AA%E0%B8%A1%E0%B8%8A%E0%B8%B2%E0%B8%A2&token={token}" in invited.output
    database = open_reviews(folder)
    with database.writing() as connection:
        for item, kind in connection.execute("SELECT id, kind FROM items").fetchall():
            save(connection, "[i]Ann", Verdict(item, "accept" if kind == "conversation" else "tie"))
    result = CliRunner().invoke(app, ["review", "export", str(folder)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "4 conversations and 0 preferences in" in result.output
    for text in ("[bold]sft", "[i]Ann", "100% [51%, 100%]", "50% [5%, 95%]", "+0.00 [+0.00, +0.00]"):
        assert text in result.output
    assert (folder / "review" / "export" / "report.json").is_file()


def test_help_and_nothing_at_all() -> None:
    shown = CliRunner().invoke(app, ["review", "--help"])
    assert shown.exit_code == 0
    assert "Example: seallm review drafts" in shown.output
    assert "Usage" in CliRunner().invoke(app, ["review"]).output


def test_a_missing_folder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["seallm", "review", str(tmp_path / "none"), "--port", "0"])
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "is no folder" in said
