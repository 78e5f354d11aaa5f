"""Questions and answers in, the cases that a judge has to decide out; what a rule decides is never asked.

A case is one answer (score), or two in one order (pairwise), at one turn of one question, asked once. Rules, in order:

    an empty answer gets the lowest score, and loses against one that is not empty
    an answer in the wrong language gets the lowest score, and loses against one in the right language
    two answers of the same text are a tie; so are two that both break one of the rules above
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from seallm.evaluate.judge_prompts import Mode
from seallm.evaluate.judge_questions import Question

LOWEST_SCORE = 0.0
Answers = Mapping[str, Mapping[str, Sequence[str]]]
"""By model, then by key of the question: its answers, turn by turn; those that it failed to give are empty."""
Identify = Callable[[Sequence[str], Sequence[str]], Sequence[str | None]]
"""Texts and the languages they should be in to the languages they are in; None where that is not certain."""
Rule = Literal["empty", "wrong language", "same text"]


@dataclass(frozen=True)
class Case:
    """What is decided.

    Attributes:
        question: with its key, language and category.
        turn: from 0.
        models: the one scored, or A and B in this order.
        answers: of each model, to the turns up to this one.
        repeat: number of the asking, from 0.
        rule: what decides it without the judge; else None.
        decided: the score (0 to 10) or the verdict (A, B, C) of that rule.
    """

    question: Question
    turn: int
    models: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    repeat: int = 0
    rule: Rule | None = None
    decided: float | str | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What it is about, as a row of the file of verdicts says it."""
        return {
            "question": self.question.key,
            "language": self.question.language,
            "category": self.question.category,
            "turn": self.turn + 1,
            "models": list(self.models),
            "repeat": self.repeat,
            "rule": self.rule,
        }


def wrong_languages(questions: Sequence[Question], answers: Answers, identify: Identify) -> set[tuple[str, str, int]]:
    """(model, question, turn) of the answers whose language is certain, and another than the question's."""
    places = [
        (model, question, turn, text)
        for model, of_questions in answers.items()
        for question in questions
        for turn, text in enumerate(of_questions[question.key])
        if text.strip()
    ]
    found = identify([text for *_, text in places], [question.language for _, question, *_ in places])
    return {
        (model, question.key, turn)
        for (model, question, turn, _), code in zip(places, found, strict=True)
        if code is not None and code != question.language
    }


def make_cases(
    mode: Mode,
    questions: Sequence[Question],
    answers: Answers,
    wrong: set[tuple[str, str, int]],
    *,
    repeats: int = 1,
    against: str | None = None,
    both_orders: bool = True,
) -> list[Case]:
    """All cases, in a fixed order.

    Args:
        mode: score single answers, or compare two.
        questions: what was asked.
        answers: of all models.
        wrong: answers in the wrong language.
        repeats: how often the judge is asked the same.
        against: compare all others with this model alone; None: all pairs.
        both_orders: ask about a pair a second time, turned round.
    """
    models = list(answers)
    if mode == "score":
        groups: list[tuple[str, ...]] = [(model,) for model in models]
    elif against is None:
        groups = list(combinations(models, 2))
    else:
        groups = [(model, against) for model in models if model != against]
    orders = [order for group in groups for order in dict.fromkeys((group, group[::-1] if both_orders else group))]
    return [
        case
        for question in questions
        for turn in range(len(question.turns))
        for order in orders
        for case in _repeated(question, turn, order, answers, wrong, repeats)
    ]


def _repeated(
    question: Question,
    turn: int,
    models: tuple[str, ...],
    answers: Answers,
    wrong: set[tuple[str, str, int]],
    repeats: int,
) -> Iterator[Case]:
    shown = tuple(tuple(answers[model][question.key][: turn + 1]) for model in models)
    flaws = [_flaw(model, question, turn, texts[-1], wrong) for model, texts in zip(models, shown, strict=True)]
    rule, decided = _decide(flaws, [texts[-1] for texts in shown])
    for repeat in range(repeats if rule is None else 1):
        yield Case(question, turn, models, shown, repeat, rule, decided)


def _flaw(model: str, question: Question, turn: int, text: str, wrong: set[tuple[str, str, int]]) -> Rule | None:
    if not text.strip():
        return "empty"
    return "wrong language" if (model, question.key, turn) in wrong else None


def _decide(flaws: Sequence[Rule | None], texts: Sequence[str]) -> tuple[Rule | None, float | str | None]:
    if len(flaws) == 1:
        return (flaws[0], LOWEST_SCORE) if flaws[0] else (None, None)
    first, second = flaws
    if first and second:
        return first, "C"
    if first or second:
        return first or second, "B" if first else "A"
    return ("same text", "C") if texts[0].strip() == texts[1].strip() else (None, None)
