"""One SQLite file that several annotators and processes write at once.

It is in WAL mode: readers and one writer do not wait for each other. Every change is one short transaction that begins
as a writer, so that two of them queue instead of failing midway, and is on disk when it is answered. Who cannot begin
within the busy time is told so, and nothing of the change is there.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seallm.base.errors import WorkspaceError

FILE = Path("review") / "review.sqlite"  # beneath the folder of the inputs
BUSY_SECONDS = 5.0
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE items (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, language TEXT NOT NULL, category TEXT NOT NULL, question TEXT NOT NULL,
    position INTEGER NOT NULL,  -- place in the queue
    wanted INTEGER NOT NULL,    -- annotators that are to see it
    done INTEGER NOT NULL,      -- annotators that judged it, skipping not counted
    content TEXT NOT NULL
);
CREATE INDEX open_items ON items (position, id) WHERE done < wanted;
CREATE INDEX items_by_language ON items (language, done, wanted, id);
CREATE TABLE annotators (name TEXT PRIMARY KEY, token_hash TEXT, languages TEXT NOT NULL);
CREATE TABLE leases (annotator TEXT PRIMARY KEY, item TEXT NOT NULL, until REAL NOT NULL);
CREATE INDEX leases_by_item ON leases (item);
CREATE TABLE judgements (
    item TEXT NOT NULL, annotator TEXT NOT NULL, verdict TEXT NOT NULL, detail TEXT NOT NULL, seconds REAL,
    number INTEGER NOT NULL,    -- of its line in the history
    PRIMARY KEY (item, annotator)
);
CREATE INDEX judgements_by_annotator ON judgements (annotator, number);
CREATE TABLE history (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, item TEXT NOT NULL, annotator TEXT NOT NULL, verdict TEXT NOT NULL,
    detail TEXT NOT NULL
);
"""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class DatabaseBusy(WorkspaceError):
    """Another process held the database for too long; nothing of the change was written."""


@dataclass(frozen=True)
class Database:
    """Where the file is, and how long to wait for others."""

    path: Path
    busy_seconds: float = BUSY_SECONDS
    # threads wait for each other here, in turn; SQLite would let each sleep and try, the unlucky again and again
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    # kept open: whoever closes the last connection writes the whole log back, which takes longer than a judgement
    _idle: list[tuple[int, sqlite3.Connection]] = field(default_factory=list, repr=False, compare=False)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the database.

        Raises:
            DatabaseBusy: another process holds it.
            WorkspaceError: the file is missing, damaged or no such database.
        """
        with self._translated(), self._borrowed() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are all there when the block ends well, else none.

        Raises:
            DatabaseBusy: another process holds it.
            WorkspaceError: the file is missing or damaged, or the disk is full.
        """
        with self._in_turn(), self._translated(), self._borrowed() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    def create(self) -> None:
        """Make the file, or see that it is one of ours.

        Raises:
            WorkspaceError: it cannot be made, or belongs to another program or version.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._translated(), closing(self._connect(is_new=True)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not connection.execute("SELECT name FROM sqlite_master").fetchone():
                for statement in SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise WorkspaceError(
                    f"{self.path} has version {version}; this seallm reads version {SCHEMA_VERSION}. Use the seallm "
                    "that wrote it, or another folder"
                )
            connection.commit()

    def close(self) -> None:
        """Let go of the file; it is opened again where it is needed."""
        while self._idle:
            self._idle.pop()[1].close()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self.busy_seconds):
            raise self._busy()
        try:
            yield
        finally:
            self._turn.release()

    def _busy(self) -> DatabaseBusy:
        waited = f"waited {self.busy_seconds:g} s"
        return DatabaseBusy(f"{self.path} is in use by another program ({waited}); nothing was saved. Try again")

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """A connection that is nobody else's; what is not committed at the end is undone."""
        number, connection = self._connection()
        try:
            yield connection
            connection.rollback()
        except BaseException:
            connection.close()
            raise
        self._idle.append((number, connection))

    def _connection(self) -> tuple[int, sqlite3.Connection]:
        """With the number of the file that it writes to: one that was taken away must not swallow judgements."""
        while True:
            try:
                number, connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
                return self.path.stat().st_ino, connection
            if self.path.is_file() and self.path.stat().st_ino == number:
                return number, connection
            connection.close()

    def _connect(self, *, is_new: bool = False) -> sqlite3.Connection:
        if not is_new and not self.path.is_file():
            raise WorkspaceError(f"{self.path} does not exist. Start `seallm review {self.path.parent.parent}` first")
        connection = sqlite3.connect(
            self.path, timeout=self.busy_seconds, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")  # a judgement that was answered outlives a power cut
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # a bug of ours
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in _BUSY:
                raise self._busy() from None
            raise WorkspaceError(f"{self.path} cannot be used: {error}") from None
