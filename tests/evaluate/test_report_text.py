"""Numbers, excerpts, settings as text; and axes."""

import math
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.evaluate.report_plots import element, linear_axis, log_axis, step_axis
from seallm.evaluate.report_text import change, clean, excerpt, quantity, signed_share, span, toml_text

THIN = "\u202f%"
KEYS = st.text(min_size=1, max_size=6)
LEAVES = (
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    LEAVES | st.lists(LEAVES, max_size=3),
    lambda inner: (
        st.dictionaries(KEYS, inner, max_size=3) | st.lists(st.dictionaries(KEYS, inner, max_size=2), max_size=2)
    ),
    max_leaves=8,
)


def test_numbers_as_text() -> None:
    assert quantity(0.8234, "share") == f"82.3{THIN}"
    assert quantity(-0.5, "number") == "−0.5"
    assert quantity(-0.0001, "share") == f"0.0{THIN}"
    assert quantity(None, "bits") == "–"
    assert span(0.781, 0.859, "share") == f"78.1–85.9{THIN}"
    assert span(-0.1, 0.2, "number") == "−0.1 to 0.2"
    assert change(2.0, 1.0) == f"−50{THIN}"
    assert change(0.0, 1.0) == "–"
    assert signed_share(0.018) == f"+1.8{THIN}"
    assert signed_share(-0.00001) == f"+0.0{THIN}"


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_settings_read_back_as_they_were(values: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(values)) == values


def test_absent_settings_are_left_out() -> None:
    assert toml_text({"a": None, "b": {"c": None, "d": 1}}) == "[b]\nd = 1\n"


@given(st.text(), st.integers(1, 40))
def test_excerpts_are_clean_and_end_with_a_whole_cluster(text: str, limit: int) -> None:
    short = excerpt(text, limit)
    short.encode("utf-8")
    assert "\n" not in short
    assert len(short.removesuffix(" …")) >= min(limit - 15, len(" ".join(clean(text[: 8 * limit]).split())))


def test_excerpts_do_not_cut_a_letter_from_its_marks() -> None:
    assert excerpt("กำกำ" + "ก\u0e34\u0e48" * 9, 5) == "กำกำก\u0e34\u0e48 …"
    assert excerpt("\u1780\u17d2\u179a" * 3, 1) == "\u1780\u17d2\u179a …"
    assert excerpt("one two three", 9) == "one two …"


def test_clean_replaces_what_a_page_cannot_carry() -> None:
    assert clean("a\x00b\ud800c\td\n") == "a\ufffdb?c\td\n"


@given(st.lists(st.floats(0, 1e6), min_size=1), st.booleans())
def test_linear_axis_holds_its_values_between_round_ticks(values: list[float], from_zero: bool) -> None:
    axis = linear_axis(values, from_zero=from_zero)
    assert 3 <= len(axis.ticks) - 1 <= 6
    assert axis.low <= min(values) + 1e-9 * (1 + max(values))
    assert axis.high >= max(values) - 1e-9 * (1 + max(values))
    assert not from_zero or axis.low == 0
    assert (axis.at(axis.low), axis.at(axis.high)) == (0, 100)
    assert [axis.at(t) for t in axis.ticks] == sorted(axis.at(t) for t in axis.ticks)


@pytest.mark.parametrize(
    ("values", "unit", "labels"),
    [
        ([0.3, 0.97], "share", [f"{n}{THIN}" for n in (0, 25, 50, 75, 100)]),
        ([4.4], "bits", ["0", "1", "2", "3", "4", "5"]),
        ([0.61], "number", ["0.00", "0.25", "0.50", "0.75"]),
    ],
)
def test_ticks_are_written_in_full(values: list[float], unit: str, labels: list[str]) -> None:
    axis = linear_axis(values, unit)
    assert [axis.label(t) for t in axis.ticks] == labels


def test_log_axis_puts_equal_ratios_at_equal_distances() -> None:
    axis = log_axis([1.4, 14.7, None])
    assert axis.ticks == (1, 2, 4, 8, 16)
    assert axis.at(8) - axis.at(4) == pytest.approx(axis.at(4) - axis.at(2))


@given(st.integers(0, 10**7))
def test_step_axis_ends_at_the_last_step(last: int) -> None:
    axis = step_axis(last)
    assert (axis.ticks[0], axis.ticks[-1]) == (0, max(1, last))
    assert len(axis.ticks) <= 6
    assert not any(math.isnan(axis.at(t)) for t in axis.ticks)


def test_elements_escape_what_they_are_given() -> None:
    assert element("text", '<b>"', class_='"x', x=1.0, y=None) == '<text class="&#34;x" x="1">&lt;b&gt;&#34;</text>'
