"""Figures in, inline SVG out; drawn by hand, because a page needs what a plotting library's SVG does not give.

Horizontal places are per cent of the width and vertical ones pixels, so that a chart fills a wide page and a phone
alike and its text keeps its size; colours are the page's CSS variables (`.m-sft`, `.l-3`), so that dark mode and print
recolour charts with the text. matplotlib's SVG was rejected: its text scales with the picture, its colours are fixed.
Numbers are written with two decimals: equal figures give equal bytes.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from seallm.evaluate.report_data import TRAINING_STAGES, Figures
from seallm.evaluate.report_text import quantity, span

CHARTS = (
    "axis_row",
    "bits_panel",
    "dumbbell",
    "lanes",
    "linear_axis",
    "log_axis",
    "loss_panel",
    "model_key",
    "radar",
    "sign",
    "stacked_bar",
    "step_axis",
    "strip",
)  # for the templates
ROW = 44  # pixels: two lines of a table's text, so that grid lines of rows meet
LANE = 9  # pixels between two models in one row of a results table
RADAR_RADIUS = 104.0
RADAR_LABEL_CHARACTERS = 14
OTHER = "other"  # key of models without a colour of their own
MODEL_SIGNS = 8  # different ones, for models that are no stages of a run


def element(name: str, *children: str, **attributes: object) -> Markup:
    """One SVG element; a trailing underscore of a name is dropped, others become hyphens, None leaves it out."""
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_coordinate(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{text}>{''.join(escape(c) for c in children)}</{name}>")  # all of it is escaped


def _coordinate(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def percent(value: float) -> str:
    """A place along the width."""
    return _coordinate(float(value)) + "%"


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high` with its ticks; logarithmic to base 2 where `log`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str = "number"
    log: bool = False

    def at(self, value: float) -> float:
        """Place of a value in per cent of the length; values beyond an end lie on it."""
        low, high, place = (math.log2(max(v, 1e-9)) if self.log else v for v in (self.low, self.high, value))
        return 100 * min(1.0, max(0.0, (place - low) / ((high - low) or 1.0)))

    def label(self, tick: float) -> str:
        """A tick as text, with no more digits than the ticks need."""
        if self.unit == "steps":
            text = f"{tick / 1e6:g}M" if tick >= 1e6 else (f"{tick / 1e3:g}k" if tick >= 1e4 else f"{tick:,.0f}")
            return f"{text} steps" if tick == self.high else text
        scaled = [(100 if self.unit == "share" else 1) * t for t in self.ticks]
        digits = next((d for d in range(6) if all(abs(round(t, d) - t) < 1e-9 for t in scaled)), 6)
        return quantity(tick, "number" if self.unit == "bits" else self.unit, digits=digits)


def linear_axis(
    values: Sequence[float | None], unit: str = "number", *, whole: float | None = None, from_zero: bool = True
) -> Axis:
    """An axis with round ticks: up to `whole` where there is a perfect score, else to just beyond the largest value."""
    known = [v for v in values if v is not None] or [0.0, 1.0]
    low, high = (0.0 if from_zero else min(known)), whole or max(known)
    if high - low <= 1e-9 * (1 + abs(high)):
        high = low + max(1.0, abs(low))
    size = 10.0 ** math.floor(math.log10((high - low) / 4))
    choices = []
    for step in (size * k for k in (0.5, 1, 2, 2.5, 5, 10, 20)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if 3 <= last - first <= 6:
            choices.append(((last - first) * step, last - first, step, first))  # least empty space, then fewest ticks
    _, number, step, first = min(choices)
    ticks = tuple(round((first + k) * step, 10) for k in range(number + 1))
    return Axis(ticks[0], ticks[-1], ticks, unit)


def step_axis(last_step: float, free_share: float = 0.3) -> Axis:
    """Steps from 0 to the last one, which itself ends the axis; its label needs `free_share` of the width."""
    high = max(1.0, last_step)
    step = max(1.0, _round_step(high / 4))
    ticks = [k * step for k in range(int(high / step) + 1)]
    kept = [t for t in ticks if t <= (1 - free_share) * high] + [high]
    return Axis(0.0, high, tuple(kept), "steps")


def log_axis(values: Sequence[float | None]) -> Axis:
    """From the least value, or 1 if that is less, to a power of two; ticks at powers of two."""
    known = [v for v in values if v is not None and v > 0] or [1.0]
    least = min([1.0, *known])
    first, last = math.ceil(math.log2(least)), math.ceil(math.log2(max([2.0, *known])))
    return Axis(least, 2.0**last, tuple(2.0**k for k in range(first, last + 1)), "ratio", log=True)


def _round_step(raw: float) -> float:
    size = 10.0 ** math.floor(math.log10(raw))
    return next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= raw * 0.999)


KeyOf = Callable[[str], str]
"""The name under which a model has a colour and a shape."""


def model_key(model: str) -> str:
    """The key of a model of a run: its stage."""
    return model if model in TRAINING_STAGES else OTHER


def numbered_keys(models: Sequence[str]) -> KeyOf:
    """Keys of any models, by their place: `n-0` to `n-7`, then again."""
    return lambda model: f"n-{models.index(model) % MODEL_SIGNS}" if model in models else OTHER


def mark(key: str, x: str, y: float) -> Markup:
    """A model's sign: colour and shape both say which."""
    return element("use", href=f"#mark-{key}", x=x, y=y, class_="mark")


def sign(model: str, key_of: KeyOf = model_key) -> Markup:
    """A model's sign as a small picture, for legends and table heads."""
    key = key_of(model)
    return element("svg", mark(key, "7", 7), class_=f"sign m-{key}", width=14, height=14, aria_hidden="true")


def axis_row(axis: Axis) -> Markup:
    """Tick labels for the head of a table column of charts."""
    labels = [element("text", axis.label(t), x=percent(axis.at(t)), y=12, text_anchor="middle") for t in axis.ticks]
    return element("svg", *labels, class_="axis-row", height=16, aria_hidden="true")


def _grid(axis: Axis, height: float) -> list[Markup]:
    return [
        element("line", class_="grid", x1=percent(axis.at(t)), x2=percent(axis.at(t)), y1=0, y2=height)
        for t in axis.ticks
    ]


def stacked_bar(parts: Sequence[tuple[str, str, int]], total: int, title: str) -> Markup:
    """One bar of parts (CSS class, name, number); the whole width is `total`."""
    left, drawn = 0.0, []
    for css, name, number in parts:
        width = 100 * number / total if total else 0.0
        text = f"{name}: {number:,} ({quantity(number / total, 'share') if total else '–'})"
        rect = element("rect", element("title", text), x=percent(left), width=percent(width), y=0, height=20)
        drawn.append(element("g", rect, class_=css))
        left += width
    return element("svg", *drawn, class_="bar", height=20, role="img", aria_label=title)


def strip(share: float, title: str) -> Markup:
    """A plain bar over a share of the width."""
    rect = element("rect", x=0, width=percent(100 * share), y=0, height=10)
    return element("svg", element("g", rect, class_="k-1"), class_="bar", height=10, role="img", aria_label=title)


def dumbbell(before: float | None, after: float | None, axis: Axis, title: str) -> Markup:
    """Two values of one language on a common axis, joined; hollow is before, full is after."""
    drawn = _grid(axis, 28)
    if before is not None and after is not None:
        ends = {"x1": percent(axis.at(before)), "x2": percent(axis.at(after))}
        drawn.append(element("line", class_="reach", y1=14, y2=14, **ends))
    if before is not None:
        drawn.append(element("circle", class_="before", cx=percent(axis.at(before)), cy=14, r=5))
    if after is not None:
        drawn.append(element("circle", class_="after", cx=percent(axis.at(after)), cy=14, r=6))
    return element("svg", *drawn, class_="cell", height=28, role="img", aria_label=title)


def lanes(
    estimates: Sequence[Figures], axis: Axis, chance: float | None, title: str, key_of: KeyOf = model_key
) -> Markup:
    """One lane a model: its sign at the value, a line over the 95 % interval; chance is a dashed line through all.

    Models without a colour of their own share the last lane.
    """
    own = [cell["model"] for cell in estimates if key_of(cell["model"]) != OTHER]
    used = len(own) + (len(own) < len(estimates))
    height = max(ROW, LANE * used + 7)
    top = (height - LANE * (used - 1)) / 2
    drawn = _grid(axis, height)
    if chance is not None:
        x = percent(axis.at(chance))
        drawn.append(element("line", class_="chance", x1=x, x2=x, y1=0, y2=height))
    for cell in estimates:
        if cell["value"] is None:
            continue
        y = top + LANE * (own.index(cell["model"]) if cell["model"] in own else len(own))
        text = f"{cell['model']}: {quantity(cell['value'], axis.unit)}, 95 % interval " + span(
            cell["low"], cell["high"], axis.unit
        )
        inner = [element("title", text)]
        if cell["low"] is not None and cell["high"] is not None:
            ends = {"x1": percent(axis.at(cell["low"])), "x2": percent(axis.at(cell["high"]))}
            inner.append(element("line", class_="interval", y1=y, y2=y, **ends))
        inner.append(mark(key_of(cell["model"]), percent(axis.at(cell["value"])), y))
        drawn.append(element("g", *inner, class_=f"m-{key_of(cell['model'])}"))
    return element("svg", *drawn, class_="cell", height=height, role="img", aria_label=title)


def _frame(x: Axis, y: Axis, height: int) -> list[Markup]:
    """Horizontal grid with its labels to the left, and labels of the steps below."""
    drawn = []
    for tick in y.ticks:
        level = height * (1 - y.at(tick) / 100)
        drawn.append(element("line", class_="grid", x1="0%", x2="100%", y1=level, y2=level))
        drawn.append(element("text", y.label(tick), x=-6, y=level + 4, text_anchor="end"))
    for tick in x.ticks:
        anchor = "end" if tick == x.ticks[-1] and len(x.ticks) > 1 else ("start" if tick == 0 else "middle")
        drawn.append(element("text", x.label(tick), x=percent(x.at(tick)), y=height + 16, text_anchor=anchor))
    return drawn


def _path(points: Sequence[Sequence[float]], x: Axis, y: Axis, height: int, css: str) -> Markup:
    """A line through points: 0-1000 across, stretched to the width, pixels down; its stroke is not stretched."""
    places = [(10 * x.at(step), height * (1 - y.at(value) / 100)) for step, value in points]
    data = "M" + "L".join(f"{_coordinate(float(a))},{_coordinate(float(b))}" for a, b in places)
    line = element("path", class_=css, d=data, vector_effect="non-scaling-stroke")
    return element("svg", line, viewBox=f"0 0 1000 {height}", preserveAspectRatio="none", width="100%", height=height)


def loss_panel(stage: Figures, title: str, height: int = 150) -> Markup:
    """Loss over steps: span means thin, the moving mean bold, its last value written at its end."""
    curve, smooth = stage["curve"], stage["smooth"]
    x = step_axis(max(curve[-1][0], *(p["last_step"] for p in stage["parts"])) if stage["parts"] else curve[-1][0])
    y = linear_axis([value for _, value in curve], from_zero=False)
    drawn = _frame(x, y, height)
    for number, part in enumerate(stage["parts"] if len(stage["parts"]) > 1 else []):
        place = percent(x.at(part["first_step"] - 1)) if number else "0%"
        drawn.append(element("line", class_="border", x1=place, x2=place, y1=-14, y2=height) if number else Markup())
        drawn.append(element("text", part["name"], class_="part", x=place, y=-5, dx=4 if number else 0))
    drawn += [_path(curve, x, y, height, "thin"), _path(smooth, x, y, height, "bold")]
    end = height * (1 - y.at(smooth[-1][1]) / 100)
    drawn.append(element("circle", class_="end", cx=percent(x.at(smooth[-1][0])), cy=end, r=3.5))
    drawn.append(
        element("text", quantity(smooth[-1][1], "number", digits=2), class_="value", x="100%", dx=7, y=end + 4)
    )
    return element("svg", *drawn, class_=f"plot m-{stage['stage']}", height=height + 22, role="img", aria_label=title)


def bits_panel(row: Figures, x: Axis, y: Axis, css: str, title: str, height: int = 96) -> Markup:
    """Bits per byte of one language over steps: dashed the base model, hollow step 0, full the last; thin its tiers."""
    drawn = _frame(x, y, height)
    if row["base"] is not None:
        level = height * (1 - y.at(row["base"]) / 100)
        drawn.append(element("line", class_="base-level", x1="0%", x2="100%", y1=level, y2=level))
    drawn += [_path(part["curve"], x, y, height, "thin") for part in row["tiers"] if len(part["curve"]) > 1]
    if row["curve"]:
        drawn.append(_path(row["curve"], x, y, height, "bold"))
        for css_mark, (step, value) in (("start", row["curve"][0]), ("end", row["curve"][-1])):
            place = {"cx": percent(x.at(step)), "cy": height * (1 - y.at(value) / 100)}
            drawn.append(element("circle", class_=css_mark, r=4, **place))
    return element("svg", *drawn, class_=f"plot small {css}", height=height + 22, role="img", aria_label=title)


def radar(
    axes: Sequence[Figures],
    models: Sequence[str],
    names: Sequence[str],
    title: str,
    *,
    points_of_whole: float | None = None,
    key_of: KeyOf = model_key,
) -> Markup:
    """One polygon a model, from zero at the centre to the labelled rim; dashed is chance, if all corners have one.

    Values are shares of a whole; rings are labelled in per cent, or in points where the whole is so many.
    """
    corners = [2 * math.pi * k / len(axes) - math.pi / 2 for k in range(len(axes))]
    highest = max(axis["models"][model]["value"] for axis in axes for model in models)
    rim = next((level for level in (0.25, 0.5, 0.75) if level >= highest), 1.0)

    def points(values: Sequence[float]) -> list[tuple[float, float]]:
        reach = [RADAR_RADIUS * min(1.0, value / rim) for value in values]
        return [(r * math.cos(a), r * math.sin(a)) for r, a in zip(reach, corners, strict=True)]

    def polygon(values: Sequence[float], css: str) -> Markup:
        text = " ".join(f"{_coordinate(a)},{_coordinate(b)}" for a, b in points(values))
        return element("polygon", class_=css, points=text)

    drawn = [polygon([rim * k / 4] * len(axes), "grid") for k in range(1, 5)]
    drawn += [element("line", class_="grid", x1=0, y1=0, x2=a, y2=b) for a, b in points([rim] * len(axes))]
    drawn += [_radar_label(name, angle) for name, angle in zip(names, corners, strict=True)]
    if all(axis["chance"] is not None for axis in axes):
        drawn.append(polygon([axis["chance"] for axis in axes], "chance"))
    for model in models:
        values = [axis["models"][model]["value"] for axis in axes]
        marks = [mark(key_of(model), _coordinate(a), b) for a, b in points(values)]
        drawn.append(element("g", polygon(values, "area"), *marks, class_=f"m-{key_of(model)}"))
    for share in (0.5, 1.0):
        level = rim * share
        text = quantity(level, "share", digits=0 if level * 100 % 1 == 0 else 1)
        text = text if points_of_whole is None else f"{level * points_of_whole:g}"
        drawn.append(element("text", text, class_="ring", x=4, y=4 - RADAR_RADIUS * share))
    return element("svg", *drawn, class_="radar", viewBox="-190 -140 380 280", role="img", aria_label=title)


def _radar_label(name: str, angle: float) -> Markup:
    """A name outside its corner, on as many lines as keep it short."""
    x, y = (RADAR_RADIUS + 14) * math.cos(angle), (RADAR_RADIUS + 14) * math.sin(angle)
    anchor = "middle" if abs(x) < 12 else ("start" if x > 0 else "end")
    lines = textwrap.wrap(name, RADAR_LABEL_CHARACTERS, break_long_words=False) or [""]
    top = y + 4 - 14 * ((len(lines) - 1) if y < -RADAR_RADIUS else (len(lines) - 1) / 2 if y < RADAR_RADIUS else 0)
    spans = [element("tspan", line, x=x, y=top + 14 * k) for k, line in enumerate(lines)]
    return element("text", *spans, class_="corner", text_anchor=anchor)
