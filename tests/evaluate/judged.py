"""Small contests with planted truth, for the tests of the judge: answers from memory, a judge by a function."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seallm.endpoints.metering import Meter
from seallm.evaluate.judge_cases import Answers, Case, make_cases
from seallm.evaluate.judge_questions import Question
from seallm.evaluate.judge_verdicts import OnDone, Verdict

QUESTIONS = [
    Question(f"{code}:{number}", code, category, (f"Question {number}?",))
    for code in ("en", "th", "lo")
    for category in ("task-solving", "math-reasoning", "natural-question")
    for number in range(10 * len(category), 10 * len(category) + 8)
]


def any_language(texts: Sequence[str], expected: Sequence[str]) -> list[str | None]:
    return [None] * len(texts)


def answers_of(models: Sequence[str], questions: Sequence[Question] = QUESTIONS) -> Answers:
    return {m: {q.key: tuple(f"{m} says {t}" for t in q.turns) for q in questions} for m in models}


class FunctionJudge:
    """A judge whose verdict is a function of the case."""

    name = "function"

    def __init__(self, decide: Callable[[Case], float | str | None]) -> None:
        self.meter, self._decide = Meter(), decide
        self.asked: list[Case] = []

    def decide(self, cases: Sequence[Case], on_done: OnDone) -> list[Verdict | None]:
        self.asked += cases
        return [Verdict(case, self._decide(case)) for case in cases]


def verdicts(
    decide: Callable[[Case], float | str | None], mode: str, models: Sequence[str], repeats: int = 1
) -> list[Verdict]:
    cases = make_cases(
        "score" if mode == "score" else "pairwise", QUESTIONS, answers_of(models), set(), repeats=repeats
    )
    return [Verdict(case, decide(case)) for case in cases]


def write_answers(path: Path, texts: Mapping[str, Sequence[str]]) -> Path:
    """A file of answers by key of the question."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ({"question_id": key.split(":", 1)[1], "lang": key[:2], "answers": list(t)} for key, t in texts.items())
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path
