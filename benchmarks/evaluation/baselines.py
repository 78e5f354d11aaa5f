"""One model in, its figures on five benchmarks out: what a model of that size scores before anything is taught to it.

What is measured is what `seallm evaluate` measures; finished parts are kept, so that a stopped run goes on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.training.tables import print_table
from seallm.base.runtime import Runtime
from seallm.evaluate.alone import evaluate_models
from seallm.evaluate.candidates import FolderCandidate
from seallm.evaluate.figure_table import figure_text
from seallm.evaluate.measuring import Work
from seallm.recipe import Evaluate

BATCH = 8


@dataclass(frozen=True)
class Baseline:
    """A group of tasks, the folder of its data, examples a task (None: all) and shown before a question."""

    group: str
    folder: str
    limit: int | None
    shots: int | None = None  # as the benchmark is published


BASELINES = [
    Baseline("xcopa", "bench", None),
    Baseline("global_mmlu_lite", "bench", 40, shots=0),  # five examples in Burmese would fill the model's positions
    Baseline("sib200", "parallel", 30),
    Baseline("xquad", "bench", 20),
    Baseline("ntrex", "parallel", 8),
]
METRICS = {"xcopa": "accuracy_unnormalised"}  # as XCOPA is published; others by their first metric


def measure(model: Path, data: Path, out: Path, threads: int) -> list[dict[str, Any]]:
    """All base lines, printed as a table after each benchmark."""
    rows: list[dict[str, Any]] = []
    for baseline in BASELINES:
        place = (data / baseline.folder).resolve()
        settings = Evaluate(
            tasks=[baseline.group], data=str(place), limit=baseline.limit, shots=baseline.shots, batch_sequences=BATCH
        )
        candidate = FolderCandidate(model.name, model.resolve())
        work = Work((candidate,), settings, None, out.resolve() / baseline.group, Runtime(threads=threads))
        report = evaluate_models(work)
        found = report["rows"]
        wanted = METRICS.get(baseline.group, found[0]["metric"])
        rows += [row for row in found if row["metric"] == wanted]
        head = ["task", "language", "figure", "n", "chance", model.name]
        cells = [_cells(row) for row in rows]
        print_table(head, cells, f"base lines, 95 % intervals; prompts cut: {report['prompts_cut']}")
    return rows


def _cells(row: dict[str, Any]) -> list[object]:
    chance = "" if row["chance"] is None else f"{100 * row['chance']:.0f}"
    return [row["task"], row["language"], row["metric"], row["n"], chance, figure_text(row)]
