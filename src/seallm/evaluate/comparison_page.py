"""The report of `seallm evaluate` in, its page out."""

from collections.abc import Mapping
from typing import Any

from seallm.evaluate import report_charts
from seallm.evaluate.comparison_data import BASE_LANGUAGE, certain, comparison_figures
from seallm.evaluate.figure_table import missing_lines, notes
from seallm.evaluate.page_engine import page_engine, render_page
from seallm.evaluate.report_headline import language_name
from seallm.evaluate.report_plots import numbered_keys
from seallm.evaluate.report_text import carriable, toml_text
from seallm.languages import known_languages

CHARTS = ("bars", "plane", "curve", "heat_map")
KEYED = ("bars", "plane")  # charts that need models' colours
SHOWN_DIFFERENCES = 20  # more are folded
SECTIONS = (
    ("radar", "Overview"),
    ("languages", "By language"),
    ("changes", "Forgetting against gain"),
    ("curves", "Learning curves"),
    ("directions", "Translation directions"),
    ("safety", "Safety"),
    ("differences", "Differences"),
    ("results", "Every figure"),
)


def comparison_page(report: Mapping[str, Any]) -> str:
    """The page as HTML; a section without figures is left out.

    Args:
        report: as `report.json` has it.
    """
    found = carriable(report)
    figures = carriable(comparison_figures(found))
    key_of = numbered_keys(figures["own"])
    engine = page_engine(
        [BASE_LANGUAGE, *(c for c in known_languages() if c != BASE_LANGUAGE)],
        (cells_of, curve_values, direction_names),
        key_of,
    )
    for name in CHARTS:
        chart = getattr(report_charts, name)
        engine.globals[name] = (lambda *a, _chart=chart: _chart(*a, key_of)) if name in KEYED else chart
    differences = certain(found["differences"])
    present = {**figures, "languages": figures["radar"]["by_language"], "differences": found["differences"]}
    return render_page(
        engine,
        "comparison.html.j2",
        title=", ".join(figures["own"]),
        r=found,
        f=figures,
        sections=[(key, title) for key, title in SECTIONS if present[key]],
        certain=differences,
        shown_differences=SHOWN_DIFFERENCES,
        notes=notes(found),
        missing=missing_lines(found["missing"]),
        sources=list(dict.fromkeys(row["source"] for row in found["published"] if row.get("source"))),
        settings=toml_text(found["settings"]),
    )


def direction_names(codes: list[str]) -> list[str]:
    """English names of languages."""
    return [language_name(code) for code in codes]


def cells_of(axis: Mapping[str, Any], models: list[str]) -> list[dict[str, Any]]:
    """One line of a radar chart as cells, a model each."""
    return [{"model": model, **axis["models"][model]} for model in models]


def curve_values(line: Mapping[str, Any]) -> list[float | None]:
    """What the axis of a curve must hold."""
    return [point[key] for point in line["points"] for key in ("value", "low", "high")]
