"""What happens to a database that is in use, foreign, damaged or gone."""

import sqlite3
import threading
from pathlib import Path

import pytest

from seallm.base.errors import WorkspaceError
from seallm.review.database import Database, DatabaseBusy


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "review.sqlite", busy_seconds=0.2)
    made.create()
    return made


def add(database: Database, key: str) -> None:
    with database.writing() as connection:
        connection.execute("INSERT INTO settings VALUES (?, '1')", (key,))


def keys(database: Database) -> list[str]:
    with database.reading() as connection:
        return [row["key"] for row in connection.execute("SELECT key FROM settings ORDER BY key")]


def test_it_is_in_wal_mode_and_made_once(database: Database) -> None:
    add(database, "a")
    database.create()
    with database.reading() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert keys(database) == ["a"]


def test_a_block_that_fails_changes_nothing(database: Database) -> None:
    def fail() -> None:
        with database.writing() as connection:
            connection.execute("INSERT INTO settings VALUES ('a', '1')")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert keys(database) == []


def test_locked_by_another_program(database: Database) -> None:
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="in use by another program"):
        add(database, "a")
    assert keys(database) == []  # reading goes on meanwhile
    other.execute("ROLLBACK")
    other.close()
    add(database, "a")
    assert keys(database) == ["a"]


def test_who_waits_gets_in(tmp_path: Path) -> None:
    database = Database(tmp_path / "review.sqlite", busy_seconds=5)
    database.create()
    other = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, lambda: (other.execute("ROLLBACK"), other.close())).start()
    add(database, "a")
    assert keys(database) == ["a"]


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="Start `seallm review"), Database(tmp_path / "none.sqlite").reading():
        pass


def test_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_text("a letter to somebody " * 100)
    with pytest.raises(WorkspaceError, match="cannot be used"):
        Database(tmp_path / "x.sqlite").create()


def test_another_program_s(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.sqlite") as connection:
        connection.execute("CREATE TABLE stamps (value)")
    connection.close()
    with pytest.raises(WorkspaceError, match="has version 0; this seallm reads version 1"):
        Database(tmp_path / "x.sqlite").create()
