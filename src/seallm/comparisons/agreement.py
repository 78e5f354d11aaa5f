"""What several raters said of the same units in, how far they agree beyond chance out.

Krippendorff's alpha takes any number of raters and missing values; accuracy and Cohen's kappa take two, or one and a
gold file. 1 is perfect agreement, 0 what chance gives, below 0 is worse than chance. Intervals resample whole units, or
whole clusters of them.

Sources: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011); Cohen, "A Coefficient of Agreement for
Nominal Scales" (1960).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seallm.base.errors import DataError
from seallm.base.interval import bootstrap_clusters

Array = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]
MAX_VALUES = 50  # different values: arrays below have their square


@dataclass(frozen=True)
class Agreement:
    """How far raters agree; None where the figure is not defined.

    Attributes:
        value: Krippendorff's alpha.
        low: of its 95 % interval.
        high: of its 95 % interval.
        units: that at least two raters judged; the others say nothing about agreement.
        ratings: of those units.
    """

    value: float | None
    low: float | None
    high: float | None
    units: int
    ratings: int


@dataclass(frozen=True)
class TwoRaters:
    """How far two raters agree; the interval of `kappa` is None where kappa is not defined.

    Attributes:
        n: units that both judged.
        accuracy: share of units where they said the same.
        accuracy_low: of its 95 % interval.
        accuracy_high: of its 95 % interval.
        kappa: Cohen's; None where both always said one and the same thing.
        kappa_low: of its 95 % interval.
        kappa_high: of its 95 % interval.
    """

    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None


def krippendorff_alpha(units: Sequence[Sequence[Any]], level: Level, seed: int, *, resamples: int = 1_000) -> Agreement:
    """Alpha of all raters together.

    Args:
        units: for each unit what its raters said, in any order, missing values left out. Numbers, or for the level
            "nominal" any hashable values.
        level: how far two different values are apart: all alike ("nominal"), by the number of ratings between them
            ("ordinal"), by the square of their difference ("interval").
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        An agreement whose figures are None where no unit has two ratings, or where all ratings are the same: agreement
        by lack of choice says nothing.

    Raises:
        DataError: ordinal or interval values are no finite numbers, or there are more than 50 different ones.
    """
    paired = [list(unit) for unit in units if len(unit) > 1]
    if not paired:
        return Agreement(None, None, None, 0, 0)
    values = _values([value for unit in paired for value in unit], level)
    place = {value: number for number, value in enumerate(values)}
    counts = np.zeros((len(paired), len(values)))
    for row, unit in zip(counts, paired, strict=True):
        for value in unit:
            row[place[value]] += 1
    coincidences = _coincidences(counts)

    def figures(sums: Array) -> Array:
        return _alpha(sums.reshape(-1, len(values), len(values)), values, level)[:, None]

    totals = coincidences.reshape(len(paired), -1)
    value = figures(totals.sum(axis=0)[None])[0, 0]
    low, high = bootstrap_clusters(totals, figures, seed, resamples=resamples)[:, 0]
    return Agreement(_defined(value), _defined(low), _defined(high), len(paired), int(counts.sum()))


def two_raters(
    pairs: Sequence[tuple[Hashable, Hashable]],
    seed: int,
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 1_000,
) -> TwoRaters:
    """Accuracy and Cohen's kappa of two raters, or of one against a gold file.

    Args:
        pairs: what both said of each unit; units that only one judged are left out before.
        seed: of the bootstrap.
        clusters: what each unit belongs to (its question); absent: every unit stands for itself.
        resamples: of the bootstrap.

    Raises:
        DataError: there is no pair, more than 50 different labels, or not one cluster for each pair.
    """
    if not pairs:
        raise DataError("No unit was judged by both raters; agreement needs at least one")
    if clusters is not None and len(clusters) != len(pairs):
        raise DataError(f"{len(clusters)} clusters for {len(pairs)} pairs; expected one for each")
    values = _values([value for pair in pairs for value in pair], "nominal")
    place = {value: number for number, value in enumerate(values)}
    names = {name: number for number, name in enumerate(dict.fromkeys(clusters or range(len(pairs))))}
    tables = np.zeros((len(names), len(values), len(values)))
    for (first, second), cluster in zip(pairs, clusters or range(len(pairs)), strict=True):
        tables[names[cluster], place[first], place[second]] += 1

    def figures(sums: Array) -> Array:
        return _accuracy_and_kappa(sums.reshape(-1, len(values), len(values)))

    totals = tables.reshape(len(names), -1)
    accuracy, kappa = figures(totals.sum(axis=0)[None])[0]
    lows, highs = bootstrap_clusters(totals, figures, seed, resamples=resamples)
    accuracies = (float(accuracy), float(lows[0]), float(highs[0]))
    return TwoRaters(len(pairs), *accuracies, _defined(kappa), *map(_defined, (lows[1], highs[1])))


def _values(values: Sequence[Any], level: Level) -> list[Any]:
    """The different values, numbers in order."""
    found = dict.fromkeys(values)
    if len(found) > MAX_VALUES:
        raise DataError(f"{len(found)} different values; agreement is counted over at most {MAX_VALUES}: round them")
    if level == "nominal":
        return list(found)
    wrong = [value for value in found if not isinstance(value, int | float) or not math.isfinite(value)]
    if wrong:
        raise DataError(f"{wrong[0]!r} is no finite number, which level {level!r} needs; use 'nominal' for names")
    return sorted(found)


def _coincidences(counts: Array) -> Array:
    """[units, values, values]: pairs of ratings of one unit, each unit weighing as much as it has ratings."""
    pairs = counts[:, :, None] * counts[:, None, :]
    same = np.arange(counts.shape[1])
    pairs[:, same, same] -= counts
    weighed: Array = pairs / (counts.sum(axis=1) - 1)[:, None, None]
    return weighed


def _alpha(coincidences: Array, values: Sequence[Any], level: Level) -> Array:
    """[batch] from [batch, values, values]; NaN where all ratings are the same."""
    marginals = coincidences.sum(axis=2)
    n = marginals.sum(axis=1)
    distances = _distances(marginals, values, level)
    observed = (coincidences * distances).sum(axis=(1, 2))
    expected = (marginals[:, :, None] * marginals[:, None, :] * distances).sum(axis=(1, 2))
    ratio = np.divide(observed * (n - 1), expected, out=np.full_like(n, math.nan), where=expected > 0)
    alpha: Array = 1 - ratio
    return alpha


def _distances(marginals: Array, values: Sequence[Any], level: Level) -> Array:
    if level == "nominal":
        return (1 - np.eye(len(values)))[None]
    if level == "interval":
        numbers = np.array(values, dtype=np.float64)
        return ((numbers[:, None] - numbers[None, :]) ** 2)[None]
    # ratings up to the middle of a value's own: their difference counts those between, and half of both ends
    ranks = np.cumsum(marginals, axis=1) - marginals / 2
    squared: Array = (ranks[:, :, None] - ranks[:, None, :]) ** 2
    return squared


def _accuracy_and_kappa(tables: Array) -> Array:
    """[batch, 2] from [batch, values, values] counts; kappa is NaN where chance alone agrees always."""
    n = tables.sum(axis=(1, 2))
    accuracy = np.trace(tables, axis1=1, axis2=2) / n
    by_chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / n**2
    beyond = 1 - by_chance
    kappa = np.divide(accuracy - by_chance, beyond, out=np.full_like(n, math.nan), where=beyond > 1e-12)
    return np.stack([accuracy, kappa], axis=1)


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
