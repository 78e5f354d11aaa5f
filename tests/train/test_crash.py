"""Kill -9 training at random moments and start it again, over and over: the bytes of an undisturbed run.

One controller process imports everything once and forks a child per attempt, so that an attempt costs no start-up; the
controller itself never computes, as threads do not survive a fork.
"""

import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seallm.base.artifacts import Artifact, StageContext
from seallm.base.runtime import Runtime
from seallm.recipe_training import Dpo, Dynamic, Hybrid, Mixture, Optimiser, Pretrain, Sft
from seallm.train import dpo, hybrid, pretrain, sft
from tests.folders import digests

FAST = Optimiser(learning_rate=5e-3)
STAGES = ("pretrain", "hybrid", "sft", "dpo")
KILLS = 2  # a stage


def start_stage(name: str, folder: Path, place: Path) -> None:
    """Run one stage on the inputs that lie in `folder`, as the plan does."""
    out = Artifact(name, place, "same").open_partial()
    inputs = {n: folder / n for n in ("corpus", "vocab", "prefer")} | {"model": folder / "base"}
    runtime = Runtime(workers=1, threads=1, show_progress=False)
    context = StageContext(out, inputs, ("en", "th", "lo"), 3, runtime, folder)
    batch = {"sequence_tokens": 160, "batch_tokens": 640, "checkpoint_every_steps": 2}
    chat = [str(folder / "chat.jsonl")]
    mixtures = [
        Mixture(name="rows", tiers=["high"], tokens=5_000, trainable="new-rows", optimiser=FAST),
        Mixture(name="both", tiers=["high", "low"], tokens=10_000, optimiser=FAST, dynamic=Dynamic()),
    ]
    match name:
        case "pretrain":
            pretrain.run(Pretrain(mixtures=mixtures, evaluate_every_steps=5, **batch), context)
        case "hybrid":
            hybrid.run(Hybrid(conversations=chat, tokens=15_000, optimiser=FAST, **batch), context)
        case "sft":
            measured = replace(context, inputs={**inputs, "instructions": folder / "instructions"})
            sft.run(Sft(epochs=20.0, optimiser=FAST, evaluate_every_steps=3, **batch), measured)
        case "dpo":
            dpo.run(Dpo(epochs=4.0, batch_pairs=4, checkpoint_every_steps=2, max_sequence_tokens=256), context)


def fork(action: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return child


def finish(child: int) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def controller(folder: Path, seed: int) -> None:
    """Every stage undisturbed, and killed again and again; prints the number of kills that hit."""
    rng = random.Random(seed)
    kills = 0
    for name in STAGES:
        calm, disturbed = folder / "calm" / name, folder / "disturbed" / name
        started = time.monotonic()
        finish(fork(functools.partial(start_stage, name, folder, calm)))
        seconds = time.monotonic() - started
        for _ in range(KILLS):
            child = fork(functools.partial(start_stage, name, folder, disturbed))
            time.sleep(rng.uniform(0.15, 0.9) * seconds)
            if os.waitpid(child, os.WNOHANG) == (0, 0):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                kills += 1
        finish(fork(functools.partial(start_stage, name, folder, disturbed)))
    print(kills)


@pytest.mark.usefixtures("base_folder", "corpus_folder", "chat_file", "prefer_folder", "vocab_folder")
def test_a_killed_stage_ends_in_the_same_bytes(tmp_path: Path) -> None:
    rows = (tmp_path / "chat.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "instructions").mkdir()
    for part, own in (("sft", rows[2:]), ("held_out", rows[:2])):
        (tmp_path / "instructions" / f"{part}.jsonl").write_text("".join(own), encoding="utf-8")
    command = [sys.executable, "-m", "tests.train.test_crash", str(tmp_path), "4"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout) >= len(STAGES), "too few kills hit a running stage"
    calm = digests(tmp_path / "calm")
    assert calm == digests(tmp_path / "disturbed")
    assert {f"{name}.partial/model/model.safetensors" for name in STAGES} <= calm.keys()
    assert not any("checkpoint" in name for name in calm)
    assert {"pretrain.partial/decisions.jsonl", "sft.partial/held_out.jsonl"} <= calm.keys()


if __name__ == "__main__":
    controller(Path(sys.argv[1]), int(sys.argv[2]))
