"""JSON lines with a `step`, that a resumed run continues just after its checkpoint."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines, write_json_lines
from seallm.base.runtime import own_place


class StepLog:
    """A file of rows `{"step": ..., ...}`; a step is a number, or a word for what was before training.

    Of processes that train together, the first alone writes; all can read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writes = own_place().rank == 0

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows; a kill may have left half a last one, which is left out."""
        if not self.path.is_file():
            return []
        return [row for _, row in read_json_lines(self.path) if not isinstance(row, DataError)]

    def keep_until(self, step: int) -> None:
        """Drop rows of later steps: the resumed run will write them again."""
        if self._writes:
            write_json_lines(self.path, [r for r in self.rows() if not isinstance(r["step"], int) or r["step"] <= step])

    def append(self, row: dict[str, Any]) -> None:
        """Add a row."""
        if self._writes:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def put(self, step: int | str, rows: Sequence[dict[str, Any]]) -> None:
        """Write the rows of a step, all or none, in place of those it has."""
        if self._writes:
            others = [row for row in self.rows() if row["step"] != step]
            write_json_lines(self.path, [*others, *({"step": step, **row} for row in rows)])

    def flush(self) -> None:
        """Have the rows on disk before a checkpoint that counts on them."""
        if self._writes and self.path.is_file():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
