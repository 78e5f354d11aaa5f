"""Bits per byte of every language in, the shares of the next steps out: towards those that lag, English kept.

Bits per byte of different scripts do not compare, but each language's can be compared with what it was, or with a
target. A language's lag is ln(bits per byte now / reference), where the reference is its target or, without targets,
its bits per byte before training. Its share is planned share x exp(strength x (lag - mean lag)), the multiplicative
weights of Sheared LLaMA's dynamic batch loading (Xia et al. 2023), but on the present lag instead of summed over time:
so a language that cannot improve as much as others does not drift to its bound. No share leaves planned share / f to
planned share x f.

The base language (English) has a forgetting budget: while its bits per byte exceed the base model's by more than the
budget, its share grows by a quarter at every measurement, up to a limit; after that it shrinks back the same way.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seallm.recipe_training import Dynamic
from seallm.train.shares import PAIRS, bounded_shares

BASE_SHARE_FACTOR = 1.25  # a share of 0.1 doubles in four measurements
LEAST_BASE_SHARE = 0.02  # where a base language that had no share starts to grow from

Figures = Mapping[str, float]  # bits per byte by language


@dataclass(frozen=True)
class Measured:
    """Bits per byte on the same held-out documents.

    Attributes:
        now: of the model as it is.
        start: before training.
        base: of the base model with its own tokenizer.
    """

    now: Figures
    start: Figures
    base: Figures


def steer(
    settings: Dynamic, planned: Mapping[str, float], base_language: str, base_share: float, measured: Measured
) -> tuple[dict[str, float], dict[str, Any]]:
    """The shares of the languages until the next measurement.

    Args:
        settings: strength, bounds, targets and budget.
        planned: shares that the mixture started with; they sum to 1.
        base_language: the language whose budget is kept.
        base_share: its present share.
        measured: held-out bits per byte.

    Returns:
        Shares that sum to 1, and what they were decided upon, for the log.
    """
    rise = _rise(base_language, measured)
    share = _base_share(settings, planned.get(base_language, 0.0), base_share, rise)
    others = {code: wish for code, wish in planned.items() if code not in (base_language, PAIRS) and wish}
    lags = _lags(settings.targets or measured.start, measured.now, others)
    rest = 1 - planned.get(PAIRS, 0.0) - (share if base_language in planned else 0.0)
    scale = rest / sum(others.values()) if others else 0.0
    wishes = [wish * scale for wish in others.values()]
    weights = [wish * math.exp(settings.strength * lags.get(code, 0.0)) for code, wish in others.items()]
    low, high = ([wish * f for wish in wishes] for f in (1 / settings.max_change, settings.max_change))
    shares = dict(zip(others, map(float, bounded_shares(weights, low, high, rest)), strict=True))
    if base_language in planned:
        shares[base_language] = share if others else 1 - planned.get(PAIRS, 0.0)
    if PAIRS in planned:
        shares[PAIRS] = planned[PAIRS]
    reasons: dict[str, Any] = {"lags": {code: round(lag, 5) for code, lag in lags.items()}}
    if rise is not None:
        reasons["base_language_rise"] = round(rise, 5)
    return shares, reasons


def _rise(base_language: str, measured: Measured) -> float | None:
    """By how much the base language's bits per byte exceed the base model's, as a share of them."""
    now, base = measured.now.get(base_language), measured.base.get(base_language)
    return now / base - 1 if now and base else None


def _base_share(settings: Dynamic, planned: float, present: float, rise: float | None) -> float:
    if rise is None:
        return planned
    if rise > settings.base_language_budget:
        most = max(settings.max_base_language_share, planned)
        return min(most, max(present, LEAST_BASE_SHARE) * BASE_SHARE_FACTOR)
    return max(planned, present / BASE_SHARE_FACTOR)


def _lags(references: Figures, now: Figures, shares: Mapping[str, float]) -> dict[str, float]:
    """How far each language is behind the mean of them all, weighted by their shares."""
    lags = {code: math.log(now[code] / references[code]) for code in shares if now.get(code) and references.get(code)}
    total = sum(shares[code] for code in lags)
    mean = sum(shares[code] * lag for code, lag in lags.items()) / total if total else 0.0
    return {code: lag - mean for code, lag in lags.items()}
