"""Several processes train as one: the same losses and weights, checkpoints that any number of them continues."""

import os
import shutil
import signal
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext
from seallm.base.errors import ModelError, ProcessError
from seallm.base.processes import run_processes
from seallm.base.runtime import Runtime, Training, own_place
from seallm.recipe_training import Adapter, Dpo, Optimiser
from seallm.train.adapters import tune
from seallm.train.batches import TokenBatch, step_batch
from seallm.train.dpo import PairBatches
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.objectives import next_token_loss
from seallm.train.pairs import Pair, PairBatch
from seallm.train.processes import from_first, in_turn, join, leave
from seallm.train.reference import log_probabilities_of
from seallm.train.segments import conversation_segment
from seallm.train.start import Start
from seallm.train.stream import random_generator
from tests.train.conftest import rows_of, tiny_llama

CPU = torch.device("cpu")
ROWS = [300, 301, 330]
ONE_MINUTE = Training(timeout_minutes=1)


@dataclass(frozen=True)
class Job:
    """What each process does; a plain value, so that it reaches new processes."""

    folder: Path
    steps: int = 6
    stop_at: int | None = None
    rows_first: bool = False
    dtype: str = "float32"
    adapter: Adapter | None = None
    with_pairs: bool = False
    training: Training = ONE_MINUTE


def batches(step: int) -> StepBatch[TokenBatch]:
    """Five rows, which two or three processes cannot share evenly, of different lengths."""
    generator = random_generator(0, "toy", step)
    rows = []
    for start, length in zip(generator.integers(0, 300, 5), (24, 7, 20, 24, 3), strict=True):
        ids = [(int(start) + 3 * i) % 331 for i in range(length)]
        rows.append([conversation_segment(ids, [True] * length, "en")])
    return step_batch(rows, 24, CPU)


def one_step(generator_step: int, job: Job) -> StepBatch[TokenBatch]:
    if generator_step == job.stop_at:
        raise ModelError("stopped")
    return batches(generator_step)


def pair_phase(model: PreTrainedModel, runtime: Runtime) -> Phase[PairBatch]:
    """Five steps over seven pairs, which cannot be shared evenly either."""
    generator = random_generator(0, "pairs")
    lengths = generator.integers(1, 30, (7, 3))
    pairs = [Pair(*(generator.integers(0, 331, n).tolist() for n in sizes)) for sizes in lengths]
    reference = log_probabilities_of(model, pairs, runtime)
    found = PairBatches(pairs, reference, Dpo(batch_pairs=3, epochs=2.0), 0, CPU)
    return Phase("pairs", found.steps, found, found.objective, Optimiser(learning_rate=1e-3))


def train_once(job: Job) -> list[float]:
    """Train a tiny model; returns the sums of the absolute weights by parameter, or nothing where it is stopped."""
    torch.set_num_threads(1)
    job.folder.mkdir(parents=True, exist_ok=True)
    runtime = Runtime(device="cpu", dtype=job.dtype, show_progress=False, training=job.training)
    model = tiny_llama()
    context = StageContext(job.folder, {}, ("en",), 3, runtime, job.folder)
    settings = Optimiser(learning_rate=1e-3)
    tuned = tune(Start(model, None, ROWS), job.adapter, 0)  # type: ignore[arg-type]
    phases = [Phase("all", job.steps, partial(one_step, job=job), next_token_loss, settings, **tuned.rows)]
    if job.rows_first:
        phases.insert(0, Phase("rows", 3, batches, next_token_loss, settings, trained_rows=ROWS))
    if job.with_pairs:
        phases = [pair_phase(model, runtime)]
    try:
        train(model, phases, context, Periodic("toy", 2))
    except ModelError:
        return []
    return [float(p.detach().abs().sum()) for p in model.parameters()]


def train_all(jobs: list[Job]) -> list[list[float]]:
    """In each of several processes: one job after another."""
    join(Runtime(device="cpu", training=ONE_MINUTE))
    found = [train_once(job) for job in jobs]
    leave()
    return found


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in rows_of(folder / "metrics.jsonl")]


def check_equal(found: list[float], expected: list[float], folder: Path, other: Path) -> None:
    assert losses(folder) == pytest.approx(losses(other), abs=2e-6)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_processes_train_as_one_and_continue_each_other(tmp_path: Path) -> None:
    plain = Job(tmp_path / "one")
    jobs = [
        plain,
        Job(tmp_path / "one rows", rows_first=True),
        Job(tmp_path / "one adapter", adapter=Adapter(rank=2)),
        Job(tmp_path / "one pairs", with_pairs=True),
    ]
    expected = [train_once(job) for job in jobs]
    alone = Job(tmp_path / "from one", stop_at=4)
    assert train_once(alone) == []

    coarse = Training(timeout_minutes=1, activation_checkpointing=True)
    two = [replace(job, folder=tmp_path / job.folder.name.replace("one", "two")) for job in jobs]
    two += [
        replace(alone, stop_at=None),
        Job(tmp_path / "from two", stop_at=4),
        Job(tmp_path / "coarse", dtype="bfloat16", training=coarse),
    ]
    found = run_processes(train_all, [two], 2)
    for job, mine, theirs, other in zip(two, found, expected, jobs, strict=False):
        check_equal(mine, theirs, job.folder, other.folder)
    check_equal(found[4], expected[0], alone.folder, plain.folder)
    assert losses(tmp_path / "coarse") == pytest.approx(losses(plain.folder), rel=2e-2)
    assert len(losses(tmp_path / "from two")) == 4

    shutil.copytree(tmp_path / "from two", tmp_path / "from two to one")
    check_equal(train_once(Job(tmp_path / "from two to one")), expected[0], tmp_path / "from two to one", plain.folder)
    three = [replace(two[1], folder=tmp_path / "three rows"), Job(tmp_path / "from two")]
    rows, continued = run_processes(train_all, [three], 3)
    check_equal(rows, expected[1], three[0].folder, jobs[1].folder)
    check_equal(continued, expected[0], three[1].folder, plain.folder)


def take_turns(folder: Path) -> int:
    join(Runtime(device="cpu", training=ONE_MINUTE))
    with in_turn():
        with (folder / "log").open("a") as file:
            file.write(f"{own_place().rank}\n")
        time.sleep(0.05)
    agreed = from_first(lambda: own_place().rank + 7)
    if own_place().rank == 1:
        (folder / "killed").write_text(str(time.monotonic()))
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "agreed").write_text(str(agreed))
    from_first(lambda: time.sleep(60))
    return agreed


def test_turns_are_in_order_and_a_kill_ends_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="Process 1 of 2 was ended by SIGKILL"):
        run_processes(take_turns, [tmp_path], 2)
    assert time.monotonic() - float((tmp_path / "killed").read_text()) < 30
    assert (tmp_path / "agreed").read_text() == "7"
    assert (tmp_path / "log").read_text().split() == ["0", "1"]
