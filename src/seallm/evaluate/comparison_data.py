"""The report of `seallm evaluate` in, the figures of its page out: tables, radar charts, changes, curves, directions.

Everything is a function of `report.json`, so that the page can be made again from it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from seallm.evaluate.page_engine import DIRECTION
from seallm.evaluate.report_data import Figures, in_order
from seallm.evaluate.report_results import (
    ALL,
    describe_metric,
    estimate,
    mean_estimate,
    metric_name,
    radar_figures,
    safety_figures,
    task_figures,
)
from seallm.languages import known_languages

BASE_LANGUAGE = "en"
MEAN = "mean"
_STEP = re.compile(r"(?P<stem>.*?)[-_ /@]?(?:step|checkpoint|ckpt)?[-_ ]?(?P<step>\d+)")


def comparison_figures(report: Mapping[str, Any]) -> Figures:
    """Figures of the page.

    Args:
        report: as `report.json` has it.
    """
    own = [model["name"] for model in report["models"]]
    published = [row for row in report["published"] if row["language"] != MEAN]
    rows = [_plain(row) for row in (*report["rows"], *published)]
    models = list(dict.fromkeys([*own, *(row["model"] for row in rows)]))
    languages = in_order({row["language"] for row in rows} - {ALL}, [BASE_LANGUAGE, *known_languages()])
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    between = {task for task in tasks if (way := DIRECTION.fullmatch(task)) and way["code"] != BASE_LANGUAGE}
    results = task_figures([row for row in rows if row["task"] not in between], tasks, languages, models)
    radar = radar_figures(results, languages, own)
    return {
        "own": own,
        "models": models,
        "languages": languages,
        "results": results,
        "radar": radar,
        "means": [_plain(row) for row in report["published"] if row["language"] == MEAN],
        "changes": change_points(report["differences"], results),
        "curves": learning_curves(own, results),
        "safety": safety_figures(rows, languages, models),
        "directions": directions([row for row in rows if row["model"] in own], own),
        "between": task_figures([row for row in rows if row["task"] in between], tasks, languages, models),
    }


def _plain(row: Mapping[str, Any]) -> Figures:
    about = {key: row[key] for key in ("model", "task", "language")}
    return {**about, "metric": metric_name(row["metric"]), "chance": row.get("chance"), **estimate(row)}


def change_points(differences: Sequence[Mapping[str, Any]], results: Sequence[Figures]) -> list[Figures]:
    """Forgetting against gain: each model's mean change from the first one, in English (`across`) and in all other
    languages (`up`), as shares of a perfect score. Empty where English or other languages were not measured.

    A task counts with its first metric, if that has a perfect score and higher is better; differences are paired by
    example. Half the interval of a mean is the root of the sum of the squared half intervals, over their number.
    """
    primary = {(t["task"], t["metric"]): t["whole"] for t in results if t["is_primary"] and t["higher_is_better"]}
    of_models: dict[str, dict[bool, list[Figures]]] = {}
    for row in differences:
        whole = primary.get((row["task"], metric_name(row["metric"])))
        if whole and row["language"] != ALL and not DIRECTION.fullmatch(row["task"]):
            change = {key: row[key] / whole for key in ("value", "low", "high")} | {"n": row["n"]}
            is_base = row["language"] == BASE_LANGUAGE
            of_models.setdefault(row["model"], {}).setdefault(is_base, []).append(change)
    return [
        {"model": model, "across": _mean_change(found[True]), "up": _mean_change(found[False])}
        for model, found in of_models.items()
        if len(found) == 2
    ]


def _mean_change(changes: Sequence[Figures]) -> Figures:
    mean = sum(change["value"] for change in changes) / len(changes)
    error = math.sqrt(sum(((change["high"] - change["low"]) / 2) ** 2 for change in changes)) / len(changes)
    return {"value": mean, "low": mean - error, "high": mean + error, "n": sum(change["n"] for change in changes)}


def learning_curves(own: Sequence[str], results: Sequence[Figures]) -> list[Figures]:
    """Figures over steps, where models are checkpoints of one run: their names are equal but for a number.

    Returns:
        For each run and task {stem, task, title, unit, whole, lines: [{language, points: [{step, value, low, high}]}]},
        `all`, or `mean` where examples do not pool, or every language where no mean can be made.
    """
    found = []
    for stem, steps in checkpoint_steps(own).items():
        for task in (t for t in results if t["is_primary"]):
            lines = []
            for row in task["rows"]:
                cells = {cell["model"]: cell for cell in row["cells"] if cell["value"] is not None}
                points = [{"step": step, **cells[model]} for step, model in steps if model in cells]
                if len(points) > 1:
                    lines.append({"language": row["language"], "points": points})
            shown = [line for line in lines if line["language"] == ALL] or _mean_line(lines, task["whole"]) or lines
            if shown:
                about = {key: task[key] for key in ("task", "title", "unit", "whole")}
                found.append({"stem": stem, **about, "lines": shown})
    return found


def _mean_line(lines: Sequence[Figures], whole: float | None) -> list[Figures]:
    """The unweighted mean over languages, where all have the same steps and there is a perfect score."""
    steps = [[point["step"] for point in line["points"]] for line in lines]
    if whole is None or len(lines) < 2 or any(own != steps[0] for own in steps):
        return []
    points = []
    for at, step in enumerate(steps[0]):
        mean = mean_estimate([line["points"][at] for line in lines], [whole] * len(lines))
        ends = {key: None if mean[key] is None else mean[key] * whole for key in ("value", "low", "high")}
        points.append({"step": step, "n": mean["n"], **ends})
    return [{"language": MEAN, "points": points}]


def checkpoint_steps(names: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """(step, name) by run, rising: `mine-step-200`, `checkpoint-400`, `mine@1000`; a run needs two checkpoints."""
    runs: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = _STEP.fullmatch(name)
        if match:
            runs.setdefault(match["stem"] or "checkpoint", []).append((int(match["step"]), name))
    return {
        stem: sorted(steps)
        for stem, steps in runs.items()
        if len(steps) > 1 and len({step for step, _ in steps}) == len(steps)
    }


def directions(rows: Sequence[Figures], own: Sequence[str]) -> list[Figures]:
    """Heat maps of translation: for each benchmark and model {task, model, codes, cells, top}; `cells` by "th km".

    `top` is the highest value of any model, so that colours compare.
    """
    tables: dict[tuple[str, str], dict[str, Figures]] = {}
    for row in rows:
        match = DIRECTION.fullmatch(row["task"])
        if match is None or row["language"] == ALL or row["value"] is None:
            continue
        ends = (match["code"], row["language"]) if match["way"] == "from" else (row["language"], match["code"])
        cell = {key: row[key] for key in ("value", "low", "high", "n")}
        tables.setdefault((match["name"], row["model"]), {})[" ".join(ends)] = cell
    found = []
    for name in dict.fromkeys(name for name, _ in tables):
        mine = {model: tables[name, model] for model in own if (name, model) in tables}
        top = max(cell["value"] for cells in mine.values() for cell in cells.values())
        codes = {code for cells in mine.values() for ends in cells for code in ends.split()}
        order = in_order(codes, [BASE_LANGUAGE, *known_languages()])
        if len(order) > 2:
            found += [{"task": name, "model": m, "codes": order, "cells": c, "top": top} for m, c in mine.items()]
    return found


def certain(differences: Sequence[Mapping[str, Any]]) -> list[Figures]:
    """Differences whose 95 % interval leaves out 0, with the name of their metric and its unit."""
    found = []
    for row in differences:
        if row["low"] > 0 or row["high"] < 0:
            metric = describe_metric(metric_name(row["metric"]), [row["value"]])
            found.append({**_plain(row), "against": row["against"], "unit": metric.unit, "title": metric.title})
    return found
