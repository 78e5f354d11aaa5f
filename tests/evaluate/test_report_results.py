"""Grouping, pooling and averaging of results; and the words of the headline where a run did not go well."""

import math
from typing import Any

import pytest

from seallm.base.interval import wilson
from seallm.evaluate.report_headline import headline, sentence
from seallm.evaluate.report_results import (
    mean_estimate,
    metric_name,
    pooled_share,
    radar_figures,
    safety_figures,
    task_figures,
)


def row(
    model: str, task: str, language: str, value: float | None, metric: str = "accuracy", n: int = 20
) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    names = {"model": model, "task": task, "language": language, "metric": metric}
    return {**names, "value": value, "low": low, "high": high, "n": n, "chance": 0.25}


def test_metric_names() -> None:
    assert [metric_name(m) for m in ("acc,none", "refusal_rate", "chrf++")] == ["acc", "refusal", "chrf++"]


def test_tasks_follow_the_recipe_and_rows_the_languages() -> None:
    rows = [
        row("dpo", "b", "th", 0.5),
        row("base", "b", "th", 0.2),
        row("base", "b", "all", 0.2),
        row("base", "b", "en", 0.3),
    ]
    rows += [
        row("base", "a", "th", 0.1, "f1"),
        row("base", "a", "th", 0.1, "accuracy"),
        row("base", "a", "th", 0.1, "own"),
    ]
    tasks = task_figures(rows, ["b", "a"], ["en", "th"])
    assert [(t["task"], t["metric"], t["is_primary"]) for t in tasks] == [
        ("b", "accuracy", True),
        ("a", "accuracy", True),
        ("a", "f1", False),
        ("a", "own", False),
    ]
    assert [r["language"] for r in tasks[0]["rows"]] == ["all", "en", "th"]
    assert [c["model"] for c in tasks[0]["rows"][2]["cells"]] == ["base", "dpo"]


def test_pooled_share_counts_examples() -> None:
    pooled = pooled_share([{"value": 0.5, "n": 10}, {"value": 1.0, "n": 30}, {"value": None, "n": 5}])
    assert pooled
    assert (pooled["value"], pooled["n"]) == (0.875, 40)
    assert (pooled["low"], pooled["high"]) == wilson(35, 40)
    assert pooled_share([]) is None


def test_mean_of_equal_estimates_narrows_with_the_root_of_their_number() -> None:
    one = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 20}
    mean = mean_estimate([one] * 4, [1.0] * 4)
    assert mean["value"] == 0.5
    assert mean["high"] - mean["low"] == pytest.approx(0.2 / math.sqrt(4))
    assert mean["n"] == 80
    assert mean_estimate([one, {**one, "low": None}], [1.0, 1.0])["low"] is None
    assert mean_estimate([{"value": 30.0, "low": 20.0, "high": 40.0, "n": 5}], [100.0])["value"] == 0.3


def test_radar_compares_models_on_the_same_cells() -> None:
    rows = [row(m, "quiz", code, v) for m, v in (("base", 0.2), ("sft", 0.8)) for code in ("en", "th", "all")]
    rows += [row("sft", "quiz", "lo", 0.9), row("hybrid", "quiz", "en", 0.5)]
    rows += [row(m, "parallel", "en", 2.0, "bits_per_byte") for m in ("base", "sft")]
    figures = radar_figures(task_figures(rows, ["quiz"], ["en", "th", "lo"]), ["en", "th", "lo"])
    assert figures["models"] == ["base", "sft"]
    assert (figures["cells"], figures["cells_left_out"]) == (2, 1)
    assert [axis["name"] for axis in figures["by_language"]] == ["en", "th"]
    (quiz,) = figures["by_task"]
    assert quiz["chance"] == 0.25
    assert {m: e["value"] for m, e in quiz["models"].items()} == {"base": 0.2, "sft": pytest.approx(0.8)}


def test_safety_takes_the_whole_where_it_is_given_and_pools_where_not() -> None:
    rows = [row("sft", "safety", "en", 1.0, "refusal", 10), row("sft", "safety", "th", 0.5, "refusal", 10)]
    rows += [row("dpo", "safety", "all", 0.4, "refusal", 20), row("dpo", "safety", "en", 0.9, "refusal", 10)]
    figures = safety_figures(rows, ["en", "th"])
    assert figures
    assert [(m["model"], m["refusal"]["value"], m["over_refusal"]) for m in figures["models"]] == [
        ("sft", 0.75, None),
        ("dpo", 0.4, None),
    ]
    assert [r["language"] for r in figures["languages"]] == ["en", "th"]


def figures_of(before: float, after: float, preference: dict[str, Any] | None = None) -> dict[str, Any]:
    compression = {"rows": [{"language": "th", "before": before, "after": after, "gain": before / after}]}
    bits = [{"language": code, "base": 2.0, "start": 3.0, "final": 2.5, "documents": 4} for code in ("en", "th")]
    return {
        "languages": ["en", "th"],
        "vocab": compression,
        "bits_per_byte": bits,
        "results": [],
        "preference": preference,
    }


def test_headline_does_not_flatter() -> None:
    ends = {k: {"value": v, "low": v - 0.1, "high": v + 0.1, "n": 30} for k, v in (("before", 0.6), ("after", 0.5))}
    said = sentence(headline(figures_of(1.0, 2.0, {"accuracy": {**ends, "improved": False, "sentence": ""}})))
    assert "100\u202f% more tokens in one new language" in said
    assert "English bits per byte rose 25\u202f%" in said
    assert "preference accuracy did not improve, from 60\u202f% to 50\u202f%" in said
    assert "fell in 0 of 1" in said
    ends["after"]["value"] = 0.65
    ends["after"]["low"] = 0.55
    said = sentence(headline(figures_of(1.0, 2.0, {"accuracy": {**ends, "improved": True, "sentence": ""}})))
    assert "a rise within chance" in said
    unmeasured = {k: {"value": None, "low": None, "high": None, "n": 0} for k in ("before", "after")}
    cards = headline(figures_of(1.0, 2.0, {"accuracy": {**unmeasured, "improved": False, "sentence": "No pairs."}}))
    assert (cards[-1]["value"], cards[-1]["detail"]) == ("not measured", "No pairs.")


def test_quiz_pools_languages_that_both_models_have() -> None:
    rows = [row("base", "quiz", "en", 0.2), row("base", "quiz", "th", 0.4), row("sft", "quiz", "th", 0.9)]
    figures = {**figures_of(2.0, 1.0), "results": task_figures(rows, ["quiz"], ["en", "th"])}
    (card,) = (c for c in headline(figures) if c["key"] == "quiz")
    assert (card["figure"]["before"]["value"], card["figure"]["before"]["n"]) == (0.4, 20)
    assert card["figure"]["chance"] == 0.25
    assert card["value"] == "40\u202f% → 90\u202f%"
