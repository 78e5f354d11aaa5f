"""Intervals against published values and known coverage."""

import numpy as np
import pytest

from seallm.base.errors import DataError
from seallm.base.interval import bootstrap_clusters, bootstrap_mean, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_published_values(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_at_the_edges() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    with pytest.raises(DataError, match="11 successes of 10"):
        wilson(11, 10)


def test_bootstrap_is_a_function_of_its_seed() -> None:
    values = np.random.default_rng(0).normal(size=200).tolist()
    assert bootstrap_mean(values, 1) == bootstrap_mean(values, 1)
    assert bootstrap_mean(values, 1) != bootstrap_mean(values, 2)


def test_bootstrap_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, size=2_000)
    error = values.std() / np.sqrt(values.size)
    low, high = bootstrap_mean(values.tolist(), 0)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=error / 4)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=error / 4)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    samples = generator.exponential(1.0, size=(300, 60))
    covered = sum(low <= 1.0 <= high for low, high in (bootstrap_mean(s.tolist(), n) for n, s in enumerate(samples)))
    assert 0.88 <= covered / 300 <= 0.98


def test_bootstrap_edges() -> None:
    assert bootstrap_mean([0.5], 0) == (0.5, 0.5)
    with pytest.raises(DataError, match="no values"):
        bootstrap_mean([], 0)


def test_clusters_of_one_are_the_ordinary_bootstrap() -> None:
    values = np.random.default_rng(5).normal(size=50)
    ends = bootstrap_clusters(values[:, None], lambda sums: sums / 50, 3)
    assert ends[:, 0] == pytest.approx(bootstrap_mean(values.tolist(), 3), abs=1e-12)


def test_a_figure_that_no_resample_has_is_none() -> None:
    ends = bootstrap_clusters(np.ones((3, 2)), lambda sums: sums * [1.0, np.nan], 0)
    assert ends[:, 0].tolist() == [3.0, 3.0]
    assert np.isnan(ends[:, 1]).all()
    with pytest.raises(DataError, match="No observations"):
        bootstrap_clusters(np.ones((0, 2)), lambda sums: sums, 0)
