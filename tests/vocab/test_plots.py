import itertools
import struct
from pathlib import Path

from seallm.vocab.plots import _spread, plot_curves, plot_ratios


def size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_equal_figures_give_equal_bytes(tmp_path: Path) -> None:
    series = {"base": {"en": 1.0, "th": 4.0, "km": 11.0}, "paper": {"en": 1.19, "th": 1.87}}
    for name in ("a.png", "b.png"):
        plot_ratios(series, "en with base", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    plot_ratios({**series, "base": {"en": 1.0, "th": 3.0, "km": 11.0}}, "en with base", tmp_path / "c.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()
    assert size(tmp_path / "a.png")[0] > 1_000


def test_curves(tmp_path: Path) -> None:
    series = {"th": [4.0, 2.0, 1.5], "km": [11.0, 3.0, 1.5], "mean": [7.5, 2.5, 1.5]}
    plot_curves([0, 1_000, 2_000], series, 1_000, "en with base", tmp_path / "plan.png")
    assert size(tmp_path / "plan.png")[0] > 1_000


def test_names_at_the_ends_do_not_cover_each_other() -> None:
    places = _spread({"a": 1.5, "b": 1.5, "c": 1.51, "d": 3.0}, 1.1)
    ordered = [places[name] for name in "abcd"]
    assert ordered[0] == 1.5
    assert all(later >= 1.0999 * earlier for earlier, later in itertools.pairwise(ordered))
    assert places["d"] == 3.0
