"""Wins between models in, one strength for each out: the Bradley-Terry model (Bradley and Terry 1952).

The share of wins of i over j is 1 / (1 + exp(strength_j - strength_i)). Ties enter as half a win of each. A model that
won or lost everything would have an infinite strength, and models that never met, directly or through others, would
have none; so every model also plays a tenth of a game, half won, against a fixed opponent of strength 0. That is a weak
prior: it pulls all towards each other, the less, the more real games there are.

The log-likelihood is climbed by Newton's method. A step that moves no two strengths apart by more than 1 always
climbs, since the curvature changes by less than the factor e along it (Bach 2010, self-concordance of the logistic
loss); longer steps are shortened to that.
"""

import numpy as np
from numpy.typing import NDArray

from seallm.base.errors import DataError

PRIOR_GAMES = 0.1
_LARGEST_STEP, _MOST_STEPS, _CLOSE = 1.0, 200, 1e-9

Array = NDArray[np.float64]


def bradley_terry(wins: Array, *, prior_games: float = PRIOR_GAMES) -> Array:
    """Strengths of all models.

    Args:
        wins: [..., models, models]; `wins[i, j]` is how often i was better than j; the diagonal is not read.
        prior_games: of each model against the fixed opponent; above 0.

    Returns:
        [..., models] natural log-odds with mean 0.

    Raises:
        DataError: the prior is not above 0, or a number of wins is negative or not finite.
    """
    if not prior_games > 0:
        raise DataError(f"prior_games is {prior_games}; expected more than 0")
    if not np.all(np.isfinite(wins)) or np.any(wins < 0):
        raise DataError("A number of wins is negative or not finite; expected 0 or more")
    shape, num_models = wins.shape[:-1], wins.shape[-1]
    wins = np.where(np.eye(num_models, dtype=bool), 0.0, wins).reshape(-1, num_models, num_models)
    strengths = np.zeros(wins.shape[:-1])
    moving = np.arange(len(wins))  # those that have not settled yet
    for _ in range(_MOST_STEPS):
        step = _newton_step(strengths[moving], wins[moving], prior_games)
        strengths[moving] += step
        moving = moving[np.ptp(step, axis=-1) > _CLOSE]  # all moving alike changes no share
        if not moving.size:
            break
    assert not moving.size, "Newton's method did not settle"
    centred: Array = strengths - strengths.mean(axis=-1, keepdims=True)
    return centred.reshape(shape)


def _newton_step(strengths: Array, wins: Array, prior_games: float) -> Array:
    """[batch, models]: to the top of the quadratic through the log-likelihood, or towards it as far as is safe."""
    expected = 1 / (1 + np.exp(strengths[:, None, :] - strengths[:, :, None]))  # [batch, i, j]: i better than j
    phantom = 1 / (1 + np.exp(-strengths))
    unexpected = wins * expected.swapaxes(-1, -2)  # not wins - games * expected, which cancels where one always won
    slope = (unexpected - unexpected.swapaxes(-1, -2)).sum(axis=-1) + prior_games * (0.5 - phantom)
    shared = (wins + wins.swapaxes(-1, -2)) * expected * expected.swapaxes(-1, -2)
    curvature = -shared
    diagonal = np.arange(strengths.shape[-1])
    curvature[:, diagonal, diagonal] = shared.sum(axis=-1) + prior_games * phantom * (1 - phantom)
    step: Array = np.linalg.solve(curvature, slope[..., None])[..., 0]
    apart = np.maximum(step.max(axis=-1), 0) - np.minimum(step.min(axis=-1), 0)  # the fixed opponent stays at 0
    shorter: Array = step * np.minimum(1, _LARGEST_STEP / np.maximum(apart, _CLOSE))[:, None]
    return shorter
