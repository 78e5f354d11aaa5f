"""Choices in, a request for a letter out; what the model wrote in, the choice that it named out.

For models whose likelihoods nobody tells. A letter counts where the answer begins with it, or where it is the only one
that stands by itself; else the choice whose text the answer holds, where it holds one alone.
"""

import re
from collections.abc import Sequence

from lm_eval.api.instance import Instance

from seallm.evaluate.task_files import words
from seallm.evaluate.task_rows import LETTERS

WRITTEN_TOKENS = 64  # a letter, perhaps in a sentence
ENGLISH = "en"


def questions_of(requests: Sequence[Instance]) -> list[tuple[list[int], list[str]]]:
    """(numbers of its requests, its choices) of each question: the harness makes one request a choice."""
    numbers: dict[tuple[object, ...], list[int]] = {}
    for number, request in enumerate(requests):
        numbers.setdefault((request.task_name, request.doc_id, str(request.args[0])), []).append(number)
    return [(own, [str(requests[n].args[1]).strip() for n in own]) for own in numbers.values()]


def has_letters(choices: Sequence[str]) -> bool:
    """True where the choices are letters or numbers themselves, and the prompt shows what they stand for."""
    return list(choices) in (list(LETTERS[: len(choices)]), [str(n) for n in range(1, len(choices) + 1)])


def ask_for_letter(choices: Sequence[str], language: str) -> str:
    """What is added to a prompt: the choices with letters, where it does not show them, and the request."""
    says = words().get(language, words()[ENGLISH])
    lines = [] if has_letters(choices) else [f"{a}. {text}" for a, text in zip(LETTERS, choices, strict=False)]
    return "\n" + "\n".join([*lines, says["letter"]])


def chosen_number(answer: str, choices: Sequence[str]) -> int | None:
    """Number of the choice that an answer names; None where it names none, or several."""
    letters = list(choices) if has_letters(choices) else list(LETTERS[: len(choices)])
    named = "|".join(letters)
    first = re.match(rf"\W*({named})(?![^\W_])", answer)
    if first:
        return letters.index(first[1])
    alone = set(re.findall(rf"(?<![^\W_])({named})(?![^\W_])", answer))
    if len(alone) == 1:
        return letters.index(alone.pop())
    held = [number for number, text in enumerate(choices) if text and text.casefold() in answer.casefold()]
    return held[0] if len(held) == 1 and not has_letters(choices) else None
