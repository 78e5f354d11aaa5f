"""Strengths against a published fit, a plain minorisation-maximisation, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.comparisons.bradley_terry import bradley_terry

# Agresti, Categorical Data Analysis (2nd ed., 2002), table 10.10: American League baseball, 1987
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ],
    dtype=float,
)
PUBLISHED = (1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0)  # log strengths, Baltimore at 0


def minorise(wins: np.ndarray, prior_games: float, rounds: int = 20_000) -> np.ndarray:
    """Hunter 2004, equation 3, with the fixed opponent of worth 1."""
    worth = np.ones(len(wins))
    for _ in range(rounds):
        for i in range(len(wins)):
            games = sum((wins[i, j] + wins[j, i]) / (worth[i] + worth[j]) for j in range(len(wins)) if j != i)
            worth[i] = (wins[i].sum() + prior_games / 2) / (games + prior_games / (worth[i] + 1))
    strengths = np.log(worth)
    return strengths - strengths.mean()


def test_the_published_fit() -> None:
    strengths = bradley_terry(WINS, prior_games=1e-9)
    assert strengths - strengths[-1] == pytest.approx(PUBLISHED, abs=6e-4)
    assert strengths.mean() == pytest.approx(0, abs=1e-12)


def test_equal_to_the_plain_algorithm() -> None:
    wins = np.array([[0, 3, 1.5, 0], [1, 0, 4, 0], [2.5, 0, 0, 2], [0, 1, 1, 0]])
    assert bradley_terry(wins, prior_games=0.5) == pytest.approx(minorise(wins, 0.5, 2_000), abs=1e-7)


def test_who_always_won_has_a_finite_strength() -> None:
    wins = np.array([[0.0, 50.0], [0.0, 0.0]])
    strong, weak = bradley_terry(wins)
    assert strong == -weak
    assert 3 < strong < 10
    assert bradley_terry(wins * 100)[0] > strong


def test_models_that_never_met_are_held_together_by_the_prior() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[2, 3] = 5
    strengths = bradley_terry(wins)
    assert strengths == pytest.approx([strengths[0], -strengths[0]] * 2)
    assert bradley_terry(np.zeros((3, 3))) == pytest.approx([0, 0, 0])


def test_extreme_numbers_settle() -> None:
    wins = np.array([[0, 1e6, 1e6], [0, 0, 1e6], [1, 0, 0]], dtype=float)
    strengths = bradley_terry(wins, prior_games=1e-6)
    assert strengths[0] > strengths[1] > strengths[2]


def test_a_batch_is_many_single_fits() -> None:
    batch = np.random.default_rng(0).integers(0, 9, size=(2, 3, 4, 4)).astype(float)
    together = bradley_terry(batch)
    assert together.shape == (2, 3, 4)
    for place in np.ndindex(2, 3):
        assert together[place] == pytest.approx(bradley_terry(batch[place]), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_order_and_sides_do_not_matter(seed: int, num_models: int) -> None:
    generator = np.random.default_rng(seed)
    wins = generator.integers(0, 5, size=(num_models, num_models)) / 2
    strengths = bradley_terry(wins)
    order = generator.permutation(num_models)
    assert bradley_terry(wins[np.ix_(order, order)]) == pytest.approx(strengths[order], abs=1e-7)
    assert bradley_terry(wins.T) == pytest.approx(-strengths, abs=1e-7)  # whoever won lost


@pytest.mark.parametrize(("wins", "prior"), [(-1.0, 0.1), (np.nan, 0.1), (np.inf, 0.1), (1.0, 0.0), (1.0, np.nan)])
def test_bad_input(wins: float, prior: float) -> None:
    with pytest.raises(DataError):
        bradley_terry(np.array([[0, wins], [1, 0]]), prior_games=prior)
