"""A question and its answers in, what the judge is asked out, and what the judge said read back.

Words are those of `judge_words.toml`. Sea-bench's two ways: a score from 0 to 10 of one answer, or which of two is
better, A, B, or C for neither. Of a later turn the judge sees the conversation up to it. Texts of users and models
stand between marks, which are taken out of the texts themselves.
"""

import functools
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal

from seallm.base.records import Message
from seallm.evaluate.judge_questions import Question
from seallm.languages import known_languages, load_language

Mode = Literal["score", "pairwise"]
SCORES = tuple(str(score) for score in range(11))
VERDICTS = ("A", "B", "C")
BEST_SCORE = 10
_OPEN, _CLOSE = "<<<", ">>>"
_NUMBER = r"(\d+(?:\.\d+)?)"
# `Score (0-10): 7` is a 7: what stands in brackets after the word is its scale
_SCORE = re.compile(rf"(?:score|rating)(?:\s*\([^)\n]*\))?\W{{0,6}}{_NUMBER}|\[\[{_NUMBER}\]\]", re.IGNORECASE)
_VERDICT = re.compile(r"verdict\W{0,6}(?:assistant\s+)?([ABC])\b|\[\[([ABC])\]\]", re.IGNORECASE)


@functools.cache
def _words() -> dict[str, Any]:
    file = resources.files("seallm") / "evaluate" / "judge_words.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def score_prompt(question: Question, answers: Sequence[str], *, prose: bool) -> tuple[Message, ...]:
    """Ask how good the last of the answers is.

    Args:
        question: with at least as many turns as answers.
        answers: the assistant's, to the first turns.
        prose: let the judge say why first.
    """
    words = _words()["score"]
    parts = [
        words["ask"].format(criteria=_criteria(question)),
        _words()["language"].format(language=_name(question.language)),
        words["scale"],
        _conversation(question, answers, "The conversation"),
        *_reference(question, len(answers)),
        words["with_prose" if prose else "number_alone"],
    ]
    return _messages(question, parts)


def pair_prompt(question: Question, a: Sequence[str], b: Sequence[str], *, prose: bool) -> tuple[Message, ...]:
    """Ask which of two conversations ends in the better answer; arguments as `score_prompt`."""
    words = _words()["pairwise"]
    parts = [
        words["ask"].format(criteria=_criteria(question)),
        _words()["language"].format(language=_name(question.language)),
        words["scale"],
        *_reference(question, len(a)),
        _conversation(question, a, "Assistant A"),
        _conversation(question, b, "Assistant B"),
        words["with_prose" if prose else "letter_alone"],
    ]
    return _messages(question, parts)


def _messages(question: Question, parts: Sequence[str]) -> tuple[Message, ...]:
    system = _words()["system"].format(language=_name(question.language))
    return (Message("system", system), Message("user", "\n\n".join(parts)))


def _name(code: str) -> str:
    return load_language(code).name if code in known_languages() else code


def _criteria(question: Question) -> str:
    words = _words()
    if question.expects is not None:
        return str(words["expects"][question.expects])
    return str(words["criteria"].get(question.category, words["criteria"]["other"]))


def _conversation(question: Question, answers: Sequence[str], title: str) -> str:
    turns = [
        f"{who}: {_marked(text)}"
        for asked, answered in zip(question.turns, answers, strict=False)
        for who, text in (("User", asked), ("Assistant", answered))
    ]
    return "\n".join([f"{title}:", *turns])


def _reference(question: Question, turns: int) -> list[str]:
    """The right answer to the last turn, where there is one."""
    if len(question.references) < turns:
        return []
    return [f"{_words()['reference']}\n{_marked(question.references[turns - 1])}"]


def _marked(text: str) -> str:
    return f"{_OPEN}{text.strip().replace(_OPEN, '').replace(_CLOSE, '')}{_CLOSE}"


def read_score(text: str) -> float | None:
    """The score that a judge wrote: its last `Score: N`, or the number that it began with; None where there is none."""
    found = _SCORE.findall(text)
    if found:
        number = float(next(group for group in found[-1] if group))
    else:
        alone = re.match(r"\W*(\d+(?:\.\d+)?)\s*(?:/\s*10)?\W*(?:$|\n)", text)
        if alone is None:
            return None
        number = float(alone[1])
    return number if 0 <= number <= BEST_SCORE else None


def read_verdict(text: str) -> str | None:
    """The verdict that a judge wrote: A, B or C; None where there is none."""
    found = _VERDICT.findall(text)
    if found:
        return str(next(group for group in found[-1] if group)).upper()
    alone = re.match(r"\W*([ABC])\W*(?:$|\n)", text)
    return None if alone is None else alone[1]
