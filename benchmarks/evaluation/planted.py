"""Models that are known beforehand in, what the harness makes of them out: is what we measure what we say?

guesser    draws the likelihood of every choice anew: its accuracy is the mean of one over the number of choices
oracle     knows every answer: 100 %
shuffled   knows the answers of other rows: the share of pairs of rows with the same answer, 1/k where labels are even

No network is computed, so that every row of every multiple-choice task whose file is there is asked.
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from benchmarks.training.tables import print_table
from seallm.base.interval import wilson
from seallm.evaluate.harness import Limits, offline, score_task
from seallm.evaluate.task_files import benchmarks
from seallm.evaluate.task_loading import read_tasks

METRIC = "acc_bytes"


class Guesser(LM):
    """Draws a likelihood per byte for every choice."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self.random = random.Random(seed)

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        return [(-self.random.random() * max(1, len(r.args[1].strip().encode())), False) for r in requests]

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        raise NotImplementedError


class Knower(Guesser):
    """Is certain of one choice of each row."""

    def __init__(self, answers: Sequence[int]) -> None:
        super().__init__("")
        self.answers = answers

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        return [(0.0 if r.idx == self.answers[r.doc_id] else -1e6, True) for r in requests]


def measure(data: Path) -> dict[str, Any]:
    """All tasks whose files are under `data/bench` and `data/parallel`."""
    rows = []
    for folder in ("bench", "parallel"):
        with offline():
            for name, task in _tasks(data / folder).items():
                rows.append(_checked(name, task))
    head = ["task", "n", "chance", "guesser", "inside", "oracle", "chance of shuffled labels", "shuffled", "inside"]
    print_table(head, [_cells(row) for row in rows], "planted models, accuracy in percent with 95 % intervals")
    inside = {kind: sum(row[f"{kind}_inside"] for row in rows) for kind in ("guesser", "shuffled")}
    perfect = sum(row["oracle"] == 1 for row in rows)
    print(
        f"\n{perfect} of {len(rows)} tasks give the oracle 100 %. Inside their interval: guesser {inside['guesser']}, "
    )
    print(f"shuffled {inside['shuffled']} of {len(rows)} (19 of 20 are expected)", flush=True)
    return {"tasks": rows, "inside": inside, "perfect": perfect}


def _tasks(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, family in benchmarks().items():
        if family["kind"] in ("quiz", "xcopa", "label", "exam"):
            for group in (name, f"{name}_text") if family["kind"] == "exam" else (name,):
                found |= read_tasks([group], [], data, None, 0).tasks
    return found


def _checked(name: str, task: Any) -> dict[str, Any]:
    gold = [int(task.doc_to_target(doc)) for doc in task.eval_docs]
    n = len(gold)
    shuffled = random.Random(name).sample(gold, n)
    found = {}
    for kind, lm in (("guesser", Guesser(name)), ("oracle", Knower(gold)), ("shuffled", Knower(shuffled))):
        rows = score_task(lm, name, task, Limits(), chat=False, seed=0)
        row = next(row for row in rows if row["metric"] == METRIC)
        found[kind] = sum(row["values"]) / n
        chance = sum(row["chances"]) / n
    expected = {"guesser": chance, "shuffled": sum(count**2 for count in Counter(gold).values()) / n**2}
    result: dict[str, Any] = {"task": name.removeprefix("seallm_"), "n": n, **found}
    for kind, value in expected.items():
        low, high = wilson(round(found[kind] * n), n)
        result |= {f"{kind}_expected": value, f"{kind}_interval": [low, high], f"{kind}_inside": low <= value <= high}
    return result


def _cells(row: dict[str, Any]) -> list[object]:
    cells: list[object] = [row["task"], row["n"]]
    for kind in ("guesser", "shuffled"):
        low, high = row[f"{kind}_interval"]
        figure = f"{100 * row[kind]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        cells += [f"{100 * row[f'{kind}_expected']:.1f}", figure, "yes" if row[f"{kind}_inside"] else "no"]
        cells += [f"{100 * row['oracle']:.1f}"] if kind == "guesser" else []
    return cells
