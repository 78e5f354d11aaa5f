"""Kill -9 every stage at random moments, run again: the same bytes as an undisturbed run.

One controller process imports everything once and forks a child per attempt, so that an attempt costs no start-up.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seallm.plan import Plan, run_plan
from tests.folders import digests
from tests.small_run import small_plan

STAGES = ("base", "corpus", "vocab", "pretrain", "hybrid", "sft", "prefer", "dpo", "evaluate", "report")
WAIT_SECONDS = 600.0


def start_child(plan: Plan) -> int:
    """Fork a process, leader of its own group, that runs the plan."""
    child = os.fork()
    if child == 0:
        os.setsid()
        status = 1
        try:
            run_plan(plan, lambda stage, state: None)
            status = 0
        finally:
            os._exit(status)
    return child


def kill_during(plan: Plan, stage: str, delay: float) -> bool:
    """Start a run, and kill it `delay` seconds after the stage has begun; True where it was still running."""
    partial, done = plan.stage(stage).artifact.partial, plan.stage(stage).artifact.folder
    child = start_child(plan)
    deadline = time.monotonic() + WAIT_SECONDS
    while not partial.exists() and not done.exists():
        assert time.monotonic() < deadline, f"{stage} did not begin"
        assert os.waitpid(child, os.WNOHANG) == (0, 0), f"the run ended before {stage}"
        time.sleep(0.005)
    time.sleep(delay)
    alive = os.waitpid(child, os.WNOHANG) == (0, 0)
    if alive:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return alive


def run_to_the_end(plan: Plan) -> None:
    child = start_child(plan)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def controller(workspace: Path, seed: int) -> None:
    """The undisturbed run, and the one that is killed in every stage."""
    import lm_eval.evaluator  # noqa: F401  (imported before the fork, so that children need not)
    import transformers  # noqa: F401

    calm, disturbed = small_plan(workspace / "calm"), small_plan(workspace / "disturbed")
    run_to_the_end(calm)
    seconds = {s.kind.name: (s.artifact.manifest() or {})["seconds"] for s in calm.stages}
    rng = random.Random(seed)
    kills = sum(kill_during(disturbed, stage, rng.random() * 0.9 * seconds[stage]) for stage in STAGES)
    run_to_the_end(disturbed)
    print(f"killed {kills} times")


@pytest.mark.slow
def test_killed_anywhere_the_same_bytes_come_out(tmp_path: Path) -> None:
    seed = 1
    command = [sys.executable, "-m", "tests.test_crash", str(tmp_path), str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert result.returncode == 0, result.stderr[-3000:]
    kills = int(result.stdout.split()[-2])
    assert kills >= 7, f"only {kills} stages were killed while they ran"
    calm, disturbed = digests(tmp_path / "calm" / "small"), digests(tmp_path / "disturbed" / "small")
    assert calm.keys() == disturbed.keys()
    assert [name for name in calm if calm[name] != disturbed[name]] == []


if __name__ == "__main__":
    controller(Path(sys.argv[1]), int(sys.argv[2]))
