"""Two float32 engines and a float64 one on the same examples: how far each is from what exact arithmetic would give."""

from statistics import mean
from typing import Any

from benchmarks.evaluation.pairs import SIDES, SKIPPED, Workload, differences, order, side
from benchmarks.training.tables import print_table

EXACT = "float64"


def measure(workloads: list[Workload], arguments: Any, examples: int) -> list[dict[str, Any]]:
    """Distances of each engine's log-likelihoods from the float64 model's, in nats; printed as a table."""
    answers: dict[str, list[list[Any]]] = {}
    numbers = list(range(SKIPPED, SKIPPED + examples))
    for name in (*SIDES, EXACT):  # one at a time: the float64 model is large, and nothing is timed
        with side(name, arguments) as process:
            answers[name] = [order(process, work, numbers)["responses"] for work in workloads]
    rows = [
        _found(work, {name: found[place] for name, found in answers.items()}) for place, work in enumerate(workloads)
    ]
    columns = [(name, which) for name in (*SIDES, "apart") for which in ("mean", "largest")]
    head = ["task", "log-likelihoods", *(f"{name}: {which}" for name, which in columns)]
    cells = [[row["task"], row["n"], *(f"{row[name][which]:.1e}" for name, which in columns)] for row in rows]
    print_table(head, cells, "distance from float64, and of the two from each other, in nats")
    return rows


def _found(work: Workload, answers: dict[str, list[Any]]) -> dict[str, Any]:
    distances = {name: differences(answers[name], answers[EXACT]) for name in SIDES}
    distances["apart"] = differences(*(answers[name] for name in SIDES))
    figures = {name: {"mean": mean(values), "largest": max(values)} for name, values in distances.items()}
    return {"task": work.task, "n": len(distances["apart"]), **figures}
