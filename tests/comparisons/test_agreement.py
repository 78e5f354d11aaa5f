"""Alpha and kappa against published worked examples and plain definitions."""

import itertools
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.comparisons.agreement import krippendorff_alpha, two_raters

Level = Literal["nominal", "ordinal", "interval"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")
# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), sections B (two observers) and C (four, with gaps)
TWO = [(0, 1), (1, 1), (0, 1), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0), (1, 0), (0, 0)]
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
FOUR = [[value for value in unit if value is not None] for unit in zip(*OBSERVERS, strict=True)]


def plain_alpha(units: list[list[float]], level: Level) -> float | None:
    """1 - observed / expected disagreement, pair by pair, as it is defined."""
    paired = [unit for unit in units if len(unit) > 1]
    everything = [value for unit in paired for value in unit]

    def distance(a: float, b: float) -> float:
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = sum(low <= v <= high for v in everything)
        return (between - (everything.count(a) + everything.count(b)) / 2) ** 2 if a != b else 0.0

    n = len(everything)
    observed = sum(sum(distance(a, b) for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in paired)
    expected = sum(distance(a, b) for a, b in itertools.permutations(everything, 2))
    return 1 - (n - 1) * observed / expected if expected else None


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_published_example_of_four_observers(level: Level, published: float) -> None:
    found = krippendorff_alpha(FOUR, level, seed=0)
    assert found.value == pytest.approx(published, abs=5e-4)
    assert (found.units, found.ratings) == (11, 40)
    assert found.low is not None
    assert found.high is not None
    assert found.low < published < found.high


@pytest.mark.parametrize("level", LEVELS)
def test_published_example_of_two_observers(level: Level) -> None:
    found = krippendorff_alpha(TWO, level, seed=0)
    assert found.value == pytest.approx(0.095, abs=5e-4)  # two values: all levels are the same


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=12),
    st.sampled_from(LEVELS),
    st.randoms(use_true_random=False),
)
def test_equal_to_the_definition_in_any_order(units: list[list[int]], level: Level, shuffling: Any) -> None:
    found = krippendorff_alpha(units, level, seed=0, resamples=10).value
    expected = plain_alpha([[float(v) for v in unit] for unit in units], level)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))
    for unit in units:
        shuffling.shuffle(unit)
    shuffling.shuffle(units)
    again = krippendorff_alpha(units, level, seed=0, resamples=10).value
    assert again == (None if found is None else pytest.approx(found, abs=1e-9))


def test_what_each_level_does_not_see() -> None:
    named = [["abcde"[v - 1] for v in unit] for unit in FOUR]
    assert krippendorff_alpha(named, "nominal", 0).value == krippendorff_alpha(FOUR, "nominal", 0).value
    stretched = [[v**3 for v in unit] for unit in FOUR]
    assert krippendorff_alpha(stretched, "ordinal", 0) == krippendorff_alpha(FOUR, "ordinal", 0)
    moved = [[5 - 2 * v for v in unit] for unit in FOUR]
    expected = krippendorff_alpha(FOUR, "interval", 0).value
    assert krippendorff_alpha(moved, "interval", 0).value == pytest.approx(expected)


@pytest.mark.parametrize("units", [[], [[1]], [[1, 1], [1, 1, 1]]])
def test_where_agreement_says_nothing(units: list[list[int]]) -> None:
    found = krippendorff_alpha(units, "nominal", seed=0)
    assert (found.value, found.low, found.high) == (None, None, None)


def test_perfect_and_none() -> None:
    assert krippendorff_alpha([[n % 3] * 2 for n in range(30)], "nominal", 0).value == 1
    values = np.random.default_rng(0).integers(0, 3, size=(4_000, 2)).tolist()
    found = krippendorff_alpha(values, "nominal", 0, resamples=200)
    assert found.value == pytest.approx(0, abs=0.05)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(4 * 0.0112, abs=0.01)  # 1.96 / sqrt(2 * 4,000) to both sides


@pytest.mark.parametrize(
    ("units", "level"), [([["a", "b"]], "ordinal"), ([[1, float("nan")]], "interval"), ([list(range(51))], "nominal")]
)
def test_bad_ratings(units: list[list[Any]], level: Level) -> None:
    with pytest.raises(DataError):
        krippendorff_alpha(units, level, seed=0)


# Cohen 1960, his table of 200 cases in three categories: kappa .492
COHEN = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])


def cases(table: np.ndarray) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.ndindex(*table.shape) for _ in range(table[i, j])]


def test_published_kappa() -> None:
    found = two_raters(cases(COHEN), seed=0)
    assert (found.n, found.accuracy) == (200, 0.7)
    assert found.kappa == pytest.approx(0.492, abs=5e-4)
    assert found.kappa_low is not None
    assert found.kappa_high is not None
    error = 0.0475  # Fleiss, Cohen and Everitt (1969), their large-sample formula for this table
    assert found.kappa_low == pytest.approx(0.492 - 1.96 * error, abs=0.02)
    assert found.kappa_high == pytest.approx(0.492 + 1.96 * error, abs=0.02)
    assert found.accuracy_low == pytest.approx(0.7 - 1.96 * np.sqrt(0.7 * 0.3 / 200), abs=0.01)


def test_who_is_called_first_does_not_matter() -> None:
    pairs = cases(COHEN)
    assert two_raters([(b, a) for a, b in pairs], seed=0) == two_raters(pairs, seed=0)


def test_clusters_widen_the_interval() -> None:
    pairs = cases(COHEN)
    alone = two_raters(pairs, seed=0)
    copied = two_raters(pairs * 4, seed=0, clusters=[n % 200 for n in range(800)])
    assert (copied.accuracy_low, copied.accuracy_high) == (alone.accuracy_low, alone.accuracy_high)
    assert two_raters(pairs * 4, seed=0).accuracy_low > alone.accuracy_low


def test_kappa_is_not_defined_where_both_always_say_the_same() -> None:
    found = two_raters([("yes", "yes")] * 5, seed=0)
    assert (found.accuracy, found.kappa, found.kappa_low) == (1, None, None)


def test_bad_pairs() -> None:
    with pytest.raises(DataError, match="both"):
        two_raters([], seed=0)
    with pytest.raises(DataError, match="1 clusters for 2 pairs"):
        two_raters([(1, 1), (2, 2)], seed=0, clusters=["q"])
