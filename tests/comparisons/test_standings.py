"""League tables: counts by hand, intervals that know which judgements belong together."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.base.interval import wilson
from seallm.comparisons.bradley_terry import bradley_terry
from seallm.comparisons.outcomes import Outcome, count_games
from seallm.comparisons.standings import Estimate, head_to_head, standings

FEW = [
    Outcome("q1", "a", "b", 1),
    Outcome("q1", "b", "a", 0.5),
    Outcome("q2", "b", "c", 1),
    Outcome("q2", "a", "c", 1),
    Outcome("q3", "c", "a", 0),
    Outcome("q3", "c", "b", 0.5),
]


def test_counts_by_hand() -> None:
    games = count_games(FEW)
    assert games.models == ("a", "b", "c")
    assert games.wins.sum(axis=0).tolist() == [[0, 1.5, 2], [0.5, 0, 1.5], [0, 0.5, 0]]
    assert games.ties.sum(axis=0).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_a_table_by_hand() -> None:
    table = standings(FEW, seed=0)
    assert [row.model for row in table] == ["a", "b", "c"]
    assert [row.games for row in table] == [4, 4, 4]
    assert [row.questions for row in table] == [3, 3, 2]
    assert [row.win_rate.value for row in table] == [3.5 / 4, 2 / 4, 0.5 / 4]
    assert [row.tie_share for row in table] == [0.25, 0.5, 0.25]
    assert [row.strength.value for row in table] == pytest.approx(bradley_terry(count_games(FEW).wins.sum(axis=0)))
    assert all(row.win_rate.low <= row.win_rate.value <= row.win_rate.high for row in table)
    assert standings(FEW, seed=0) == table


def test_pairs_by_hand() -> None:
    ab, ac, bc = head_to_head(FEW, seed=0)
    assert (ab.first, ab.second, ab.questions, ab.wins, ab.ties, ab.losses) == ("a", "b", 1, 1, 1, 0)
    assert ab.win_rate == Estimate(0.75, *wilson(0.75, 1))  # one question: nothing to resample
    assert (ac.wins, ac.ties, ac.losses) == (2, 0, 0)
    assert (bc.wins, bc.ties, bc.losses) == (1, 1, 0)


def test_winning_all_of_a_few_questions_is_not_certain() -> None:
    table = standings([Outcome(f"q{n}", "a", "b", 1) for n in range(5)], seed=0)
    assert [row.win_rate.value for row in table] == [1, 0]
    assert table[0].win_rate.low == pytest.approx(wilson(5, 5)[0])
    assert table[1].win_rate.high == pytest.approx(wilson(0, 5)[1])


def test_a_pair_that_never_met_has_no_row() -> None:
    rows = head_to_head([Outcome("q", "a", "b", 1), Outcome("q", "c", "d", 0)], seed=0)
    assert [(row.first, row.second) for row in rows] == [("a", "b"), ("c", "d")]


def plain_interval(outcomes: list[Outcome], seed: int, resamples: int) -> tuple[float, float]:
    """The win rate of `a`, resampling questions one by one."""
    generator = random.Random(seed)
    questions = sorted({o.question for o in outcomes})
    rates = []
    for _ in range(resamples):
        drawn = [o for q in generator.choices(questions, k=len(questions)) for o in outcomes if o.question == q]
        rates.append(sum(o.score if o.first == "a" else 1 - o.score for o in drawn) / len(drawn))
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), float(high)


def many(num_questions: int, judgements: int, seed: int) -> list[Outcome]:
    """Judgements that depend on the question alone: as many annotators say the same."""
    generator = random.Random(seed)
    scores = [generator.choice([0, 0.5, 1, 1]) for _ in range(num_questions)]
    return [Outcome(f"q{n}", "a", "b", score) for n, score in enumerate(scores) for _ in range(judgements)]


def test_equal_to_the_plain_bootstrap() -> None:
    outcomes = many(40, 3, seed=1)
    assert standings(outcomes, seed=1) != standings(outcomes, seed=0)
    ours = standings(outcomes, seed=0, resamples=4_000)[0].win_rate
    assert (ours.low, ours.high) == pytest.approx(plain_interval(outcomes, 0, 1_500), abs=0.015)


def test_saying_the_same_thrice_makes_nothing_surer() -> None:
    once, thrice = (standings(many(40, n, seed=1), seed=0)[0] for n in (1, 3))
    assert once.win_rate == thrice.win_rate
    assert (thrice.games, thrice.questions) == (120, 40)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.permutations("abc"), st.sampled_from([0, 0.5, 1])), min_size=1))
def test_sides_and_order_do_not_matter(rows: list[tuple[int, list[str], float]]) -> None:
    outcomes = [Outcome(f"q{q}", names[0], names[1], score) for q, names, score in rows]
    table = standings(outcomes, seed=3, resamples=50)
    turned = [Outcome(o.question, o.second, o.first, 1 - o.score) for o in reversed(outcomes)]
    assert standings(turned, seed=3, resamples=50) == table


@pytest.mark.parametrize(
    "outcomes", [[], [Outcome("q", "a", "a", 1)], [Outcome("q", "a", "b", 0.7)], [Outcome("q", "a", "b", float("nan"))]]
)
def test_bad_input(outcomes: list[Outcome]) -> None:
    with pytest.raises(DataError):
        standings(outcomes, seed=0)
