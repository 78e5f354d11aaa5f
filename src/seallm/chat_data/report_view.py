"""Figures of instruction data in, the HTML of their report out: one page that works without a network.

The sheet of styles is that of the corpus report. Texts are escaped by the template engine, and the page forbids all
scripts and everything from elsewhere.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seallm.base.drop_reasons import reason_title
from seallm.base.errors import RecipeError
from seallm.corpus.report_page import count, excerpt, lang_attribute, share
from seallm.languages import load_language

_PART_TITLES = {
    "hybrid": "hybrid stage",
    "sft": "fine-tuning",
    "held_out": "held out",
    "left_over": "left over",
    "conversations": "kept",
}
_COLOURS = 10  # of categories: the languages' of the sheet of styles


def render(figures: Mapping[str, Any]) -> str:
    """The page as HTML, from what `data_report.read_figures` returns."""
    engine = Environment(
        loader=ChoiceLoader(
            [PackageLoader("seallm.chat_data", "templates"), PackageLoader("seallm.corpus", "templates")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = engine.get_template("corpus_report.css.j2").render() + engine.get_template("chat_data.css.j2").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    engine.globals.update({piece.__name__: piece for piece in (count, excerpt, lang_attribute, share, reason_title)})
    categories = sorted({name for row in figures["languages"].values() for name in row["categories"]})
    checks = figures["checks"]
    return engine.get_template("chat_data_report.html.j2").render(
        f=figures,
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        names={code: _name(code) for code in {*figures["languages"], *(checks["languages"] if checks else ())}},
        part_titles=_PART_TITLES,
        part_sums=dict(_sum(figures, "parts")),
        categories=categories,
        colours={name: number % _COLOURS for number, name in enumerate(categories)},
        bars={code: _bar(row["categories"], categories) for code, row in figures["languages"].items()},
        all_licences=_sum(figures, "licences"),
        reasons=[name for name in checks["dropped"] if name != "language"] if checks else [],
        largest=max(row["conversations"] for row in figures["languages"].values()),
        total=sum(row["conversations"] for row in figures["languages"].values()),
    )


def _name(code: str) -> str:
    try:
        return load_language(code).name
    except RecipeError:  # a language without a file has its code alone
        return code


def _sum(figures: Mapping[str, Any], name: str) -> list[tuple[str, int]]:
    counts = sum((Counter(row[name]) for row in figures["languages"].values()), Counter[str]())
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _bar(counts: Mapping[str, int], categories: list[str]) -> list[dict[str, Any]]:
    """Stretches of a bar in per cent, one for each category that occurs."""
    whole, start, parts = max(1, sum(counts.values())), 0.0, []
    for name in categories:
        width = 100 * counts.get(name, 0) / whole
        if width:
            title = f"{name}: {counts[name]:,}"
            parts.append({"name": name, "x": round(start, 3), "width": round(width, 3), "title": title})
        start += width
    return parts
