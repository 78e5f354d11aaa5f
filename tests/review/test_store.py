"""Filling: again, with more rows, with other sharing."""

from pathlib import Path

import pytest

from seallm.base.errors import DataError, WorkspaceError
from seallm.base.files import read_json_lines
from seallm.review.database import Database
from seallm.review.store import fill, open_reviews
from tests.review.rows import CONVERSATIONS, pair, write


def wanted(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {
            row["id"]: row["wanted"] for row in connection.execute("SELECT id, wanted FROM items ORDER BY position")
        }


def test_filling_again_adds_what_is_new(folder: Path) -> None:
    first = fill(folder)
    assert (first.added, first.total, first.refused) == (7, 7, [])
    write(folder, "more.jsonl", [pair(1), pair(3), {"x": 1}])
    (folder / "chats.jsonl").unlink()
    second = fill(folder)
    assert (second.added, second.total, len(second.refused)) == (1, 8, 1)  # nothing is taken away
    assert "more.jsonl:3" in str(next(read_json_lines(folder / "review" / "refused.jsonl"))[1])


def test_sharing_is_drawn_from_the_seed_and_kept(tmp_path: Path) -> None:
    folder = write(tmp_path, "a.jsonl", [pair(number) for number in range(400)])
    fill(folder, seed=3, overlap=0.25, raters=3)
    first = wanted(open_reviews(folder))
    assert 0.18 < sum(count == 3 for count in first.values()) / 400 < 0.32
    assert set(first.values()) == {1, 3}
    fill(folder)
    assert wanted(open_reviews(folder)) == first
    fill(folder, overlap=0.5)
    more = wanted(open_reviews(folder))
    assert all(more[item] == 3 for item, count in first.items() if count == 3)
    assert list(more) == list(first)
    fill(folder, overlap=1.0, raters=2)
    assert set(wanted(open_reviews(folder)).values()) == {2}


def test_the_queue_is_shuffled_by_the_seed(tmp_path: Path) -> None:
    queues = []
    for seed in (1, 2, 1):
        folder = write(tmp_path / str(len(queues)), "a.jsonl", [pair(number) for number in range(30)])
        fill(folder, seed=seed)
        queues.append(list(wanted(open_reviews(folder))))
    assert queues[0] == queues[2] != queues[1]


def test_the_seed_cannot_change(folder: Path) -> None:
    fill(folder, seed=1)
    fill(folder, seed=1)
    with pytest.raises(WorkspaceError, match="begun with --seed 1"):
        fill(folder, seed=2)


def test_nothing_to_review(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [{"x": 1}])
    with pytest.raises(DataError, match=r"no conversation or pair.*a.jsonl:1"):
        fill(tmp_path)
    assert not (tmp_path / "review").exists()
    with pytest.raises(WorkspaceError, match="Start `seallm review"):
        open_reviews(tmp_path)


@pytest.mark.parametrize("sharing", [{"overlap": 1.5}, {"overlap": -0.1}, {"overlap": float("nan")}, {"raters": 0}])
def test_bad_sharing(folder: Path, sharing: dict[str, float]) -> None:
    with pytest.raises(DataError):
        fill(folder, **sharing)  # type: ignore[arg-type]


def test_conversations_alone(tmp_path: Path) -> None:
    assert fill(write(tmp_path, "a.jsonl", CONVERSATIONS)).total == 4
