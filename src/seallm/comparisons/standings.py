"""Outcomes in, a league table out: win rates and Bradley-Terry strengths with intervals clustered by question.

All figures of a table come from the same resamples of questions, so that they fit each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from seallm.base.interval import bootstrap_clusters, wilson
from seallm.comparisons.bradley_terry import PRIOR_GAMES, bradley_terry
from seallm.comparisons.outcomes import Games, Outcome, count_games

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """One model against all others.

    Attributes:
        model: its name.
        games: judgements that it was part of.
        questions: different questions among them: what the intervals rest on.
        win_rate: share of its games that it won, a tie counting half.
        tie_share: share of its games that nobody won.
        strength: Bradley-Terry, in natural log-odds; the mean of all models is 0.
    """

    model: str
    games: int
    questions: int
    win_rate: Estimate
    tie_share: float
    strength: Estimate


@dataclass(frozen=True)
class HeadToHead:
    """Two models against each other: what `first` won, tied and lost, and its share with a tie counting half."""

    first: str
    second: str
    questions: int
    wins: int
    ties: int
    losses: int
    win_rate: Estimate


def standings(
    outcomes: Sequence[Outcome], seed: int, *, resamples: int = 1_000, prior_games: float = PRIOR_GAMES
) -> list[Standing]:
    """All models, the strongest first.

    Args:
        outcomes: at least one.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        prior_games: of `bradley_terry`.

    Raises:
        DataError: there is no outcome, or one is malformed.
    """
    games = count_games(outcomes)
    num_questions, num_models, _ = games.wins.shape

    def figures(sums: Array) -> Array:
        wins = sums.reshape(-1, num_models, num_models)
        return np.concatenate([_win_rates(wins), bradley_terry(wins, prior_games=prior_games)], axis=1)

    totals = games.wins.reshape(num_questions, -1)
    values = figures(totals.sum(axis=0)[None])[0]
    lows, highs = bootstrap_clusters(totals, figures, seed, resamples=resamples)
    estimates = [Estimate(*map(float, ends)) for ends in zip(values, lows, highs, strict=True)]
    played = (games.wins + games.wins.swapaxes(1, 2)).sum(axis=2)  # [questions, models]
    ties = games.ties.sum(axis=(0, 2))
    found = [
        Standing(
            model,
            round(played[:, at].sum()),
            int((played[:, at] > 0).sum()),
            _of_share(estimates[at], int((played[:, at] > 0).sum())),
            float(ties[at] / played[:, at].sum()),
            estimates[num_models + at],
        )
        for at, model in enumerate(games.models)
    ]
    return sorted(found, key=lambda standing: (-standing.strength.value, standing.model))


def _of_share(estimate: Estimate, questions: int) -> Estimate:
    """Wilson's interval over the questions where resampling them can say nothing: one question, or all won or lost."""
    if questions > 1 and 0 < estimate.value < 1:
        return estimate
    return Estimate(estimate.value, *wilson(estimate.value * questions, questions))


def _win_rates(wins: Array) -> Array:
    won, lost = wins.sum(axis=2), wins.sum(axis=1)
    return _share(won, won + lost)


def _share(part: Array, whole: Array) -> Array:
    """NaN where nothing was observed: a resample may have no game of a model."""
    return np.divide(part, whole, out=np.full_like(part, math.nan), where=whole > 0)


def head_to_head(outcomes: Sequence[Outcome], seed: int, *, resamples: int = 1_000) -> list[HeadToHead]:
    """All pairs of models that met, by name.

    Raises:
        DataError: there is no outcome, or one is malformed.
    """
    games = count_games(outcomes)
    pairs = [(i, j) for i, j in combinations(range(len(games.models)), 2) if _met(games, i, j).any()]
    return [_meeting(games, i, j, seed, resamples) for i, j in pairs]


def _met(games: Games, i: int, j: int) -> NDArray[np.bool_]:
    """[questions]: whether the two were compared there."""
    met: NDArray[np.bool_] = games.wins[:, i, j] + games.wins[:, j, i] > 0
    return met


def _meeting(games: Games, i: int, j: int, seed: int, resamples: int) -> HeadToHead:
    totals = np.stack([games.wins[:, i, j], games.wins[:, j, i]], axis=1)[_met(games, i, j)]
    ties = float(games.ties[:, i, j].sum())
    won, lost = (float(column) for column in totals.sum(axis=0))

    def share_won(sums: Array) -> Array:
        return _share(sums[:, :1], sums.sum(axis=1, keepdims=True))

    low, high = bootstrap_clusters(totals, share_won, seed, resamples=resamples)[:, 0]
    return HeadToHead(
        games.models[i],
        games.models[j],
        len(totals),
        round(won - ties / 2),
        round(ties),
        round(lost - ties / 2),
        _of_share(Estimate(won / (won + lost), float(low), float(high)), len(totals)),
    )
