"""A judge's figures in, the page about them out: the judge itself, radar charts by category and language, tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from seallm.evaluate.judge_tables import PIECES, judged_figures, verdict_text
from seallm.evaluate.page_engine import page_engine, render_page
from seallm.evaluate.report_plots import numbered_keys
from seallm.evaluate.report_text import carriable, toml_text
from seallm.languages import known_languages


def judge_page(report: Mapping[str, Any], usage: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The page as HTML.

    Args:
        report: what `report.json` holds.
        usage: what `usage.json` holds; the section `usage` alone depends on it.
    """
    found = carriable(report)
    ordered = ["en", *(code for code in known_languages() if code != "en")]
    return render_page(
        page_engine(ordered, (*PIECES, verdict_text), numbered_keys(found["models"])),
        "judge.html.j2",
        title=f"Judged by {found['judge']}",
        r=found,
        j=judged_figures(found),
        settings=toml_text(found["settings"]),
        usage=carriable(dict(usage)),
    )
