"""A question in, the answer that was paid for before out: one file an answer, named by all that the answer depends on.

Files appear whole or not at all, so any number of processes may use one folder, and what was answered before a kill is
there after it. A file that a lost disk or a hand has damaged counts as missing and is written anew.
"""

import json
import os
from pathlib import Path
from typing import Any

from seallm.base.files import write_json

FOLDER_VARIABLE = "SEALLM_ANSWERS"


def default_folder() -> Path:
    """Where answers are kept for all commands of a user: $SEALLM_ANSWERS, or `seallm/answers` in the user's cache."""
    own = os.environ.get(FOLDER_VARIABLE)
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or f"{caches}/seallm/answers").expanduser()


class AnswerCache:
    """Answers on disk, by key.

    Args:
        folder: made when the first answer is kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def find(self, key: str) -> dict[str, Any] | None:
        """The answer kept under a key (a hexadecimal fingerprint), or None."""
        if self.folder is None:
            return None
        try:
            entry = json.loads(self._path(key).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return entry["answer"] if isinstance(entry, dict) and isinstance(entry.get("answer"), dict) else None

    def keep(self, key: str, question: object, answer: dict[str, Any]) -> None:
        """Keep an answer; the question stands beside it for those who read the folder."""
        if self.folder is not None:
            write_json(self._path(key), {"question": question, "answer": answer})

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.json"
