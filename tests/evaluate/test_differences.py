from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seallm.base.files import resolve_path
from seallm.evaluate.differences import differences
from seallm.evaluate.harness import figures, offline
from seallm.evaluate.metrics import corpus_chrf
from seallm.evaluate.task_loading import read_tasks


@pytest.fixture(scope="module")
def tasks() -> dict[str, Any]:
    data = resolve_path("sample:bench", Path.cwd())
    with offline():
        return read_tasks(["quiz_lo", "quiz_th", "ntrex_en_lo"], [], data, None, None).tasks


def scored(language: str, values: list[Any], metric: str = "acc_bytes", name: str = "quiz") -> dict[str, Any]:
    task = f"seallm_quiz_{language}" if name == "quiz" else "seallm_ntrex_en_lo"
    return {"name": task, "task": name, "language": language, "metric": metric, "values": values, "chances": []}


def test_paired_differences_are_surer_than_two_intervals(tasks: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    base = (random.random(200) < 0.5).astype(float)
    better = np.maximum(base, random.random(200) < 0.1).astype(float)
    of_models = {"a": [scored("lo", base.tolist())], "b": [scored("lo", better.tolist())]}
    (found,) = differences(of_models, tasks, seed=1)
    assert (found["model"], found["against"], found["metric"], found["n"]) == ("b", "a", "accuracy", 200)
    assert found["value"] == pytest.approx(float((better - base).mean()))
    assert 0 < found["low"] < found["value"] < found["high"]
    rows = [figures(of_models[name], tasks, 1)[0] for name in ("a", "b")]
    assert rows[0]["high"] > rows[1]["low"]  # the intervals of the two overlap


def test_equal_models_do_not_differ(tasks: dict[str, Any]) -> None:
    rows = [scored("lo", [1.0, 0.0, 1.0]), scored("th", [0.0, 0.0])]
    found = differences({"a": rows, "b": rows, "c": rows}, tasks, seed=1)
    assert [(row["model"], row["language"]) for row in found] == [
        (m, lang) for m in "bc" for lang in ("lo", "th", "all")
    ]
    assert all(row["value"] == row["low"] == row["high"] == 0 for row in found)


def test_translations_are_drawn_together(tasks: dict[str, Any]) -> None:
    wanted = [f"the house number {n} is red" for n in range(30)]
    good = [[text, text] for text in wanted]
    worse = [[text, text.replace("house", "car")] for text in wanted]
    of_models = {m: [scored("lo", pairs, "chrf++", "ntrex")] for m, pairs in (("good", good), ("worse", worse))}
    (found,) = differences(of_models, tasks, seed=1)
    assert found["value"] == pytest.approx(corpus_chrf([(a, b) for a, b in worse]) - 100)
    assert found["low"] <= found["value"] <= found["high"] < 0
