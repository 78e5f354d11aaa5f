"""Figures in, the charts of a comparison of models out as inline SVG: bars, a plane of two changes, curves, a heat map.

As in `report_plots`: across in per cent of the width, down in pixels, colours by class.
"""

from collections.abc import Sequence

from markupsafe import Markup

from seallm.evaluate.report_data import Figures
from seallm.evaluate.report_plots import Axis, KeyOf, element, linear_axis, mark, model_key, percent
from seallm.evaluate.report_text import quantity, span

BAR, BAR_GAP = 9.0, 3.0  # pixels
PLANE_HEIGHT, CURVE_HEIGHT = 280.0, 150.0
CELL_WIDTH, CELL_HEIGHT, NAMES_WIDTH, NAMES_HEIGHT = 46.0, 26.0, 88.0, 24.0


def bars(cells: Sequence[Figures], axis: Axis, title: str, key_of: KeyOf = model_key) -> Markup:
    """One bar a model from zero, with a line over its 95 % interval."""
    height = len(cells) * (BAR + BAR_GAP) + BAR_GAP
    drawn = [
        element("line", class_="grid", x1=percent(axis.at(t)), x2=percent(axis.at(t)), y1=0, y2=height)
        for t in axis.ticks
    ]
    for number, cell in enumerate(cells):
        if cell["value"] is None:
            continue
        top = BAR_GAP + number * (BAR + BAR_GAP)
        text = f"{cell['model']}: {quantity(cell['value'], axis.unit)}, 95 % interval {_span(cell, axis.unit)}"
        inner = [element("title", text)]
        inner.append(element("rect", class_="bar-of", x=0, width=percent(axis.at(cell["value"])), y=top, height=BAR))
        if cell["low"] is not None and cell["high"] is not None:
            ends = {"x1": percent(axis.at(cell["low"])), "x2": percent(axis.at(cell["high"]))}
            inner.append(element("line", class_="whisker", y1=top + BAR / 2, y2=top + BAR / 2, **ends))
        drawn.append(element("g", *inner, class_=f"m-{key_of(cell['model'])}"))
    return element("svg", *drawn, class_="cell", height=height, role="img", aria_label=title)


def _span(cell: Figures, unit: str) -> str:
    return span(cell["low"], cell["high"], unit)


def plane(points: Sequence[Figures], title: str, key_of: KeyOf = model_key) -> Markup:
    """Two changes of each model, `across` and `up`, with the lines of both intervals, in four quarters."""
    x, y = (_signed_axis([p[name][k] for p in points for k in ("value", "low", "high")]) for name in ("across", "up"))

    def level(value: float) -> float:
        return PLANE_HEIGHT * (1 - y.at(value) / 100)

    drawn = []
    for tick in x.ticks:
        css, place = "border" if tick == 0 else "grid", percent(x.at(tick))
        drawn.append(element("line", class_=css, x1=place, x2=place, y1=0, y2=PLANE_HEIGHT))
        drawn.append(element("text", x.label(tick), x=place, y=PLANE_HEIGHT + 18, text_anchor="middle"))
    for tick in y.ticks:
        css = "border" if tick == 0 else "grid"
        drawn.append(element("line", class_=css, x1="0%", x2="100%", y1=level(tick), y2=level(tick)))
        drawn.append(element("text", y.label(tick), x=-6, y=level(tick) + 4, text_anchor="end"))
    for point in points:
        a, b = point["across"], point["up"]
        inner = [
            element("title", f"{point['model']}: {quantity(a['value'], 'share')}, {quantity(b['value'], 'share')}")
        ]
        if a["low"] is not None:
            ends = {"x1": percent(x.at(a["low"])), "x2": percent(x.at(a["high"]))}
            inner.append(element("line", class_="interval", y1=level(b["value"]), y2=level(b["value"]), **ends))
        if b["low"] is not None:
            place = percent(x.at(a["value"]))
            inner.append(
                element("line", class_="interval", x1=place, x2=place, y1=level(b["low"]), y2=level(b["high"]))
            )
        inner.append(mark(key_of(point["model"]), percent(x.at(a["value"])), level(b["value"])))
        is_right = x.at(a["value"]) > 70
        inner.append(
            element(
                "text",
                point["model"],
                class_="part",
                x=percent(x.at(a["value"])),
                dx=-9 if is_right else 9,
                y=level(b["value"]) - 7,
                text_anchor="end" if is_right else "start",
            )
        )
        drawn.append(element("g", *inner, class_=f"m-{key_of(point['model'])}"))
    return element("svg", *drawn, class_="plot", height=PLANE_HEIGHT + 22, role="img", aria_label=title)


def _signed_axis(values: Sequence[float | None]) -> Axis:
    """Shares around zero, which is one of the ticks."""
    known = [v for v in values if v is not None] or [0.0]
    return linear_axis([*known, 0.0, 0.02, -0.02], "share", from_zero=False)


def curve(points: Sequence[Figures], axis: Axis, css: str, title: str) -> Markup:
    """A figure over training steps: rows {step, value, low, high}, joined, each with its interval."""
    first, last = points[0]["step"], points[-1]["step"]
    width = (last - first) or 1

    def across(step: float) -> float:
        return 100.0 * float(step - first) / width

    def level(value: float) -> float:
        return CURVE_HEIGHT * (1 - axis.at(value) / 100)

    drawn = []
    for tick in axis.ticks:
        drawn.append(element("line", class_="grid", x1="0%", x2="100%", y1=level(tick), y2=level(tick)))
        drawn.append(element("text", axis.label(tick), x=-6, y=level(tick) + 4, text_anchor="end"))
    for point, anchor in ((points[0], "start"), (points[-1], "end")):
        text = f"step {point['step']:,}" if point is points[0] else f"{point['step']:,}"
        drawn.append(element("text", text, x=percent(across(point["step"])), y=CURVE_HEIGHT + 16, text_anchor=anchor))
    line = "M" + "L".join(f"{10 * across(p['step']):.2f},{level(p['value']):.2f}" for p in points)
    path = element("path", class_="bold", d=line, vector_effect="non-scaling-stroke")
    box = {"viewBox": f"0 0 1000 {CURVE_HEIGHT:g}", "preserveAspectRatio": "none"}
    drawn.append(element("svg", path, width="100%", height=CURVE_HEIGHT, **box))
    for point in points:
        place = percent(across(point["step"]))
        text = f"step {point['step']:,}: {quantity(point['value'], axis.unit)} ({_span(point, axis.unit)})"
        inner = [element("title", text)]
        if point["low"] is not None:
            ends = {"y1": level(point["low"]), "y2": level(point["high"])}
            inner.append(element("line", class_="interval", x1=place, x2=place, **ends))
        inner.append(element("circle", class_="end", cx=place, cy=level(point["value"]), r=3.5))
        drawn.append(element("g", *inner))
    return element("svg", *drawn, class_=f"plot {css}", height=CURVE_HEIGHT + 22, role="img", aria_label=title)


def heat_map(table: Figures, names: Sequence[str], title: str) -> Markup:
    """Values by source (down) and target (across), the darker the higher; empty where there is none."""
    codes, cells, top = table["codes"], table["cells"], table["top"]
    width, height = NAMES_WIDTH + CELL_WIDTH * len(codes), NAMES_HEIGHT + CELL_HEIGHT * len(codes)
    drawn = []
    for number, name in enumerate(names):
        x, y = NAMES_WIDTH + CELL_WIDTH * (number + 0.5), NAMES_HEIGHT + CELL_HEIGHT * (number + 0.5)
        drawn.append(element("text", codes[number], x=x, y=NAMES_HEIGHT - 8, text_anchor="middle"))
        drawn.append(element("text", name, x=NAMES_WIDTH - 8, y=y + 4, text_anchor="end"))
    for down, source in enumerate(codes):
        for across, target in enumerate(codes):
            cell = cells.get(f"{source} {target}")
            place = {"x": NAMES_WIDTH + CELL_WIDTH * across, "y": NAMES_HEIGHT + CELL_HEIGHT * down}
            size = {"width": CELL_WIDTH - 2, "height": CELL_HEIGHT - 2}
            if cell is None:
                drawn.append(element("rect", class_="cell-none", **place, **size))
                continue
            share = cell["value"] / top if top else 0.0
            text = f"{names[down]} to {names[across]}: {cell['value']:.1f} ({_span(cell, 'number')}), n = {cell['n']}"
            rect = element("rect", element("title", text), class_="cell-heat", **place, **size)
            drawn.append(element("g", rect, opacity=f"{0.08 + 0.92 * share:.2f}"))
            css = "cell-dark" if share > 0.55 else "cell-light"
            middle = {"x": place["x"] + CELL_WIDTH / 2 - 1, "y": place["y"] + CELL_HEIGHT / 2 + 3}
            drawn.append(element("text", f"{cell['value']:.1f}", class_=css, text_anchor="middle", **middle))
    box = f"0 0 {width:g} {height:g}"
    return element("svg", *drawn, class_="heat", viewBox=box, role="img", aria_label=title)
