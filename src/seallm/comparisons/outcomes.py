"""Single judgements "which of two is better" in, wins by question and pair of models out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seallm.base.errors import DataError


@dataclass(frozen=True)
class Outcome:
    """One judgement.

    Attributes:
        question: what was answered; judgements of one question stand or fall together in every interval.
        first: one model.
        second: another.
        score: 1 where `first` is better, 0 where `second` is, 0.5 where neither is.
    """

    question: str
    first: str
    second: str
    score: float


@dataclass(frozen=True)
class Games:
    """Outcomes, counted.

    Attributes:
        models: names, sorted; every array below has them in this order.
        wins: [questions, models, models]; `wins[q, i, j]` is how often i was better than j at q, a tie counting as half
            a win of each.
        ties: [questions, models, models], symmetric.
    """

    models: tuple[str, ...]
    wins: NDArray[np.float64]
    ties: NDArray[np.float64]


def count_games(outcomes: Sequence[Outcome]) -> Games:
    """Count wins and ties of each pair at each question.

    Raises:
        DataError: there is no outcome, a score is none of 0, 0.5 and 1, or a model is compared with itself.
    """
    if not outcomes:
        raise DataError("No judgements to count; give at least one")
    for outcome in outcomes:
        if outcome.score not in (0, 0.5, 1):
            raise DataError(f"Question {outcome.question!r}: score {outcome.score!r}; expected 0, 0.5 or 1")
        if outcome.first == outcome.second:
            raise DataError(f"Question {outcome.question!r} compares {outcome.first!r} with itself")
    models = tuple(sorted({name for o in outcomes for name in (o.first, o.second)}))
    place = {name: number for number, name in enumerate(models)}
    questions = {name: number for number, name in enumerate(sorted({o.question for o in outcomes}))}
    at = np.array([questions[o.question] for o in outcomes])
    first, second = (np.array([place[name] for name in names]) for names in zip(*_names(outcomes), strict=True))
    score = np.array([o.score for o in outcomes], dtype=np.float64)
    wins = np.zeros((len(questions), len(models), len(models)))
    ties = np.zeros_like(wins)
    np.add.at(wins, (at, first, second), score)
    np.add.at(wins, (at, second, first), 1 - score)
    np.add.at(ties, (at, first, second), score == 0.5)
    np.add.at(ties, (at, second, first), score == 0.5)
    return Games(models, wins, ties)


def _names(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    return [(o.first, o.second) for o in outcomes]
