"""Models that are known beforehand, on every multiple-choice task: chance, certainty, and chance again."""

import random
from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from typing import Any

import pytest

from seallm.evaluate.harness import offline
from seallm.evaluate.metrics import SUBMISSION
from seallm.evaluate.task_files import benchmarks
from seallm.evaluate.task_loading import read_tasks
from tests.evaluate.published import write_published

KINDS = ("quiz", "xcopa", "label", "exam")
GROUPS = [
    group
    for name, family in benchmarks().items()
    if family["kind"] in KINDS
    for group in ((name, f"{name}_text") if family["kind"] == "exam" else (name,))
]
TRIALS = 4
FAR = 4.5  # standard errors: about 100 tasks are looked at, and then all of them together


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data = tmp_path_factory.mktemp("published")
    write_published(data)
    with offline():
        return read_tasks(GROUPS, [], data, None, None).tasks


def shares(
    task: Any, metric: str, likelihoods: Callable[[Any, list[str]], list[float]]
) -> Iterator[tuple[float, float]]:
    """(score, what guessing would score) of every row, many times over."""
    for _ in range(TRIALS):
        for doc in task.eval_docs:
            choices = task.doc_to_choice(doc)
            found = task.process_results(doc, [(value, False) for value in likelihoods(doc, choices)])
            yield float(found[metric]), 1 / len(choices)


def is_chance(found: Sequence[tuple[float, float]]) -> bool:
    hits, expected = sum(hit for hit, _ in found), sum(chance for _, chance in found)
    return abs(hits - expected) <= FAR * sqrt(sum(chance * (1 - chance) for _, chance in found))


def test_every_multiple_choice_task_is_looked_at(tasks: dict[str, Any]) -> None:
    languages = sum(len(benchmarks()[group.removesuffix("_text")]["languages"]) for group in GROUPS)
    assert len(tasks) == languages > 90
    assert all(
        task.OUTPUT_TYPE == "multiple_choice" and SUBMISSION not in task.aggregation() for task in tasks.values()
    )


def test_guessing_scores_one_over_the_number_of_choices(tasks: dict[str, Any]) -> None:
    draw, together = random.Random(1), []
    ways = {
        "acc_bytes": lambda _, choices: [-draw.random() * len(choice.encode()) for choice in choices],
        "acc": lambda _, choices: [-draw.random() for _ in choices],
    }
    for name, task in tasks.items():
        for metric in task.aggregation():
            found = list(shares(task, metric, ways[metric]))
            assert is_chance(found), name
            together += found
    assert len(together) > 2_000
    assert is_chance(together)


def test_knowing_scores_everything_and_knowing_other_rows_scores_chance(tasks: dict[str, Any]) -> None:
    draw, together = random.Random(2), []

    def certain(of: int, choices: list[str]) -> list[float]:
        return [0.0 if number == of else -1e4 for number in range(len(choices))]

    for name, task in tasks.items():
        known = shares(task, "acc_bytes", lambda doc, choices, t=task: certain(t.doc_to_target(doc), choices))
        assert all(score == 1 for score, _ in known), name
        shuffled = list(shares(task, "acc_bytes", lambda _, choices: certain(draw.randrange(len(choices)), choices)))
        assert is_chance(shuffled), name
        together += shuffled
    assert is_chance(together)
