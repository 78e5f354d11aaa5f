import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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


def note_surroundings(shard: str, result: Path) -> None:
    write_text(result, f"{os.environ.get(shard)} {Path.cwd()}")


def test_workers_see_the_surroundings_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("first", "second"):
        folder = tmp_path / value
        folder.mkdir()
        monkeypatch.setenv("SEALLM_TEST_VARIABLE", value)
        monkeypatch.chdir(folder)
        results = [folder / "a", folder / "b"]
        map_shards(note_surroundings, ["SEALLM_TEST_VARIABLE"] * 2, results, "", Runtime(2, show_progress=False))
        assert [p.read_text() for p in results] == [f"{value} {folder}"] * 2


def wait_for_ever(shard: int, result: Path) -> None:
    write_text(result.with_suffix(".pid"), str(os.getpid()))
    time.sleep(600)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_workers_end_with_their_killed_parent(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from seallm.base.runtime import Runtime\n"
        "from seallm.base.shards import map_shards; from tests.base.test_shards import wait_for_ever\n"
        "if __name__ == '__main__':\n"
        "    results = [Path(sys.argv[1]) / name for name in ('a', 'b')]\n"
        "    map_shards(wait_for_ever, [1, 2], results, 'waiting', Runtime(workers=2, show_progress=False))\n"
    )
    (tmp_path / "wait.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, tmp_path / "wait.py", tmp_path], env=environment) as parent:
        wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        parent.send_signal(signal.SIGKILL)
    workers = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    wait_until(lambda: not any(map(is_running, workers)))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.05)
