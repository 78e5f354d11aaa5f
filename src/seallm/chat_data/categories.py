"""Prompts and answers in, a category for each conversation that has none out: a few rules that can be read.

In this order, the first that holds decides:

1. safety: the prompt has a word of harm or need, or the answer opens with a refusal.
2. math-logic: the prompt calculates (`12 x 3`, `x = 5`), has a word of counting or puzzles, or has numbers and asks
   how many.
3. text-processing: the prompt has a word of working on a text, or asks for a translation.
4. natural-dialogue: several short exchanges; or a short remark that asks for no work, with a short answer, where one
   speaks to the other or the answer asks back.
5. general-instruction: everything else.

Words stand in `task_words.toml`. Rules know words, not meaning: a novel about a bomb is called safety, and a question
that is worded unlike any rule is a general instruction. docs/instructions.md has their accuracy. A data set's own
column is better, and wins.
"""

import functools
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from seallm.base.records import Message
from seallm.chat_data.labels import DIALOGUE, GENERAL, MATH, PROCESSING, SAFETY

LOOKED_AT_CHARACTERS = 600  # of each end of a prompt; the task stands at one of them
REFUSAL_CHARACTERS = 200  # of an answer, in which a refusal stands
TALK_PROMPT_CHARACTERS, TALK_ANSWER_CHARACTERS = 80, 200
CHAT_CHARACTERS = 200  # mean turn of a dialogue of several exchanges
COUNTING_CHARACTERS = 300  # longest problem that is told by a number and a question for one
_NUMBER = re.compile(r"\d")
_CALCULATION = re.compile(r"\d\s*[+*×÷=^]\s*[\d(x]|\d\s+[-−/x]\s+\d|(?<![a-z])[a-z]\s*=\s*-?\d|[√∫∑]|\d\s*[xX]\s*\d")
_ENGLISH = "en"


@dataclass(frozen=True)
class TaskWords:
    """The expressions of one language, those of English with them."""

    translation: re.Pattern[str]
    processing: re.Pattern[str]
    math: re.Pattern[str]
    safety: re.Pattern[str]
    refusal: re.Pattern[str]
    quantity: re.Pattern[str]
    task: re.Pattern[str]
    talk: re.Pattern[str]


@functools.cache
def task_words(language: str) -> TaskWords:
    """The expressions for a language; those of English alone where it has none."""
    own = _lists().get(language, {}) if language != _ENGLISH else {}
    english = _lists()[_ENGLISH]
    return TaskWords(**{name: _pattern([*own.get(name, ()), *english[name]]) for name in english})


@functools.cache
def _lists() -> dict[str, dict[str, list[str]]]:
    text = (resources.files("seallm.chat_data") / "task_words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _pattern(expressions: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{expression})" for expression in expressions), re.IGNORECASE)


def is_translation(messages: Sequence[Message], language: str) -> bool:
    """True where a user's turn asks for a translation, so that prompt and answer may differ in language."""
    words = task_words(language).translation
    return any(words.search(_ends(m.content)) for m in messages if m.role == "user")


def categorise(messages: Sequence[Message], language: str) -> str:
    """The category of a conversation.

    Args:
        messages: its turns.
        language: its code.
    """
    words = task_words(language)
    asked = [m.content.strip() for m in messages if m.role == "user"]
    answers = [m.content.strip() for m in messages if m.role == "assistant"]
    prompt = _ends(asked[0])
    if words.safety.search(prompt) or words.refusal.search(answers[0][:REFUSAL_CHARACTERS]):
        return SAFETY
    if _counts(prompt, words):
        return MATH
    if words.processing.search(prompt) or words.translation.search(prompt):
        return PROCESSING
    return DIALOGUE if _is_talk(asked, answers, words) else GENERAL


def _counts(prompt: str, words: TaskWords) -> bool:
    if _CALCULATION.search(prompt) or words.math.search(prompt):
        return True
    is_short = len(prompt) <= COUNTING_CHARACTERS
    return is_short and bool(_NUMBER.search(prompt) and words.quantity.search(prompt))


def _is_talk(asked: Sequence[str], answers: Sequence[str], words: TaskWords) -> bool:
    turns = [*asked, *answers]
    if len(asked) > 1 and sum(map(len, turns)) / len(turns) <= CHAT_CHARACTERS:
        return True
    is_short = len(asked[0]) <= TALK_PROMPT_CHARACTERS and len(answers[0]) <= TALK_ANSWER_CHARACTERS
    if not is_short or words.task.search(asked[0]):
        return False
    return answers[0].endswith(("?", "？")) or bool(words.talk.search(asked[0]))


def _ends(text: str) -> str:
    if len(text) <= 2 * LOOKED_AT_CHARACTERS:
        return text
    return f"{text[:LOOKED_AT_CHARACTERS]}\n{text[-LOOKED_AT_CHARACTERS:]}"
