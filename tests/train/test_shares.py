import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.train.shares import (
    SHARE_UNITS,
    Balance,
    bounded_shares,
    capped_shares,
    in_units,
    language_shares,
    source_shares,
)

TOKENS = {"en": 900, "vi": 400, "lo": 100, "km": 0}


def test_the_base_language_has_its_share_and_the_others_theirs_by_size() -> None:
    assert language_shares(TOKENS, Balance("en", 0.25, 2.0)) == pytest.approx({"en": 0.25, "vi": 0.5, "lo": 0.25})
    assert language_shares(TOKENS, Balance("en", 0.25, 1.0)) == pytest.approx({"en": 0.25, "vi": 0.6, "lo": 0.15})


def test_a_language_without_tokens_gets_none_and_a_single_one_all() -> None:
    assert language_shares({"en": 5}, Balance("en", 0.25, 2.0)) == {"en": 1.0}
    assert language_shares({"vi": 5, "en": 0}, Balance("en", 0.25, 2.0)) == {"vi": 1.0}
    assert language_shares({"en": 0}, Balance("en", 0.25, 2.0)) == {}


def test_fixed_shares_stay_and_the_rest_is_divided() -> None:
    found = language_shares(TOKENS, Balance("en", 0.25, 1.0, {"lo": 0.35}))
    assert found == pytest.approx({"en": 0.25, "lo": 0.35, "vi": 0.4})
    found = language_shares(TOKENS, Balance("en", 0.25, 1.0, {"en": 0.1, "lo": 0.4}))
    assert found == pytest.approx({"en": 0.1, "lo": 0.4, "vi": 0.5})


def test_sentence_pairs_have_a_share_of_their_own() -> None:
    found = language_shares(TOKENS | {"parallel": 50}, Balance("en", 0.25, 2.0, pairs_share=0.2))
    assert found == pytest.approx({"en": 0.2, "vi": 0.4, "lo": 0.2, "parallel": 0.2})
    assert "parallel" not in language_shares(TOKENS, Balance("en", 0.25, 2.0, pairs_share=0.2))


def test_tiers_share_by_their_size() -> None:
    tokens = {"vi.high": 100, "vi.low": 300, "en.high": 50, "en.low": 0}
    assert source_shares(tokens, {"vi": 0.6, "en": 0.4}) == pytest.approx(
        {"vi.high": 0.15, "vi.low": 0.45, "en.high": 0.4, "en.low": 0.0}
    )


def test_what_a_source_may_not_give_goes_to_its_other_tier_then_to_other_languages() -> None:
    tokens = {"vi.high": 100, "vi.low": 300, "lo.high": 10, "en.high": 500}
    wished = {"vi": 0.5, "lo": 0.3, "en": 0.2}
    rooms = {name: 2.0 * n for name, n in tokens.items()}
    found = capped_shares(tokens, wished, rooms, 1000)
    assert found["lo.high"] == pytest.approx(0.02)  # 20 of 1,000 tokens
    assert found["vi.high"] + found["vi.low"] == pytest.approx(0.98 * 5 / 7)
    assert found["vi.high"] / found["vi.low"] == pytest.approx(1 / 3, rel=0.2)
    assert sum(found.values()) == pytest.approx(1)
    rooms["vi.low"] = 100.0
    found = capped_shares(tokens, wished, rooms, 1000)
    assert (found["vi.high"], found["vi.low"]) == pytest.approx((0.2, 0.1))
    assert found["en.high"] == pytest.approx(0.68)
    assert sum(capped_shares(tokens, wished, rooms, 10_000).values()) == pytest.approx(0.132)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(0, 1), st.floats(0, 1)), min_size=1), st.floats(0, 1))
def test_bounded_shares_keep_bounds_total_and_proportion(items: list[tuple[float, float, float]], place: float) -> None:
    weights = [w for w, _, _ in items]
    lower, upper = [min(a, b) for _, a, b in items], [max(a, b) for _, a, b in items]
    total = sum(lower) + place * (sum(upper) - sum(lower))
    found = bounded_shares(weights, lower, upper, total)
    assert found.sum() == pytest.approx(total, abs=1e-9)
    assert np.all(found >= lower)
    assert np.all(found <= upper)
    free = [x / w for x, w, a, b in zip(found, weights, lower, upper, strict=True) if a < x < b]
    assert free == pytest.approx([free[0]] * len(free)) if free else True


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30))
def test_share_units_sum_exactly(shares: list[float]) -> None:
    units = in_units(shares)
    assert sum(units) == SHARE_UNITS
    assert np.allclose(np.array(units) / SHARE_UNITS, np.array(shares) / sum(shares), atol=1e-8)
