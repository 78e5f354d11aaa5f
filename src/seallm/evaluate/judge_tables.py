"""A judge's report in, what pages draw of it out: the judge itself, tables and corners by category and by language."""

from collections.abc import Mapping, Sequence
from typing import Any

from seallm.evaluate.judge_figures import ALL
from seallm.evaluate.judge_prompts import BEST_SCORE
from seallm.evaluate.report_headline import language_name
from seallm.evaluate.report_text import quantity

Figures = dict[str, Any]
EVEN = 0.5  # a win rate by chance
KINDS = {"by_category": ("category", "language"), "by_language": ("language", "category")}


def judged_figures(report: Mapping[str, Any]) -> Figures:
    """What the templates `judged_*.html.j2` show.

    Args:
        report: of `judge_models`.
    """
    is_score = report["settings"]["mode"] == "score"
    rows = report["scores"] if is_score else report["wins"]
    tables = {name: _table(rows, report, *kind) for name, kind in KINDS.items()}
    whole, chance = (float(BEST_SCORE), None) if is_score else (1.0, EVEN)
    kept = ("judge", "models", "languages", "categories", "agreement", "decided", "differences", "meetings")
    return {
        **{key: report[key] for key in kept},
        "is_score": is_score,
        "both_orders": report["settings"]["both_orders"],
        "check_language": report["settings"]["check_language"],
        "questions": report["settings"]["questions_asked"],
        "unit": "number" if is_score else "share",
        "whole": whole,
        "chance": chance,
        "overall": [row for row in rows if _group(row) == (ALL, ALL)],
        "tables": tables,
        "radars": {name: _radar(table, report["models"], whole, chance) for name, table in tables.items()},
        "wrong": {row["model"]: row for row in report["wrong_language"] if _group(row) == (ALL, ALL)},
    }


def category_title(category: str) -> str:
    """`math-reasoning` as a person writes it."""
    return category.replace("-", " ").replace("_", " ").capitalize()


def corner_names(axes: Sequence[Figures], key: str) -> list[str]:
    """Names at the corners of a radar chart."""
    name = language_name if key == "by_language" else category_title
    return [name(axis["name"]) for axis in axes]


def bar_of(decided: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """Parts of the bar of who decided: the judge in blue, then the rules."""
    return [
        ("k-0" if place == 0 else f"r-{place}", name, number)
        for place, (name, number) in enumerate(decided.items())
        if number
    ]


def verdict_text(verdict: Mapping[str, Any]) -> str:
    """`A`, `6.2`, or why there is none."""
    value = verdict["value"]
    if value is None:
        return "no verdict"
    text = value if isinstance(value, str) else quantity(value, "number")
    text = "neither" if text == "C" else text
    return f"{text} (rule: {verdict['rule']})" if verdict["rule"] else text


def _group(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["language"], row["category"]


def _table(rows: Sequence[Figures], report: Mapping[str, Any], own: str, other: str) -> list[Figures]:
    """One line a category (or language): its cells in the order of the models."""
    names = report["categories" if own == "category" else "languages"]
    lines = []
    for name in names:
        mine = {row["model"]: row for row in rows if row[own] == name and row[other] == ALL}
        cells = [mine[model] for model in report["models"] if model in mine]
        if cells:
            lines.append({"name": name, "cells": cells})
    return lines


def _radar(table: Sequence[Figures], models: Sequence[str], whole: float, chance: float | None) -> list[Figures]:
    """Corners of a chart, as shares of the best; lines that lack a model are left out."""
    return [
        {
            "name": line["name"],
            "chance": chance,
            "models": {cell["model"]: {"value": cell["value"] / whole} for cell in line["cells"]},
        }
        for line in table
        if len(line["cells"]) == len(models)
    ]


PIECES = (bar_of, category_title, corner_names)  # for the templates
