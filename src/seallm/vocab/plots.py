"""Figures in, PNG files out: ratios by language, and ratios against the number of new tokens.

Colours are those of Okabe and Ito, which people of all kinds of colour vision tell apart; shapes tell the series apart
too. matplotlib is imported when a plot is drawn. Equal figures give equal bytes.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seallm.base.files import atomic_writer

_BLACK = "#000000"
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    _BLACK,
    "#999999",
    "#8C564B",
    "#17BECF",
)
DODGE = 0.09
NAME_HEIGHT = 0.036  # of a curve's name, as a share of the axis
_MARKERS = "osD^vP*Xhd"
_TICKS = (1, 1.25, 1.5, 2, 3, 4, 5, 7, 10, 15, 20)


def plot_ratios(series: Mapping[str, Mapping[str, float]], reference: str, path: Path) -> None:
    """One row a language, one mark a series, on a logarithmic axis: a step to the left is a share saved.

    Args:
        series: by name, ratio by language; a language may be missing.
        reference: what a ratio of 1 is.
        path: PNG to write.
    """
    languages = list(dict.fromkeys(code for row in series.values() for code in row))
    figure, axes = _figure(7.5, 1.6 + 0.42 * len(languages))
    for number, (name, row) in enumerate(series.items()):
        known = [code for code in languages if code in row]
        beside = DODGE * ((len(series) - 1) / 2 - number)  # equal figures must not hide each other
        heights = [len(languages) - 1 - languages.index(code) + beside for code in known]
        axes.plot([row[code] for code in known], heights, linestyle="none", label=name, **_mark(number))
    axes.axvline(1, color="#444444", linewidth=1)
    axes.set_yticks(range(len(languages)), labels=languages[::-1])
    axes.set_ylim(-0.6, len(languages) - 0.4)
    _ratio_axis(axes, [value for row in series.values() for value in row.values()], "x")
    axes.set_xlabel(f"tokens for the same meaning; 1 = {reference}")
    axes.grid(axis="y", color="#eeeeee", zorder=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)
    _write(figure, path)


def plot_curves(
    new_tokens: Sequence[int], series: Mapping[str, Sequence[float]], stop: int, unit: str, path: Path
) -> None:
    """One line a language against the number of new tokens, each named at its end; a line marks where to stop.

    Args:
        new_tokens: the places on the x axis.
        series: by language, ratio at each place; a series named "mean" is drawn in black.
        stop: number of tokens to mark.
        unit: what a ratio of 1 is.
        path: PNG to write.
    """
    figure, axes = _figure(8.5, 5.5)
    colours = [colour for colour in _COLOURS if colour != _BLACK]  # black is the mean's
    span = max(new_tokens[-1], 1)
    low, high = _ratio_axis(axes, [value for values in series.values() for value in values], "y")
    ends = _spread({name: values[-1] for name, values in series.items()}, (high / low) ** NAME_HEIGHT)
    for number, (name, values) in enumerate(series.items()):
        is_mean = name == "mean"
        colour = _BLACK if is_mean else colours[number % len(colours)]
        style = "-" if is_mean or number % 2 == 0 else "--"
        axes.plot(new_tokens, values, style, color=colour, linewidth=2.8 if is_mean else 1.6, zorder=3 + is_mean)
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "relpos": (0, 0.5)}
        place = (span * 1.04, ends[name])
        name_and_end = f"{name} {values[-1]:.2f}"
        axes.annotate(name_and_end, (span, values[-1]), place, va="center", fontsize=8.5, color=colour, arrowprops=line)
    axes.axvline(stop, color="#444444", linewidth=1.2, linestyle=":")
    axes.annotate(f" stop: {stop:,}", (stop, 0.99), xycoords=("data", "axes fraction"), va="top", fontsize=9)
    axes.set_xlim(0, span)
    axes.set_xlabel("new tokens")
    axes.set_ylabel(f"tokens for the same meaning; 1 = {unit}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(color="#eeeeee", zorder=0)
    _write(figure, path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _mark(number: int) -> dict[str, Any]:
    return {
        "marker": _MARKERS[number % len(_MARKERS)],
        "color": _COLOURS[number % len(_COLOURS)],
        "markersize": 7.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
        "zorder": 3,
    }


def _ratio_axis(axes: Any, values: Sequence[float], side: str) -> tuple[float, float]:
    """A logarithmic axis with plain numbers, from a little below the least value to a little above the largest."""
    low, high = min([1.0, *values]) * 0.93, max(values) * 1.07
    getattr(axes, f"set_{side}scale")("log")
    getattr(axes, f"set_{side}lim")(low, high)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    getattr(axes, f"set_{side}ticks")(ticks, labels=[f"{tick:g}" for tick in ticks])
    getattr(axes, f"set_{side}ticks")([], minor=True)
    axes.grid(axis=side, color="#e2e2e2", zorder=0)
    return low, high


def _spread(ends: Mapping[str, float], factor: float) -> dict[str, float]:
    """Places of names at the ends of curves, moved up by the factor or more so that none covers another."""
    places: dict[str, float] = {}
    floor = 0.0
    for name in sorted(ends, key=lambda name: ends[name]):
        places[name] = max(ends[name], floor)
        floor = places[name] * factor
    return places


def _write(figure: Any, path: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    with atomic_writer(path) as file:
        file.write(drawn.getvalue())
