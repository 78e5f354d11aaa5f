"""Several processes train as one: the same losses and weights, checkpoints that any number of them continues."""

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seallm.base.artifacts import StageContext
from seallm.base.errors import ModelError, ProcessError
from seallm.base.processes import run_processes
from seallm.base.runtime import Runtime, Training, own_place
from seallm.recipe_training import Optimiser
from seallm.train.batches import TokenBatch, step_batch
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.objectives import next_token_loss
from seallm.train.processes import from_first, in_turn, join, leave
from seallm.train.segments import conversation_segment
from seallm.train.stream import random_generator
from tests.train.conftest import rows_of, tiny_llama

CPU = torch.device("cpu")
ROWS = [300, 301, 330]


@dataclass(frozen=True)
class Job:
    """What each process does; a plain value, so that it reaches new processes."""

    folder: Path
    steps: int = 6
    stop_at: int | None = None
    rows_first: bool = False
    dtype: str = "float32"
    training: Training = Training(timeout_minutes=1)


def batches(step: int) -> StepBatch[TokenBatch]:
    """Five rows, which two or three processes cannot share evenly, of different lengths."""
    generator = random_generator(0, "toy", step)
    rows = []
    for start, length in zip(generator.integers(0, 300, 5), (24, 7, 20, 24, 3), strict=True):
        ids = [(int(start) + 3 * i) % 331 for i in range(length)]
        rows.append([conversation_segment(ids, [True] * length, "en")])
    return step_batch(rows, 24, CPU)


def work(job: Job) -> list[float]:
    """Train a tiny model; returns the sum of the absolute weights by parameter."""
    torch.set_num_threads(1)
    job.folder.mkdir(parents=True, exist_ok=True)
    runtime = Runtime(device="cpu", dtype=job.dtype, show_progress=False, training=job.training)
    join(runtime)

    def until(step: int) -> StepBatch[TokenBatch]:
        if step == job.stop_at:
            raise ModelError("stopped")
        return batches(step)

    model = tiny_llama()
    context = StageContext(job.folder, {}, ("en",), 3, runtime, job.folder)
    settings = Optimiser(learning_rate=1e-3)
    phases = [Phase("all", job.steps, until, next_token_loss, settings)]
    if job.rows_first:
        phases.insert(0, Phase("rows", 3, batches, next_token_loss, settings, trained_rows=ROWS))
    train(model, phases, context, Periodic("toy", 2))
    leave()
    return [float(p.detach().abs().sum()) for p in model.parameters()]


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in rows_of(folder / "metrics.jsonl")]


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_train_as_one(processes: int, tmp_path: Path) -> None:
    expected = work(Job(tmp_path / "one", rows_first=True))
    found = run_processes(work, [Job(tmp_path / "many", rows_first=True)], processes)
    assert losses(tmp_path / "many") == pytest.approx(losses(tmp_path / "one"), abs=2e-6)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_processes_continues(first: int, second: int, tmp_path: Path) -> None:
    expected = work(Job(tmp_path / "one"))
    stopped = Job(tmp_path / "moved", stop_at=4)

    def run(job: Job, processes: int) -> Any:
        return work(job) if processes == 1 else run_processes(work, [job], processes)

    with pytest.raises(ModelError, match="stopped"):
        run(stopped, first)
    assert len(losses(tmp_path / "moved")) == 4
    found = run(replace(stopped, stop_at=None), second)
    assert losses(tmp_path / "moved") == pytest.approx(losses(tmp_path / "one"), abs=2e-6)
    assert found == pytest.approx(expected, rel=1e-5)


def test_bfloat16_and_blocks_computed_again_are_near(tmp_path: Path) -> None:
    work(Job(tmp_path / "plain"))
    settings = Training(timeout_minutes=1, activation_checkpointing=True)
    run_processes(work, [Job(tmp_path / "many", dtype="bfloat16", training=settings)], 2)
    assert losses(tmp_path / "many") == pytest.approx(losses(tmp_path / "plain"), rel=2e-2)


def take_turns(folder: Path) -> int:
    join(Runtime(device="cpu", training=Training(timeout_minutes=1)))
    with in_turn():
        with (folder / "log").open("a") as file:
            file.write(f"{own_place().rank}\n")
        time.sleep(0.05)
    agreed = from_first(lambda: own_place().rank + 7)
    leave()
    return agreed


def test_turns_are_in_order_and_what_the_first_says_holds(tmp_path: Path) -> None:
    assert run_processes(take_turns, [tmp_path], 3) == 7
    assert (tmp_path / "log").read_text().split() == ["0", "1", "2"]


def die_or_wait(how: str) -> None:
    join(Runtime(device="cpu", training=Training(timeout_minutes=1)))
    if own_place().rank == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ModelError("rank 1 found a fault") if how == "ours" else RuntimeError("a bug")
    from_first(lambda: time.sleep(60))


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("killed", ProcessError, r"Process 1 of 2 was ended by SIGKILL.*continues"),
        ("ours", ModelError, "rank 1 found a fault"),
        ("bug", ProcessError, "Process 1 of 2 ended with the error above"),
    ],
)
def test_one_that_ends_ends_all_at_once(how: str, error: type[Exception], message: str) -> None:
    started = time.monotonic()
    with pytest.raises(error, match=message):
        run_processes(die_or_wait, [how], 2)
    assert time.monotonic() - started < 30
