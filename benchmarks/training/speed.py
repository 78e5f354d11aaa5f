"""seallm beside transformers' Trainer and TRL: seconds a step, peak memory, and that both compute the same losses.

Every side runs in a process of its own, one after another, round after round, so that a busy machine slows all alike.
Equal settings must give equal losses (tolerance LOSS) and, for DPO, equal log-probabilities of the reference
(tolerance LOG_PROBABILITY on sums of 65 tokens near -600). TRL's SFTTrainer packs in an order of its own: its losses
are compared in tests/train/test_oracle.py, where it is told not to pack.
"""

import itertools
import json
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.training.sides import DOCUMENT_TOKENS, PAIRS, ROW_TOKENS, ROWS
from benchmarks.training.tables import print_table

ROUNDS, STEPS = 3, 8
LOSS, LOG_PROBABILITY = 1e-4, 2e-2
WHAT = {
    "pretrain": (f"{ROWS} rows of {ROW_TOKENS} tokens, documents of {DOCUMENT_TOKENS}", ROWS * ROW_TOKENS, "tokens/s"),
    "sft": ("the same, a quarter of the tokens supervised", ROWS * ROW_TOKENS, "tokens/s"),
    "dpo": ("prompt 384, answers 64; reference computed beforehand", PAIRS, "pairs/s"),
}
# job: side, least speed-up wanted of seallm over it, most memory wanted of seallm as a share of its
OTHERS = {
    "pretrain": [("transformers", 1.0, 0.6)],
    "sft": [("transformers", 2.0, None), ("trl", 3.0, None)],
    "dpo": [("trl", 3.0, None)],
}


def run_side(side: str, steps: int) -> dict[str, Any]:
    """What one side printed: every line of JSON, put together."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training.sides", side, "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side} failed:\n{done.stderr[-2_000:]}")
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith('{"'):
            found |= json.loads(line)
    return found


def measure(job: str, rounds: int, steps: int) -> dict[str, Any]:
    """All sides of a job in turn; medians over rounds."""
    sides = ["seallm", *(name for name, *_ in OTHERS[job])]
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides:
            found = run_side(f"{job}-{side}", steps)
            runs[side].append(found)
            print(f"{job:<9} {side:<13} round {number + 1}: {found['seconds']:.2f} s a step", flush=True)
    middle = {
        side: {key: statistics.median(run[key] for run in found) for key in ("seconds", "processor_seconds", "peak_mb")}
        | {"losses": found[0]["losses"], "log_probabilities": found[0].get("log_probabilities")}
        for side, found in runs.items()
    }
    return {"sides": middle, "checks": _checks(job, middle)}


def _checks(job: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    checks: dict[str, Any] = {}
    ours = found["seallm"]
    for side, speed_up, memory_share in OTHERS[job]:
        theirs = found[side]
        checks[f"speed-up over {side}"] = (theirs["seconds"] / ours["seconds"], speed_up)
        checks[f"speed-up over {side}, processor time"] = (
            theirs["processor_seconds"] / ours["processor_seconds"],
            speed_up,
        )
        if memory_share is not None:
            checks[f"peak memory, share of {side}'s"] = (ours["peak_mb"] / theirs["peak_mb"], memory_share)
        if (job, side) != ("sft", "trl"):
            worst = max(abs(a - b) for a, b in zip(ours["losses"], theirs["losses"], strict=True))
            # both train on; what rounding did to the first steps grows in the later ones
            checks[f"largest difference of losses to {side}"] = (worst, LOSS if job != "dpo" else 10 * LOSS)
        if job == "dpo":
            sums = zip(*(itertools.chain(*found["log_probabilities"]) for found in (ours, theirs)), strict=True)
            checks["largest difference of log-probabilities"] = (max(abs(a - b) for a, b in sums), LOG_PROBABILITY)
    return checks


def run(jobs: tuple[str, ...] = tuple(OTHERS), rounds: int = ROUNDS, steps: int = STEPS) -> dict[str, Any]:
    """Measure and print."""
    results = {job: measure(job, rounds, steps) for job in jobs}
    rows = []
    for job, found in results.items():
        _, units, _ = WHAT[job]
        for side, figures in found["sides"].items():
            speeds = [f"{units / figures[key]:,.1f}" for key in ("seconds", "processor_seconds")]
            rows.append([job, side, *speeds, WHAT[job][2], f"{figures['peak_mb']:,.0f}"])
    head = ("job", "side", "by wall time", "by processor time", "unit", "peak MB")
    print_table(head, rows, f"Speed and memory, one thread, median of {rounds} rounds")
    checks = [
        [job, name, f"{value:.3g}", f"{'>=' if name.startswith('speed') else '<='} {limit:g}"]
        for job, found in results.items()
        for name, (value, limit) in found["checks"].items()
    ]
    print_table(("job", "figure", "found", "wanted"), checks, "What it shows")
    return results
