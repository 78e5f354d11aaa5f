"""A folder in, its review database out: filled from the folder's files, with a fixed seed and a share of overlap."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from seallm.base.errors import DataError, WorkspaceError
from seallm.base.files import write_json_lines
from seallm.review.database import FILE, Database
from seallm.review.items import Item, input_files, read_items

REFUSED = "refused.jsonl"


@dataclass(frozen=True)
class Sharing:
    """Which items more than one annotator is to see.

    Attributes:
        overlap: share of items, 0 to 1.
        raters: annotators of such an item; the others are seen by one.
    """

    overlap: float = 0.2
    raters: int = 2


@dataclass(frozen=True)
class Filled:
    """What filling a database did: new items, items in all, and one line for each row that was refused."""

    added: int
    total: int
    refused: list[str]


def draw(seed: int, *names: str) -> float:
    """A number in [0, 1) that depends on its names alone."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def open_reviews(folder: Path) -> Database:
    """The database of a folder that `seallm review` has opened before.

    Raises:
        WorkspaceError: there is none.
    """
    database = Database(folder / FILE)
    with database.reading() as connection:
        connection.execute("SELECT count(*) FROM settings")
    return database


def fill(folder: Path, *, seed: int | None = None, overlap: float | None = None, raters: int | None = None) -> Filled:
    """Make the database of a folder, or bring it up to date: new rows of its files become items, none is removed.

    Args:
        folder: holds *.jsonl files.
        seed: of the order, the sides and the overlap; it cannot change later. None: as it was, else 0.
        overlap: see `Sharing`. None: as it was.
        raters: see `Sharing`. None: as it was.

    Raises:
        DataError: the folder is missing or has nothing to review.
        WorkspaceError: another seed, or the database cannot be used.
    """
    items, refused = read_items(input_files(folder))
    database = Database(folder / FILE)
    if not items and not database.path.is_file():
        first = f" The first of {len(refused)} refused rows: {refused[0]}" if refused else ""
        raise DataError(f"{folder} has no conversation or pair of answers to review in *.jsonl files.{first}")
    begin(database, seed)
    with database.writing() as connection:
        _share(connection, overlap, raters)
        added = add_items(connection, items)
        total = connection.execute("SELECT count(*) FROM items").fetchone()[0]
    write_json_lines(folder / FILE.parent / REFUSED, ({"reason": reason} for reason in refused))
    return Filled(added, total, refused)


def begin(database: Database, seed: int | None = None) -> None:
    """Make a database that has its seed and sharing, unless it is there.

    Raises:
        WorkspaceError: it was begun with another seed, or cannot be used.
    """
    database.create()
    with database.writing() as connection:
        known = read_settings(connection)
        if not known:
            _write_settings(connection, {"seed": seed or 0, **asdict(Sharing())})
        elif seed is not None and known["seed"] != seed:
            place = database.path.parent.parent
            raise WorkspaceError(f"{place} was begun with --seed {known['seed']}; it cannot change: leave it out")


def _share(connection: sqlite3.Connection, overlap: float | None, raters: int | None) -> None:
    """Take over what is not None, and say anew which items are shared."""
    known = read_settings(connection)
    seed, before = int(known["seed"]), _sharing(known)
    after = Sharing(before.overlap if overlap is None else overlap, before.raters if raters is None else raters)
    _check(after)
    if after != before:
        _write_settings(connection, asdict(after))
        rows = [(_wanted(seed, after, row["id"]), row["id"]) for row in connection.execute("SELECT id FROM items")]
        connection.executemany("UPDATE items SET wanted = ?1 WHERE id = ?2 AND wanted <> ?1", rows)


def _sharing(settings: Mapping[str, float]) -> Sharing:
    return Sharing(settings["overlap"], int(settings["raters"]))


def _check(sharing: Sharing) -> None:
    if not 0 <= sharing.overlap <= 1:
        raise DataError(f"--overlap is {sharing.overlap}; expected a share from 0 to 1")
    if sharing.raters < 1:
        raise DataError(f"--raters is {sharing.raters}; expected 1 or more")


def read_settings(connection: sqlite3.Connection) -> dict[str, float]:
    """Seed, overlap and raters; empty in a new database."""
    return {row["key"]: json.loads(row["value"]) for row in connection.execute("SELECT key, value FROM settings")}


def _write_settings(connection: sqlite3.Connection, settings: dict[str, float]) -> None:
    rows = [(key, json.dumps(value)) for key, value in settings.items()]
    connection.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", rows)


def add_items(connection: sqlite3.Connection, items: Iterable[Item]) -> int:
    """Add those that are not there yet; return how many."""
    known = read_settings(connection)
    seed, sharing = int(known["seed"]), _sharing(known)
    before = connection.total_changes
    connection.executemany(
        "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
        (
            (
                item.id,
                item.kind,
                item.language,
                item.category,
                item.question,
                int(draw(seed, "position", item.id) * 2**53),
                _wanted(seed, sharing, item.id),
                json.dumps(item.content, ensure_ascii=False),
            )
            for item in items
        ),
    )
    return connection.total_changes - before


def _wanted(seed: int, sharing: Sharing, item: str) -> int:
    return sharing.raters if draw(seed, "overlap", item) < sharing.overlap else 1
