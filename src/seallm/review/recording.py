"""Comparisons that are made elsewhere, such as beside each other in a chat page, into a folder's review database."""

import json
import time
from pathlib import Path
from typing import Literal, get_args

from seallm.base.errors import DataError
from seallm.review.annotators import clean_name
from seallm.review.database import FILE, Database
from seallm.review.items import Comparison, comparison_item
from seallm.review.judging import record
from seallm.review.store import add_items, begin

Choice = Literal["first", "second", "tie", "both_bad"]
_TURNED: dict[Choice, Choice] = {"first": "second", "second": "first"}


def add_comparison(
    folder: Path,
    comparison: Comparison,
    *,
    annotator: str = "",
    choice: Choice | None = None,
    left: Literal[0, 1] = 0,
) -> str:
    """Add a pair of answers to compare, with what somebody already said of it, if they did.

    The database is made where there is none yet. A pair that is there already is not added again.

    Args:
        folder: of the review.
        comparison: the pair; `answers` in any order.
        annotator: who chose; needed with `choice`.
        choice: which of `answers` was better; None leaves it to those who review the folder.
        left: number of the answer that stood left (or first) before the annotator.

    Returns:
        The item's id.

    Raises:
        DataError: the pair or the name cannot be used.
        DatabaseBusy: the database is in use; nothing was written, try again.
        WorkspaceError: the database cannot be used.
    """
    item = comparison_item(comparison)
    name = clean_name(annotator) if choice else ""
    if choice is not None and choice not in get_args(Choice):
        raise DataError(f"choice {choice!r}; expected first, second, tie or both_bad")
    database = Database(folder / FILE)
    begin(database)
    with database.writing() as connection:
        add_items(connection, [item])
        if choice is not None:
            row = connection.execute("SELECT content FROM items WHERE id = ?", (item.id,)).fetchone()
            stored_first = json.loads(row["content"])["answers"][0]["model"]
            if stored_first != comparison.answers[0].model:  # the pair was there, in the other order
                choice, left = _TURNED.get(choice, choice), 0 if left else 1
            record(connection, name, item.id, choice, {"reasons": [], "note": "", "left": left}, None, time.time())
    return item.id
