"""What a teacher wrote in, why it cannot be used out: not finished, empty, talk about the task, or another language."""

import functools
import re
from collections.abc import Sequence

import pyarrow as pa

from seallm.chat_data.turn_languages import CONTESTED_LETTERS, identify_turns
from seallm.languages import known_languages, load_language
from seallm.model.chat_models import ChatAnswer

FAILED, CUT, FILTERED, EMPTY, BROKEN, CONTROL, WRONG_LANGUAGE = (
    *("given_up", "cut_off", "kept_back_by_the_server", "empty", "broken_characters", "control_strings"),
    "wrong_language",
)
_CONTROLS = re.compile(r"<\|[a-z_]{2,30}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|⟦\d+⟧")
_BROKEN = "\ufffd"
# what chat models put around the text they were asked for alone
_PREFACE = re.compile(
    r"^(?:sure|certainly|of course|here(?:'s| is| are)|okay|ok)\b[^\n]{0,120}:\s*\n+|"
    r"^(?:translation|translated text|rewritten(?: answer| instruction)?|answer)\s*:\s*",
    re.IGNORECASE,
)
_QUOTES = (('"', '"'), ("“", "”"), ("「", "」"), ("'", "'"))


def unfinished(answer: ChatAnswer) -> str | None:
    """Why an answer cannot be read at all; None where it can."""
    by_finish = {"failed": FAILED, "length": CUT, "filtered": FILTERED}
    return by_finish.get(answer.finish) or (None if answer.text.strip() else EMPTY)


def unusable_text(text: str) -> str | None:
    """Why a text cannot stand in a conversation, whatever its language; None where it can."""
    if not text.strip():
        return EMPTY
    if _BROKEN in text:
        return BROKEN
    return CONTROL if _CONTROLS.search(text) else None


def bare(text: str, source: str = "") -> str:
    """The text that was asked for, without a preface, and without quotes or a fence that the source does not have."""
    text = _PREFACE.sub("", text.strip(), count=1).strip()
    if text.startswith("```") and text.endswith("```") and text.count("```") == 2 and "```" not in source:
        text = text.removeprefix("```").removesuffix("```").partition("\n")[2].strip()
    for first, last in _QUOTES:
        is_quoted = len(text) > 1 and text.startswith(first) and text.endswith(last)
        if is_quoted and not source.startswith(first) and first not in text[1:-1]:
            text = text[1:-1].strip()
    return text


def foreign_languages(texts: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The language of each text where it is surely another than the wanted one; else an empty string.

    Languages that share a label of the identifier (Malay and Indonesian) are not told apart on short texts.
    """
    if not texts:
        return []
    found = identify_turns(pa.array(texts, pa.large_string()))
    strange = []
    for code, letters, tells, language in zip(
        found.codes.tolist(), found.letters.tolist(), found.tells.tolist(), wanted, strict=True
    ):
        is_alike = letters < CONTESTED_LETTERS and _labels(code) & _labels(language)
        strange.append("" if not tells or code == language or is_alike else code)
    return strange


@functools.cache
def _labels(code: str) -> frozenset[str]:
    return frozenset(load_language(code).identifier_labels) if code in known_languages() else frozenset({code})
