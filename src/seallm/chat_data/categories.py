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
from importlib import resources

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seallm.base.records import Message
from seallm.chat_data.conversation_table import turns_of
from seallm.chat_data.labels import DIALOGUE, GENERAL, MATH, PROCESSING, SAFETY
from seallm.chat_data.task_templates import asks_across_languages

LOOKED_AT_CHARACTERS = 600  # of each end of a prompt; the task stands at one of them
REFUSAL_CHARACTERS = 200  # of an answer, in which a refusal stands
TALK_PROMPT_CHARACTERS, TALK_ANSWER_CHARACTERS = 80, 200
CHAT_CHARACTERS = 200  # mean turn of a dialogue of several exchanges
COUNTING_CHARACTERS = 300  # longest problem that is told by a number and a question for one
KINDS = ("translation", "processing", "math", "safety", "refusal", "quantity", "task", "talk")
_CALCULATION = (
    r"\p{Nd}\s*[+*×÷=^]\s*[\p{Nd}(x]|\p{Nd}\s+[-−/x]\s+\p{Nd}|\b[a-z]\s*=\s*-?\p{Nd}|[√∫∑]|\p{Nd}\s*[xX]\s*\p{Nd}"
)
_NUMBER, _ASKS_BACK = r"\p{Nd}", "[?？]$"
_ENGLISH = "en"

Mask = npt.NDArray[np.bool_]


@functools.cache
def task_words(language: str) -> dict[str, str]:
    """One expression for each of KINDS: the language's own words, where it has any, and the English ones."""
    own = _lists().get(language, {}) if language != _ENGLISH else {}
    english = _lists()[_ENGLISH]
    return {kind: "|".join(f"(?:{words})" for words in (*own.get(kind, ()), *english[kind])) for kind in KINDS}


@functools.cache
def _lists() -> dict[str, dict[str, list[str]]]:
    text = (resources.files("seallm.chat_data") / "task_words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@functools.cache
def _translation(language: str) -> re.Pattern[str]:
    return re.compile(task_words(language)["translation"], re.IGNORECASE)


def is_translation(messages: Sequence[Message], language: str) -> bool:
    """True where a user's turn asks for a translation, so that prompt and answer may differ in language."""
    ends = (
        f"{m.content[:LOOKED_AT_CHARACTERS]}\n{m.content[-LOOKED_AT_CHARACTERS:]}" for m in messages if m.role == "user"
    )
    if any(_translation(language).search(text) for text in ends):
        return True
    return any(asks_across_languages(m.content, language) for m in messages if m.role == "user")


def categorise(table: pa.Table) -> npt.NDArray[np.str_]:
    """The category of each conversation of a table, by its words alone: (n,)."""
    turns = turns_of(table)
    texts = pc.utf8_trim_whitespace(turns.texts)
    sizes = pc.utf8_length(texts).to_numpy()
    _, first_asked = np.unique(turns.owners[turns.is_user], return_index=True)
    _, first_answers = np.unique(turns.owners[turns.is_assistant], return_index=True)
    asked, answers = np.flatnonzero(turns.is_user)[first_asked], np.flatnonzero(turns.is_assistant)[first_answers]
    spoken = turns.is_user | turns.is_assistant
    rounds = np.bincount(turns.owners[turns.is_user], minlength=len(table))
    mean = np.bincount(turns.owners[spoken], sizes[spoken], len(table)) / np.maximum(2 * rounds, 1)
    is_chat = (rounds > 1) & (mean <= CHAT_CHARACTERS)
    is_short = (sizes[asked] <= TALK_PROMPT_CHARACTERS) & (sizes[answers] <= TALK_ANSWER_CHARACTERS)
    prompts, replies = texts.take(pa.array(asked)), texts.take(pa.array(answers))
    found = np.full(len(table), GENERAL, dtype="U32")
    languages = np.array(table["language"].to_pylist(), dtype="U16")
    for language in np.unique(languages):
        rows = np.flatnonzero(languages == language)
        asked_here, replies_here = (column.take(pa.array(rows)) for column in (prompts, replies))
        words = task_words(str(language))
        found[rows] = _of_one_language(asked_here, replies_here, is_short[rows], is_chat[rows], words)
    return found


def _of_one_language(
    prompts: pa.Array, replies: pa.Array, is_short: Mask, is_chat: Mask, words: dict[str, str]
) -> npt.NDArray[np.str_]:
    ends = _ends(prompts)
    harm = _has(ends, words["safety"]) | _has(pc.utf8_slice_codeunits(replies, 0, REFUSAL_CHARACTERS), words["refusal"])
    counts = pc.utf8_length(prompts).to_numpy() <= COUNTING_CHARACTERS
    counts &= _has(ends, _NUMBER) & _has(ends, words["quantity"])
    counts |= _has(ends, _CALCULATION) | _has(ends, words["math"])
    processing = _has(ends, words["processing"]) | _has(ends, words["translation"])
    talk = _has(replies, _ASKS_BACK) | _has(prompts, words["talk"])
    talk = is_chat | (is_short & talk & ~_has(prompts, words["task"]))
    return np.select([harm, counts, processing, talk], [SAFETY, MATH, PROCESSING, DIALOGUE], GENERAL)


def _has(texts: pa.Array, expression: str) -> Mask:
    return np.asarray(
        pc.match_substring_regex(texts, expression, ignore_case=True).to_numpy(zero_copy_only=False), bool
    )


def _ends(texts: pa.Array) -> pa.Array:
    """Both ends of long texts, others whole."""
    head = pc.utf8_slice_codeunits(texts, 0, LOOKED_AT_CHARACTERS)
    tail = pc.utf8_slice_codeunits(texts, -LOOKED_AT_CHARACTERS)
    is_long = pc.greater(pc.utf8_length(texts), 2 * LOOKED_AT_CHARACTERS)
    separator = pa.scalar("\n", texts.type)
    return pc.if_else(is_long, pc.binary_join_element_wise(head, tail, separator), texts)
