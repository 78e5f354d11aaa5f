import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.serve.stops import StopStrings


def cut(text: str, strings: list[str]) -> str:
    """The text up to the stop string that is complete first: looks at every prefix."""
    for end in range(len(text) + 1):
        starts = [end - len(s) for s in strings if text[:end].endswith(s)]
        if starts:
            return text[: min(starts)]
    return text


@given(st.lists(st.text("ab\n", max_size=4)), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3))
def test_equals_the_cut_of_the_whole_text(pieces: list[str], strings: list[str]) -> None:
    stops = StopStrings(strings)
    shown = "".join(stops.feed(piece) for piece in pieces) + stops.flush()
    assert shown == cut("".join(pieces), strings)
    assert stops.found == (shown != "".join(pieces))


def test_holds_back_only_what_may_become_a_stop_string() -> None:
    stops = StopStrings(["END"])
    assert [stops.feed(p) for p in ("go", " E", "N", "!", "E", "ND", "x")] == ["go", " ", "", "EN!", "", "", ""]
    assert stops.found


@pytest.mark.parametrize("piece", ["", "text"])
def test_without_stop_strings_everything_passes_at_once(piece: str) -> None:
    assert StopStrings([]).feed(piece) == piece
