"""Tokens on hand and the wishes of a recipe in, shares of a stream out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SHARE_UNITS = 10**9  # shares are whole numbers of these, so that positions are exact at any step
PAIRS = "parallel"  # stands for a language where sentence pairs are meant, which are of two
HALVINGS = 100  # of the interval in which the common factor of `bounded_shares` is sought


@dataclass(frozen=True)
class Balance:
    """How a stream divides its tokens among languages.

    Attributes:
        base_language_share: of the base language.
        temperature: other languages get shares proportional to size^(1/temperature).
        fixed: shares of languages that do not depend on their size; one for the base language goes before its own.
        pairs_share: of the documents made of sentence pairs; the languages divide the rest.
    """

    base_language: str
    base_language_share: float
    temperature: float
    fixed: Mapping[str, float] = field(default_factory=dict)
    pairs_share: float = 0.0


def language_of(source: str) -> str:
    """The language of a source: `th` of `th.high`."""
    return source.partition(".")[0]


def language_shares(tokens: Mapping[str, int], balance: Balance) -> dict[str, float]:
    """Shares of the languages in a stream.

    Languages of fixed shares get these; each other one a share of the rest proportional to its tokens^(1/temperature)
    (the sampling of multilingual BERT and XLM-R). A language without tokens gets none, and what it leaves goes to the
    languages without a fixed share, or, where there is none, to all in proportion.

    Args:
        tokens: tokens on hand, by language; sentence pairs count as the language PAIRS.
        balance: what the recipe wishes.

    Returns:
        Shares that sum to 1, of the languages that have tokens.
    """
    languages = {language: n for language, n in tokens.items() if n and language != PAIRS}
    fixed = {balance.base_language: balance.base_language_share} | dict(balance.fixed)
    shares = {language: share for language, share in fixed.items() if share and languages.get(language)}
    weights = {language: n ** (1 / balance.temperature) for language, n in languages.items() if language not in fixed}
    rest, total = max(0.0, 1 - sum(shares.values())), sum(weights.values())
    shares |= {language: rest * weight / total for language, weight in weights.items()}
    pairs = balance.pairs_share if tokens.get(PAIRS) else 0.0
    whole = sum(shares.values())
    shares = {language: (1 - pairs) * share / whole for language, share in shares.items()}
    return shares | ({PAIRS: pairs if shares else 1.0} if pairs else {})


def source_shares(tokens: Mapping[str, int], by_language: Mapping[str, float]) -> dict[str, float]:
    """Shares of sources (`th.high`), from those of languages: a language's tiers share in proportion to their size."""
    sums: dict[str, int] = {}
    for source, n in tokens.items():
        sums[language_of(source)] = sums.get(language_of(source), 0) + n
    return {
        source: by_language.get(language_of(source), 0.0) * n / sums[language_of(source)] if n else 0.0
        for source, n in tokens.items()
    }


def capped_shares(
    tokens: Mapping[str, int], by_language: Mapping[str, float], rooms: Mapping[str, float], total: float
) -> dict[str, float]:
    """As `source_shares`, but no source gives more tokens than it may.

    What a source may not give goes to the other tier of its language, and what a language may not give to all other
    languages in proportion to their shares (as in UniMax, Chung et al. 2023).

    Args:
        tokens: tokens of each source.
        by_language: wished shares of languages, which sum to 1.
        rooms: tokens that each source may give.
        total: tokens wanted of all together.

    Returns:
        Shares; they sum to less than 1 where all sources together may not give `total`.
    """
    languages = [language for language, share in by_language.items() if share]
    limits = [sum(rooms[s] for s in tokens if language_of(s) == language) / total for language in languages]
    wished = [by_language[language] for language in languages]
    allowed = dict(zip(languages, bounded_shares(wished, [0.0] * len(wished), limits, 1.0), strict=True))
    shares = dict.fromkeys(tokens, 0.0)
    for language, share in allowed.items():
        own = [source for source in tokens if language_of(source) == language and tokens[source]]
        upper = [rooms[source] / total for source in own]
        found = bounded_shares([float(tokens[source]) for source in own], [0.0] * len(own), upper, float(share))
        shares |= dict(zip(own, map(float, found), strict=True))
    return shares


def bounded_shares(
    weights: Sequence[float], lower: Sequence[float], upper: Sequence[float], total: float
) -> NDArray[np.float64]:
    """Numbers proportional to the weights that sum to `total`, but for those that a bound stops.

    Args:
        weights: not negative.
        lower: least of each number.
        upper: most of each number; may be infinite.
        total: wanted sum; where the bounds do not allow it, all numbers are at their bounds.
    """
    wanted, least, most = (np.asarray(values, np.float64) for values in (weights, lower, upper))
    if most.sum() <= total:
        return most
    low, high = 0.0, total / max(float(wanted.max(initial=0.0)), 1e-300)
    while np.clip(high * wanted, least, most).sum() < total and high < 1e300:
        high *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if np.clip(middle * wanted, least, most).sum() < total:
            low = middle
        else:
            high = middle
    return np.clip(high * wanted, least, most)


def in_units(shares: Sequence[float]) -> list[int]:
    """Shares as whole numbers that sum to SHARE_UNITS."""
    ends = np.round(np.cumsum(shares) / np.sum(shares) * SHARE_UNITS).astype(np.int64)
    return [int(n) for n in np.diff(ends, prepend=0)]
