"""Figures of preferences in, the HTML of their report out: one page that works without a network.

The sheet of styles is that of the corpus report; charts are inline SVG whose places across are per cent, so that they
fill a wide page and a phone alike. Texts are escaped by the template engine, and the page forbids all scripts.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from seallm.corpus.report_page import count, excerpt, lang_attribute
from seallm.languages import known_languages, load_language

RATES = {  # of the judge: title, where it would be without fault (None: nowhere in particular)
    "consistency": ("Both orders agree", 1.0),
    "first_position_rate": ("First position", 0.5),
    "longer_chosen_rate": ("Longer answer chosen", 0.5),
    "language_drift": ("Wrong language", 0.0),
    "own_over_weaker_rate": ("Own over weaker model", None),
}
BAR_HEIGHT, CURVE_HEIGHT = 22, 150


def render(figures: Mapping[str, Any]) -> str:
    """The page as HTML, from what `report.make_report` gathers."""
    engine = Environment(
        loader=ChoiceLoader([PackageLoader("seallm.prefer", "templates"), PackageLoader("seallm.corpus", "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = engine.get_template("corpus_report.css.j2").render() + engine.get_template("preferences.css.j2").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    pieces = (count, excerpt, lang_attribute, percent, interval, margins, accuracy_curve, language_name)
    engine.globals.update({piece.__name__: piece for piece in pieces})
    return engine.get_template("preferences.html.j2").render(
        f=figures,
        rates=RATES,
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )


def language_name(code: str) -> str:
    """English name; the code where it has no file."""
    return load_language(code).name if code in known_languages() else code or "no language"


def percent(estimate: Mapping[str, float] | None) -> str:
    """`86 %`, or a dash."""
    return "–" if estimate is None else f"{100 * estimate['value']:.0f} %"


def interval(estimate: Mapping[str, float] | None, fault_free: float | None) -> Markup:
    """A share on a line from 0 to 100 %: its value, its 95 % interval, and where it would be without fault."""
    if estimate is None:
        return Markup("")
    middle = BAR_HEIGHT / 2
    title = f"{percent(estimate)}, 95 % interval {100 * estimate['low']:.0f}–{100 * estimate['high']:.0f} %, n = "
    parts = [f'<line class="axis" x1="0" x2="100%" y1="{middle}" y2="{middle}"/>']
    if fault_free is not None:
        x = _x(fault_free)
        parts.append(f'<line class="wanted" x1="{x}" x2="{x}" y1="2" y2="{BAR_HEIGHT - 2}"/>')
    low, high = _x(estimate["low"]), _x(estimate["high"])
    parts.append(f'<line class="reach" x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/>')
    parts.append(f'<circle class="value" cx="{_x(estimate["value"])}" cy="{middle}" r="4.5"/>')
    return _svg("lane", BAR_HEIGHT, parts, f"{title}{estimate['n']:.0f}")


def margins(histogram: Mapping[str, Any], least_margin: float) -> Markup:
    """Bars of how many pairs have which margin; what is not kept is pale."""
    counts: Sequence[int] = histogram["counts"]
    largest, width = max([*counts, 1]), 100 / len(counts)
    parts = []
    for number, n in enumerate(counts):
        height = (CURVE_HEIGHT - 4) * n / largest
        from_margin = histogram["high"] * number / len(counts)
        is_kept = histogram["high"] * (number + 1) / len(counts) > least_margin
        title = f"<title>margin from {from_margin:.3g}: {n:,} pairs</title>"
        place = f'x="{_place(number * width)}" width="{_place(width * 0.86)}"'
        css = "kept" if is_kept else "lost"
        parts.append(
            f'<rect class="{css}" {place} y="{CURVE_HEIGHT - height:.1f}" height="{height:.1f}">{title}</rect>'
        )
    return _svg("curve", CURVE_HEIGHT, parts, "number of pairs by margin")


def accuracy_curve(points: Sequence[Mapping[str, Any]]) -> Markup:
    """Accuracy on known pairs, 0 to 100 % upwards, of the surest 100 %, 90 %, ... of them from left to right."""
    parts = []
    for share, label in ((0.5, "50 % (guessing)"), (1.0, "100 %")):
        y = _y(share)
        parts.append(f'<line class="axis" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="100%" y="{y + 12}" text-anchor="end">{label}</text>')
    for number, point in enumerate(points):
        x, accuracy = _place(100 * (number + 0.5) / max(1, len(points))), point["accuracy"]
        low, high = _y(accuracy["low"]), _y(accuracy["high"])
        title = f"<title>margin from {point['least_margin']:.3g}: {percent(accuracy)} of {accuracy['n']:.0f}</title>"
        parts.append(f'<line class="reach" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>')
        parts.append(f'<circle class="value" cx="{x}" cy="{_y(accuracy["value"])}" r="4.5">{title}</circle>')
    return _svg("curve", CURVE_HEIGHT, parts, "accuracy on known pairs by least margin")


def _svg(css: str, height: int, parts: Sequence[str], title: str) -> Markup:
    """All parts are numbers and words of this module."""
    head = f'<svg class="{css}" width="100%" height="{height}" role="img" aria-label="{escape(title)}">'
    return Markup(f"{head}<title>{escape(title)}</title>{''.join(parts)}</svg>")


def _place(per_cent: float) -> str:
    return f"{per_cent:.2f}".rstrip("0").rstrip(".") + "%"


def _x(share: float) -> str:
    return _place(2 + 96 * share)


def _y(share: float) -> float:
    return round(8 + (CURVE_HEIGHT - 16) * (1 - share), 1)
