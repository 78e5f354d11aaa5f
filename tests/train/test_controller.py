import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.recipe_training import Dynamic
from seallm.train.controller import Measured, steer

PLANNED = {"en": 0.25, "th": 0.45, "lo": 0.3}
START = {"en": 1.0, "th": 2.0, "lo": 3.0}


def measured(**now: float) -> Measured:
    return Measured(START | now, START, {"en": 1.0})


def test_without_a_lag_the_shares_stay() -> None:
    shares, reasons = steer(Dynamic(), PLANNED, "en", 0.25, measured(th=1.0, lo=1.5))
    assert shares == pytest.approx(PLANNED)
    assert reasons == {"lags": {"th": 0.0, "lo": 0.0}, "base_language_rise": 0.0}


def test_the_language_that_improved_least_gains() -> None:
    shares, reasons = steer(Dynamic(), PLANNED, "en", 0.25, measured(th=1.0, lo=2.4))
    lag = math.log(0.8) - (0.6 * math.log(0.5) + 0.4 * math.log(0.8))
    assert reasons["lags"]["lo"] == pytest.approx(lag, abs=1e-5)
    # both shares by exp(2 x lag), made to sum to what the base language leaves
    assert shares["lo"] / shares["th"] == pytest.approx(0.3 / 0.45 * math.exp(2 * math.log(0.8 / 0.5)))
    assert shares["en"] == 0.25
    assert sum(shares.values()) == pytest.approx(1)


def test_targets_are_the_reference_where_there_are_any() -> None:
    shares, _ = steer(Dynamic(targets={"th": 1.0, "lo": 1.0}), PLANNED, "en", 0.25, measured(th=1.2, lo=1.1))
    assert shares["th"] > 0.45
    assert shares["lo"] < 0.3


def test_a_base_language_beyond_its_budget_grows_step_by_step_and_shrinks_back() -> None:
    settings, share, seen = Dynamic(max_base_language_share=0.4), 0.25, []
    for english in (1.01, 1.03, 1.05, 1.05, 1.0, 1.0, 1.0):
        shares, reasons = steer(settings, PLANNED, "en", share, measured(en=english))
        share = shares["en"]
        seen.append(share)
        assert reasons["base_language_rise"] == pytest.approx(english - 1)
        assert sum(shares.values()) == pytest.approx(1)
    assert seen == pytest.approx([0.25, 0.3125, 0.390625, 0.4, 0.32, 0.256, 0.25])


def test_a_base_language_without_a_share_can_be_brought_back() -> None:
    shares, _ = steer(Dynamic(), {"en": 0.0, "th": 1.0}, "en", 0.0, measured(en=1.5))
    assert shares == pytest.approx({"en": 0.025, "th": 0.975})


def test_sentence_pairs_keep_their_share_and_a_missing_figure_changes_nothing() -> None:
    planned = {"en": 0.2, "th": 0.5, "lo": 0.2, "parallel": 0.1}
    found = Measured({"en": 1.0, "th": 1.0}, START, {"en": 1.0})
    shares, reasons = steer(Dynamic(), planned, "en", 0.2, found)
    assert shares == pytest.approx(planned)
    assert reasons["lags"] == {"th": 0.0}


@settings(deadline=None)
@given(st.floats(0.1, 5), st.floats(0.1, 5), st.floats(1, 4), st.floats(0.1, 20))
def test_no_share_leaves_its_bounds(thai: float, lao: float, change: float, strength: float) -> None:
    settings = Dynamic(strength=strength, max_change=change)
    shares, _ = steer(settings, PLANNED, "en", 0.25, measured(th=thai, lo=lao))
    assert sum(shares.values()) == pytest.approx(1)
    for code in ("th", "lo"):
        assert PLANNED[code] / change - 1e-9 <= shares[code] <= PLANNED[code] * change + 1e-9
