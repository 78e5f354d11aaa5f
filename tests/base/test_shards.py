from pathlib import Path

import pytest

from seallm.base.files import write_text
from seallm.base.runtime import Runtime
from seallm.base.shards import map_shards


def square(shard: int, result: Path) -> None:
    if shard == 13:
        raise ValueError("unlucky")
    write_text(result, str(shard * shard))


@pytest.mark.parametrize("workers", [1, 2])
def test_every_shard_gets_its_file(tmp_path: Path, workers: int) -> None:
    results = [tmp_path / f"{n}.txt" for n in range(5)]
    map_shards(square, range(5), results, "squares", Runtime(workers=workers, show_progress=False))
    assert [p.read_text() for p in results] == ["0", "1", "4", "9", "16"]


def test_finished_shards_are_not_done_again(tmp_path: Path) -> None:
    results = [tmp_path / f"{n}.txt" for n in range(3)]
    results[1].write_text("kept")
    map_shards(square, range(3), results, "squares", Runtime(show_progress=False))
    assert [p.read_text() for p in results] == ["0", "kept", "4"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_not_swallowed(tmp_path: Path, workers: int) -> None:
    results = [tmp_path / f"{n}.txt" for n in (1, 13)]
    with pytest.raises(ValueError, match="unlucky"):
        map_shards(square, [1, 13], results, "squares", Runtime(workers=workers, show_progress=False))
    assert not results[1].exists()
