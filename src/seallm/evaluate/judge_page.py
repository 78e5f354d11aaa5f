"""A judge's figures in, the page about them out: the judge itself, radar charts by category and language, tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from seallm.evaluate.judge_figures import ALL
from seallm.evaluate.judge_prompts import BEST_SCORE
from seallm.evaluate.page_engine import page_engine, render_page
from seallm.evaluate.report_headline import language_name
from seallm.evaluate.report_plots import numbered_keys
from seallm.evaluate.report_text import carriable, quantity, toml_text
from seallm.languages import known_languages

Figures = dict[str, Any]
EVEN = 0.5  # a win rate by chance


def judge_page(report: Mapping[str, Any], usage: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The page as HTML.

    Args:
        report: what `report.json` holds.
        usage: what `usage.json` holds; the section `usage` alone depends on it.
    """
    found = carriable(report)
    is_score = found["settings"]["mode"] == "score"
    rows = found["scores"] if is_score else found["wins"]
    kinds = {"by_category": ("category", "language"), "by_language": ("language", "category")}
    tables = {name: _table(rows, found, own, other) for name, (own, other) in kinds.items()}
    whole = float(BEST_SCORE) if is_score else 1.0
    ordered = ["en", *(code for code in known_languages() if code != "en")]
    engine = page_engine(ordered, (bar_of, category_title, corner_names, verdict_text), numbered_keys(found["models"]))
    return render_page(
        engine,
        "judge.html.j2",
        title=f"Judged by {found['judge']}",
        r=found,
        is_score=is_score,
        unit="number" if is_score else "share",
        whole=whole,
        chance=None if is_score else EVEN,
        overall=_of_group(rows, ALL, ALL),
        tables=tables,
        radars={
            name: _radar(table, found["models"], whole, None if is_score else EVEN) for name, table in tables.items()
        },
        wrong={row["model"]: row for row in found["wrong_language"] if _group(row) == (ALL, ALL)},
        settings=toml_text(found["settings"]),
        usage=carriable(dict(usage)),
    )


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


def _of_group(rows: Sequence[Figures], language: str, category: str) -> list[Figures]:
    return [row for row in rows if _group(row) == (language, category)]


def _table(rows: Sequence[Figures], report: Figures, own: str, other: str) -> list[Figures]:
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
