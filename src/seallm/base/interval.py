"""95 % confidence intervals: Wilson's for shares, percentile bootstrap for means and for figures of whole clusters.

Wilson (1927) keeps inside [0, 1] and is honest for few or one-sided observations, where the usual +-1.96 standard
errors are not. The bootstrap (Efron 1979) needs no assumption on how values are spread.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from seallm.base.errors import DataError

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_CHUNK_VALUES = 2**20


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Interval (low, high) of a share observed as `successes` of `n`; (0, 1) where nothing was observed.

    Raises:
        DataError: `successes` is not between 0 and `n`.
    """
    if not 0 <= successes <= n:
        raise DataError(f"{successes} successes of {n} observations; expected 0 to {n}")
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    reach = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return 0.0 if successes == 0 else middle - reach, 1.0 if successes == n else middle + reach  # exact at the edges


def bootstrap_mean(values: Sequence[float], seed: int, *, resamples: int = 1_000) -> tuple[float, float]:
    """Interval (low, high) of the mean of `values`, by resampling them; the same seed gives the same interval.

    Raises:
        DataError: there are no values.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise DataError("The mean of no values has no interval; give at least one value")
    means = [sample[drawn].mean(axis=1) for drawn in _draws(sample.size, seed, resamples)]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def bootstrap_clusters(
    totals: NDArray[np.float64],
    figures: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    seed: int,
    *,
    resamples: int = 1_000,
) -> NDArray[np.float64]:
    """Intervals of figures of sums over clusters, by resampling whole clusters (Field and Welsh 2007).

    What belongs together (all judgements of one question) is drawn together, so that answers to the same question do
    not count as so many independent observations.

    Args:
        totals: [clusters, parts]; whatever is summed over the clusters of a sample.
        figures: [resamples, parts] sums in, [resamples, figures] out; NaN where a resample has no such figure.
        seed: the same seed gives the same intervals.
        resamples: how many samples are drawn.

    Returns:
        [2, figures]: low ends, then high ends; NaN where no resample has the figure.

    Raises:
        DataError: there are no clusters.
    """
    num_clusters = len(totals)
    if num_clusters == 0:
        raise DataError("No observations, so no interval; give at least one")
    found = []
    for drawn in _draws(num_clusters, seed, resamples):
        rows = np.arange(len(drawn))[:, None] * num_clusters
        times = np.bincount((drawn + rows).ravel(), minlength=len(drawn) * num_clusters).reshape(drawn.shape)
        found.append(figures(times @ totals))
    everything = np.concatenate(found)
    has_none = np.isnan(everything).all(axis=0)
    ends = np.nanquantile(np.where(has_none, 0.0, everything), [0.025, 0.975], axis=0)
    ends[:, has_none] = np.nan
    return ends


def _draws(size: int, seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """Blocks [rows, size] of places drawn with replacement, small enough to keep memory flat."""
    generator = np.random.default_rng(seed % 2**64)
    rows = max(1, _CHUNK_VALUES // size)
    for start in range(0, resamples, rows):
        yield generator.integers(size, size=(min(rows, resamples - start), size))
