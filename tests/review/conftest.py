"""A folder with a few items, opened for review."""

from pathlib import Path

import pytest

from seallm.review.database import Database
from seallm.review.store import fill, open_reviews
from tests.review.rows import CONVERSATIONS, PREFERENCE, pair, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four conversations in four languages, two pairs in Thai, a preference in Vietnamese."""
    made = write(tmp_path / "drafts", "chats.jsonl", CONVERSATIONS)
    return write(made, "pairs.jsonl", [pair(1), pair(2), PREFERENCE])


@pytest.fixture
def database(folder: Path) -> Database:
    """Every item is wanted from one annotator."""
    fill(folder, overlap=0.0)
    return open_reviews(folder)
