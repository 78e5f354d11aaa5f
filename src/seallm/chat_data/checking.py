"""A table of conversations in, what is wrong with each, its category and its signature out.

The first rule that a conversation breaks, in this order, is its reason:

    language          it is in none of the wanted languages
    encoding          bytes of it were lost before it came here
    control_strings   it holds control strings of a chat format: the model would learn to write them
    short_answer      its answers are shorter than the least
    too_long          it is longer than the most
    repetition        its answers say the same over and over
    turn_language     its answers are in another language than it is said to be in
    prompt_language   its prompts are in another language than its answers, and it is no translation
    benchmark, exact_duplicate, near_duplicate   (`copies`)

Turns that do not alternate or are empty never come here: they are bad rows of the import. Texts are measured by the
corpus stage's kernels, a table at a time; only what breaks a rule is looked at row by row.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seallm.chat_data.categories import categorise, is_translation
from seallm.chat_data.conversation_table import Turns, joined, to_conversations, turns_of
from seallm.chat_data.turn_languages import Agreement, find_agreement, identify_turns
from seallm.corpus.duplicates import compact
from seallm.corpus.hashing import hash_strings
from seallm.corpus.ngrams import MinHash, make_minhash
from seallm.corpus.statistics import (
    CHARACTERS,
    DUPLICATE_LINE_CHARACTERS,
    LINE_CHARACTERS,
    REPEATED_NGRAM_LETTERS,
    REPLACEMENTS,
    TOP_NGRAM_LETTERS,
    UNIT_LETTERS,
    WORDS,
    measure,
)
from seallm.corpus.word_lists import make_word_lists
from seallm.recipe_instructions import InstructionChecks

PERMUTATIONS, BANDS, SHINGLE_WORDS = 126, 21, 5
PROMPT_PERMUTATIONS = 64
LANGUAGE, ENCODING, CONTROL_STRINGS, SHORT, LONG, REPETITION, TURN_LANGUAGE, PROMPT_LANGUAGE = (
    *("language", "encoding", "control_strings", "short_answer", "too_long"),
    *("repetition", "turn_language", "prompt_language"),
)
# control strings of the common chat formats; `</s>` ends turns of Llama-2 and of ours
_CONTROLS = r"<\|[A-Za-z0-9_ ]{2,40}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</s>|<(?:bos|eos|pad|unk)>"
_NOT_DIGITS = r"\P{Nd}+"
FIGURES_SCHEMA = pa.schema(
    [
        ("reason", pa.string()),  # empty where no rule is broken
        ("detail", pa.string()),
        ("category", pa.string()),
        ("answer_language", pa.string()),  # that the answers are found to be in; empty where none tells
        ("characters", pa.int64()),
        ("hash", pa.uint64()),
        ("signature", pa.binary(PERMUTATIONS)),
        ("prompt_signature", pa.binary(PROMPT_PERMUTATIONS)),  # of the words of all that the user says
        ("numbers", pa.uint64()),  # hash of all digits: tasks that differ in their numbers are no copies
        ("question", pa.uint64()),  # hash of the first question
    ]
)


class _Texts(NamedTuple):
    """What is measured of n conversations, one string each."""

    whole: pa.Array
    answers: pa.Array
    prompts: pa.Array
    questions: pa.Array


class _Verdicts(NamedTuple):
    """The first reason of each conversation and its figure, as words."""

    reasons: npt.NDArray[np.object_]
    details: npt.NDArray[np.object_]

    def drop(self, rows: npt.NDArray[np.int64], reason: str, details: list[str]) -> None:
        """Give these rows the reason, unless they have one."""
        for row, detail in zip(rows.tolist(), details, strict=True):
            if not self.reasons[row]:
                self.reasons[row], self.details[row] = reason, detail


def check_table(table: pa.Table, checks: InstructionChecks, languages: tuple[str, ...]) -> pa.Table:
    """Look at every conversation.

    Args:
        table: as `conversation_table` makes it.
        checks: the thresholds.
        languages: codes that are wanted.

    Returns:
        One row of FIGURES_SCHEMA for each conversation.
    """
    rows = len(table)
    turns = turns_of(table)
    texts = _texts(turns, rows)
    codes = np.array(table["language"].to_pylist(), dtype="U16")
    verdicts = _Verdicts(np.full(rows, "", object), np.full(rows, "", object))
    minhash = make_minhash(PERMUTATIONS, SHINGLE_WORDS)
    statistics = measure(texts.whole, make_word_lists([]), minhash)
    characters = statistics.totals[:, CHARACTERS]
    other = np.flatnonzero(~np.isin(codes, languages))
    verdicts.drop(other, LANGUAGE, [f"{codes[row] or 'unknown'}, not one of {', '.join(languages)}" for row in other])
    lost = statistics.totals[:, REPLACEMENTS] / np.maximum(characters, 1)
    broken = np.flatnonzero(lost > checks.max_replacement_share)
    verdicts.drop(broken, ENCODING, [f"{lost[row]:.1%} of the characters are U+FFFD" for row in broken])
    if checks.control_strings == "drop":
        _find_controls(turns, verdicts)
    _check_sizes(texts, characters, checks, verdicts, make_minhash(1, 1))
    found = identify_turns(turns.texts)
    agreement = find_agreement(found, turns.owners, turns.is_user, turns.is_assistant, codes)
    _check_languages(table, agreement, codes, checks, verdicts)
    figures: dict[str, Any] = {
        "reason": verdicts.reasons.tolist(),
        "detail": verdicts.details.tolist(),
        "category": _categories(table),
        "answer_language": agreement.answers.tolist(),
        "characters": characters,
        "hash": statistics.hashes,
        "signature": [row.tobytes() for row in compact(statistics.signatures)],
        "prompt_signature": [row.tobytes() for row in compact(_prompt_signatures(texts))],
        "numbers": hash_strings(pc.replace_substring_regex(texts.whole, _NOT_DIGITS, " ")),
        "question": hash_strings(texts.questions),
    }
    return pa.table([pa.array(figures[f.name], f.type) for f in FIGURES_SCHEMA], schema=FIGURES_SCHEMA)


def spoken_texts(table: pa.Table) -> pa.Array:
    """One text for each conversation, all turns but the system prompt: what is compared with other texts."""
    return _texts(turns_of(table), len(table)).whole


def _texts(turns: Turns, rows: int) -> _Texts:
    spoken = turns.is_user | turns.is_assistant
    _, firsts = np.unique(turns.owners[turns.is_user], return_index=True)
    questions = turns.texts.filter(pa.array(turns.is_user)).take(pa.array(firsts))
    whole, answers, prompts = (
        joined(turns.texts.filter(pa.array(chosen)), turns.owners[chosen], rows)
        for chosen in (spoken, turns.is_assistant, turns.is_user)
    )
    return _Texts(whole, answers, prompts, questions)


def _prompt_signatures(texts: _Texts) -> npt.NDArray[np.uint32]:
    return measure(texts.prompts, make_word_lists([]), make_minhash(PROMPT_PERMUTATIONS, 1)).signatures


def _find_controls(turns: Turns, verdicts: _Verdicts) -> None:
    matches = pc.match_substring_regex(turns.texts, _CONTROLS).to_numpy(zero_copy_only=False)
    found = turns.texts.filter(pa.array(matches))
    first = pc.extract_regex(found, f"(?P<control>{_CONTROLS})").field("control").to_pylist()
    verdicts.drop(turns.owners[matches], CONTROL_STRINGS, [f"holds {control}" for control in first])


def _check_sizes(
    texts: _Texts,
    characters: npt.NDArray[np.int64],
    checks: InstructionChecks,
    verdicts: _Verdicts,
    minhash: MinHash,
) -> None:
    """Length and repetition."""
    totals = measure(texts.answers, make_word_lists([]), minhash).totals
    short = np.flatnonzero(totals[:, CHARACTERS] < checks.min_answer_characters)
    verdicts.drop(short, SHORT, [f"{totals[row, CHARACTERS]} characters of answers" for row in short])
    long = np.flatnonzero(characters > checks.max_characters)
    verdicts.drop(long, LONG, [f"{characters[row]:,} characters" for row in long])
    letters, lines = np.maximum(totals[:, UNIT_LETTERS], 1), np.maximum(totals[:, LINE_CHARACTERS], 1)
    judged = totals[:, WORDS] >= checks.min_repetition_words
    for name, share, most in (
        ("repeated lines", totals[:, DUPLICATE_LINE_CHARACTERS] / lines, checks.max_duplicate_line_share),
        ("one phrase", totals[:, TOP_NGRAM_LETTERS] / letters, checks.max_top_ngram_share),
        ("repeated passages", totals[:, REPEATED_NGRAM_LETTERS] / letters, checks.max_repeated_ngram_share),
    ):
        rows = np.flatnonzero(judged & (share > most))
        verdicts.drop(rows, REPETITION, [f"{min(share[row], 1):.0%} {name}" for row in rows])


def _check_languages(
    table: pa.Table,
    agreement: Agreement,
    codes: npt.NDArray[np.str_],
    checks: InstructionChecks,
    verdicts: _Verdicts,
) -> None:
    is_foreign = agreement.foreign_share > checks.max_foreign_share
    is_apart = ~agreement.prompt_agrees & (checks.prompt_language == "drop")
    rows = np.flatnonzero((is_foreign | is_apart) & (verdicts.reasons == ""))
    conversations = to_conversations(table.take(pa.array(rows)))
    for row, conversation in zip(rows.tolist(), conversations, strict=True):
        code, answer, prompt = str(codes[row]), str(agreement.answers[row]), str(agreement.prompts[row])
        if {code, ""} & {answer, prompt} and is_translation(conversation.messages, code):
            continue
        if is_foreign[row]:
            detail = f"{agreement.foreign_share[row]:.0%} of the answers' letters are not {code}; most are {answer}"
            verdicts.drop(np.array([row]), TURN_LANGUAGE, [detail])
        else:
            verdicts.drop(np.array([row]), PROMPT_LANGUAGE, [f"the prompt is {prompt}, the answer {answer or code}"])


def _categories(table: pa.Table) -> list[str]:
    """The category that each conversation has, or the one that rules find."""
    given: list[str] = table["category"].to_pylist()
    rows = [number for number, category in enumerate(given) if not category]
    if rows:
        for row, category in zip(rows, categorise(table.take(pa.array(rows))).tolist(), strict=True):
            given[row] = category
    return given
