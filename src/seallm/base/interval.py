"""95 % confidence intervals: Wilson's for shares, percentile bootstrap for means.

Wilson (1927) keeps inside [0, 1] and is honest for few or one-sided observations, where the usual +-1.96 standard
errors are not. The bootstrap (Efron 1979) needs no assumption on how values are spread.
"""

import math
from collections.abc import Sequence

import numpy as np

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
    generator = np.random.default_rng(seed % 2**64)
    rows = max(1, _CHUNK_VALUES // sample.size)
    means = [
        sample[generator.integers(sample.size, size=(min(rows, resamples - start), sample.size))].mean(axis=1)
        for start in range(0, resamples, rows)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)
