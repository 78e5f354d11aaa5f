"""Processes that know their place, and end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seallm.base.errors import MissingExtra, ProcessError, RecipeError
from seallm.base.processes import run_processes
from seallm.base.runtime import Place, own_place


def places(folder: Path) -> Place:
    place = own_place()
    (folder / f"{place.rank}.txt").write_text(f"{place} {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}")
    return place


def end(how: str) -> str:
    if own_place().rank == 0:
        time.sleep(60)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    if how == "ours":
        raise MissingExtra("peft", "adapters")
    raise ValueError("a bug")


def test_each_knows_its_place(tmp_path: Path) -> None:
    assert run_processes(places, [tmp_path], 3) == Place(0, 3, 0)
    texts = [(tmp_path / f"{rank}.txt").read_text() for rank in range(3)]
    assert [text.partition(")")[0] for text in texts] == [
        f"Place(rank={rank}, processes=3, local_rank={rank}" for rank in range(3)
    ]
    assert len({text.partition(") ")[2] for text in texts}) == 1
    assert own_place() == Place(0, 1, 0), "the caller stays as it was"


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        (
            "kill",
            ProcessError,
            r"Process 1 of 2 was ended by SIGKILL \(often: out of memory\); the others were stopped",
        ),
        ("exit", ProcessError, "Process 1 of 2 ended with status 3"),
        ("ours", MissingExtra, r"pip install 'seallm\[adapters\]'"),
        ("bug", ProcessError, "Process 1 of 2 ended with the error above.*continues from the last checkpoint"),
    ],
)
def test_the_first_failure_ends_all(
    how: str, error: type[Exception], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    with pytest.raises(error, match=message):
        run_processes(end, [how], 2)
    assert time.monotonic() - started < 20
    assert ("ValueError: a bug" in capfd.readouterr().err) == (how == "bug")


def wait_for_ever(folder: Path) -> None:
    (folder / str(own_place().rank)).write_text(str(os.getpid()))
    while True:
        time.sleep(1)


def test_they_end_with_their_parent(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom seallm.base.processes import run_processes\n"
        "from tests.base.test_processes import wait_for_ever\n"
        f"if __name__ == '__main__':\n    run_processes(wait_for_ever, [Path({str(tmp_path)!r})], 2)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    until = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    pids = [int(path.read_text()) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_whole_run_is_not_for_torchrun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from seallm.plan import make_plan, run_plan, run_shared_stage
    from seallm.recipe_file import load_recipe

    plan = make_plan(load_recipe(Path("recipes/quickstart.toml")), Path("recipes").resolve(), tmp_path)
    with pytest.raises(RecipeError, match="'corpus' is not shared by processes; those that are: pretrain"):
        run_shared_stage(plan, "corpus")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ProcessError, match="torchrun"):
        run_plan(plan, lambda *_: None)
