"""Scores of two models on the same examples in, their differences with 95 % intervals out: the paired bootstrap.

Both models are drawn together, example by example, so what makes an example easy or hard for both cancels out: a
difference may be certain where the two intervals overlap.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from seallm.base.interval import bootstrap_mean
from seallm.evaluate.harness import Scored, Tasks, scored_values
from seallm.evaluate.metrics import chrf_difference_interval

CORPUS_METRICS = {"chrf++": chrf_difference_interval}
Row = dict[str, Any]


def differences(scored: Mapping[str, Sequence[Row]], tasks: Tasks, seed: int) -> list[Row]:
    """Every model against the first.

    Args:
        scored: by model, rows of `score_task`.
        tasks: by name.
        seed: of the bootstrap.

    Returns:
        Rows {model, against, task, language, metric, value, n, low, high}; what is neither a mean over examples nor
        chrF++ has none.
    """
    (first, base), *others = ((model, scored_values(rows, tasks)) for model, rows in scored.items())
    return [
        {"model": model, "against": first, **row}
        for model, values in others
        for ours, theirs in zip(values, base, strict=True)
        if (row := _difference(ours, theirs, seed)) is not None
    ]


def _difference(ours: Scored, theirs: Scored, seed: int) -> Row | None:
    if ours.metric in CORPUS_METRICS:
        low, high = CORPUS_METRICS[ours.metric](ours.values, theirs.values)
        value = ours.aggregate(ours.values) - theirs.aggregate(theirs.values)
    elif all(isinstance(value, int | float) for value in (*ours.values, *theirs.values)):
        paired = [a - b for a, b in zip(ours.values, theirs.values, strict=True)]
        low, high = bootstrap_mean(paired, seed)
        value = sum(paired) / len(paired)
    else:
        return None
    return {**ours.named, "value": value, "n": len(ours.values), "low": low, "high": high}
