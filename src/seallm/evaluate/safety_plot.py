"""Rates of safety in, a map of safety against helpfulness out: SVG for a page, or a file of its own.

Up is safe: harmful prompts that were not answered. Right is helpful: harmless prompts that were not declined. A model
that declines everything sits in the upper left corner, one that answers everything in the lower right. Crosses are 95 %
intervals, small dots single languages.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from seallm.base.files import write_text
from seallm.evaluate.report_data import Figures
from seallm.evaluate.report_plots import KeyOf, element, model_key, numbered_keys
from seallm.evaluate.report_results import metric_name, safety_figures
from seallm.evaluate.report_text import quantity, span

SIDE = 300.0  # pixels
_LEFT, _TOP, _BOTTOM = 52.0, 14.0, 46.0  # room for the labels of axes
_CHARACTER = 7.0  # about the width of a letter of a model's name
_STYLE = """
svg{--k0:#2a8fd0;--k1:#cf5a00;--k2:#00835f;--k3:#8a3a8f;background:#fff}
text{font:400 11px/1 system-ui,sans-serif;fill:#565e6c}.who{fill:#1a2230;font-weight:600}
.grid{stroke:#e8e5de;fill:none}.dot{fill:var(--c);opacity:.35}.point{fill:var(--c)}
.interval{stroke:var(--c);stroke-width:2;opacity:.5}
.m-n-0,.m-n-4{--c:var(--k0)}.m-n-1,.m-n-5{--c:var(--k1)}.m-n-2,.m-n-6{--c:var(--k2)}.m-n-3,.m-n-7{--c:var(--k3)}
"""


def safety_points(safety: Figures) -> list[Figures]:
    """Where each model stands.

    Args:
        safety: what `safety_figures` gives.

    Returns:
        Rows {model, safe, helpful, languages: [{language, safe, helpful}]}, each with value, low and high; models and
        languages without both kinds of prompts are left out.
    """
    by_model: dict[str, list[Figures]] = {}
    for row in safety["languages"]:
        for cell in row["models"]:
            if (place := _place(cell)) is not None:
                by_model.setdefault(cell["model"], []).append({"language": row["language"], **place})
    return [
        {"model": cell["model"], **place, "languages": by_model.get(cell["model"], [])}
        for cell in safety["models"]
        if (place := _place(cell)) is not None
    ]


def _place(cell: Figures) -> Figures | None:
    unsafe, over = cell.get("unsafe"), cell.get("over_refusal")
    if not unsafe or not over or unsafe["value"] is None or over["value"] is None:
        return None
    return {"safe": _rest(unsafe), "helpful": _rest(over)}


def _rest(estimate: Figures) -> Figures:
    """The share of what was not counted."""
    low, high = estimate["low"], estimate["high"]
    return {
        "value": 1 - estimate["value"],
        "low": None if high is None else 1 - high,
        "high": None if low is None else 1 - low,
        "n": estimate["n"],
    }


def safety_map(points: Sequence[Figures], key_of: KeyOf = model_key) -> Markup:
    """The map, for a page that has the colours of models."""
    return element(
        "svg",
        *_drawn(points, key_of),
        class_="safety-map",
        viewBox=_view(points),
        role="img",
        aria_label=_title(points),
    )


def safety_map_file(points: Sequence[Figures]) -> str:
    """The map as an SVG file of its own."""
    key_of = numbered_keys([point["model"] for point in points])
    width, height = _size(points)
    drawn = element(
        "svg",
        element("style", Markup(_STYLE)),  # constant
        *_drawn(points, key_of),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=_view(points),
        width=width,
        height=height,
        role="img",
        aria_label=_title(points),
    )
    return f"{drawn}\n"


def draw_safety(rows: Sequence[Figures], out: Path) -> None:
    """Write `safety.svg` for the rows of a report, where a model has figures of both kinds of prompts."""
    safety = safety_figures([{**row, "metric": metric_name(row["metric"])} for row in rows], ())
    points = safety_points(safety) if safety else []
    if points:
        write_text(out / "safety.svg", safety_map_file(points))


def _size(points: Sequence[Figures]) -> tuple[float, float]:
    """Width and height, with room for the longest name."""
    longest = max((len(point["model"]) for point in points), default=0)
    return _LEFT + SIDE + 24 + _CHARACTER * longest, _TOP + SIDE + _BOTTOM


def _view(points: Sequence[Figures]) -> str:
    width, height = _size(points)
    return f"{-_LEFT:g} {-_TOP:g} {width:g} {height:g}"


def _title(points: Sequence[Figures]) -> str:
    said = [f"{p['model']} {_share(p['safe'])} safe and {_share(p['helpful'])} helpful" for p in points]
    return "Safety against helpfulness: " + "; ".join(said)


def _share(estimate: Mapping[str, float]) -> str:
    return quantity(estimate["value"], "share")


def _drawn(points: Sequence[Figures], key_of: KeyOf) -> list[Markup]:
    drawn: list[Markup] = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _x(share), _y(share)
        drawn.append(element("line", class_="grid", x1=0, x2=SIDE, y1=y, y2=y))
        drawn.append(element("line", class_="grid", x1=x, x2=x, y1=0, y2=SIDE))
        text = quantity(share, "share", digits=0)
        drawn.append(element("text", text, x=-6, y=y + 4, text_anchor="end"))
        drawn.append(element("text", text, x=x, y=SIDE + 16, text_anchor="middle"))
    drawn.append(
        element("text", "harmless prompts not declined: helpful →", x=SIDE / 2, y=SIDE + 36, text_anchor="middle")
    )
    upright = f"translate(-40 {SIDE / 2:g}) rotate(-90)"
    drawn.append(element("text", "harmful prompts not answered: safe →", transform=upright, text_anchor="middle"))
    labels = _apart([_y(point["safe"]["value"]) for point in points])
    for point, label_y in zip(points, labels, strict=True):
        drawn.append(_point(point, label_y, key_of(point["model"])))
    return drawn


def _point(point: Figures, label_y: float, key: str) -> Markup:
    safe, helpful = point["safe"], point["helpful"]
    x, y = _x(helpful["value"]), _y(safe["value"])
    ends = [
        f"{name} {quantity(e['value'], 'share')} (95 % interval {span(e['low'], e['high'], 'share')}, n = {e['n']})"
        for name, e in (("safe", safe), ("helpful", helpful))
    ]
    inner = [element("title", f"{point['model']}: " + ", ".join(ends))]
    for row in point["languages"]:
        where = {"cx": _x(row["helpful"]["value"]), "cy": _y(row["safe"]["value"])}
        inner.append(element("circle", element("title", row["language"]), class_="dot", r=3.0, **where))
    if safe["low"] is not None and safe["high"] is not None:
        inner.append(element("line", class_="interval", x1=x, x2=x, y1=_y(safe["low"]), y2=_y(safe["high"])))
    if helpful["low"] is not None and helpful["high"] is not None:
        inner.append(element("line", class_="interval", x1=_x(helpful["low"]), x2=_x(helpful["high"]), y1=y, y2=y))
    inner.append(element("circle", class_="point", cx=x, cy=y, r=5.0))
    inner.append(element("text", point["model"], class_="who", x=SIDE + 12, y=label_y + 4))
    inner.append(element("line", class_="grid", x1=x + 6, x2=SIDE + 9, y1=y, y2=label_y))
    return element("g", *inner, class_=f"m-{key}")


def _apart(places: Sequence[float], least: float = 14.0) -> list[float]:
    """Places of labels, moved down where two would overlap, and all of them up where the last would leave the map."""
    found = list(places)
    below = -least
    for number in sorted(range(len(places)), key=lambda k: places[k]):
        found[number] = below = max(places[number], below + least)
    too_low = max(0.0, below - (SIDE - least / 2))
    return [place - too_low for place in found]


def _x(share: float) -> float:
    return SIDE * share


def _y(share: float) -> float:
    return SIDE * (1 - share)
