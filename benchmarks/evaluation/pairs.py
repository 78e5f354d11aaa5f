"""Two engines in turns on the same examples: speed, memory, and that they find the same."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.training.tables import print_table

SIDES = ("seallm", "lm-eval")
SKIPPED = 8  # rows at the start of a file are the examples of all others, and have other ones themselves
Found = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """A task of seallm, the folder of its data, and how many examples its prompts show."""

    task: str
    folder: str
    shots: int


@dataclass
class Total:
    """What one side did of one task."""

    seconds: float = 0.0
    processor_seconds: float = 0.0
    peak_mb: float = 0.0
    values: dict[str, list[Any]] = field(default_factory=dict)
    responses: list[Any] = field(default_factory=list)

    def add(self, found: Found) -> None:
        """One turn more."""
        self.seconds += found["seconds"]
        self.processor_seconds += found["processor_seconds"]
        self.peak_mb = found["peak_mb"]  # of the process so far
        self.responses += found["responses"]
        for metric, values in found["values"].items():
            self.values.setdefault(metric, []).extend(values)


@contextmanager
def side(name: str, arguments: Any) -> Iterator[subprocess.Popen[str]]:
    """The process of one side, ready for orders."""
    options = {"--model": arguments.model, "--data": arguments.data, "--batch": arguments.batch}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.evaluation.side", name]
    command += [str(part) for option in options.items() for part in option] + ["--threads", str(arguments.threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        _reply(process)
        yield process
    finally:
        process.kill()
        process.wait()


def _reply(process: subprocess.Popen[str]) -> Found:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            found: Found = json.loads(line)
            return found
    raise RuntimeError(f"A side ended with status {process.wait()}; its error is above")


def order(process: subprocess.Popen[str], work: Workload, numbers: list[int]) -> Found:
    """What a side makes of some rows of a workload."""
    assert process.stdin is not None
    asked = {"task": work.task, "folder": work.folder, "shots": work.shots, "numbers": numbers}
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.flush()
    return _reply(process)


def measure(part: str, workloads: list[Workload], arguments: Any, examples: int, wanted: float) -> Found:
    """All workloads of a part on both sides, in turns; printed as a table."""
    print(
        f"\n== {part}: batch {arguments.batch}, {arguments.threads} thread(s) a side, {examples} examples", flush=True
    )
    found: dict[str, dict[str, Total]] = {work.task: {name: Total() for name in SIDES} for work in workloads}
    with side(SIDES[0], arguments) as ours, side(SIDES[1], arguments) as theirs:
        processes = dict(zip(SIDES, (ours, theirs), strict=True))
        for work in workloads:
            for turn in range(arguments.rounds):
                first, last = (SKIPPED + examples * (turn + step) // arguments.rounds for step in (0, 1))
                for name in SIDES if turn % 2 == 0 else SIDES[::-1]:
                    found[work.task][name].add(order(processes[name], work, list(range(first, last))))
            print(_line(work, found[work.task]), flush=True)
    return _table(part, workloads, found, wanted)


def _line(work: Workload, of: dict[str, Total]) -> str:
    ours, theirs = (of[name] for name in SIDES)
    ratio = theirs.processor_seconds / ours.processor_seconds
    return f"{work.task}: {ours.seconds:.1f} s against {theirs.seconds:.1f} s; processor time {ratio:.2f}x"


def _table(part: str, workloads: list[Workload], found: dict[str, dict[str, Total]], wanted: float) -> Found:
    rows, checks = [], []
    for work in workloads:
        ours, theirs = (found[work.task][name] for name in SIDES)
        count = len(ours.responses)
        checks.append({"task": work.task, "shots": work.shots, "n": count, **_agreement(ours, theirs)})
        checks[-1] |= {"examples_a_second": {n: count / found[work.task][n].seconds for n in SIDES}}
        checks[-1] |= {"speed_up": theirs.seconds / ours.seconds}
        checks[-1] |= {"speed_up_processor": theirs.processor_seconds / ours.processor_seconds}
        checks[-1] |= {"peak_mb": {n: found[work.task][n].peak_mb for n in SIDES}}
        rows.append(_row(checks[-1]))
    total = {name: sum(found[w.task][name].seconds for w in workloads) for name in SIDES}
    whole = total["lm-eval"] / total["seallm"]
    head = ["task", "examples shown", "n", "seallm ex/s", "lm-eval ex/s", "speed-up", "in processor time"]
    print_table([*head, "peak MB seallm", "lm-eval", "largest difference", "same scores"], rows, part)
    verdict = "reached" if whole >= wanted else "NOT reached"
    print(f"\nAll tasks together: {whole:.2f}x; wanted {wanted}x: {verdict}", flush=True)
    return {"tasks": checks, "speed_up": whole, "wanted": wanted}


def _agreement(ours: Total, theirs: Total) -> Found:
    """The largest difference of two log-likelihoods, or the number of equal answers; and whether scores are equal."""
    scores = ours.values == theirs.values
    if isinstance(ours.responses[0][0], str):
        equal = [a == b for a, b in zip(ours.responses, theirs.responses, strict=True)]
        return {"same_scores": scores, "equal_answers": sum(equal), "largest_difference": None}
    largest = max(differences(ours.responses, theirs.responses))
    return {"same_scores": scores, "equal_answers": None, "largest_difference": largest}


def differences(ours: list[Any], theirs: list[Any]) -> list[float]:
    """How far two log-likelihoods of each choice of each example are apart, in nats."""
    both = zip(ours, theirs, strict=True)
    return [abs(a[0] - b[0]) for mine, other in both for a, b in zip(mine, other, strict=True)]


def _row(check: Found) -> list[object]:
    speed, peak, difference = check["examples_a_second"], check["peak_mb"], check["largest_difference"]
    agreement = f"{check['equal_answers']} of {check['n']} equal" if difference is None else f"{difference:.1e}"
    return [
        check["task"],
        check["shots"],
        check["n"],
        f"{speed['seallm']:.2f}",
        f"{speed['lm-eval']:.2f}",
        f"{check['speed_up']:.2f}x",
        f"{check['speed_up_processor']:.2f}x",
        f"{peak['seallm']:.0f}",
        f"{peak['lm-eval']:.0f}",
        agreement,
        "yes" if check["same_scores"] else "no",
    ]
