"""Sampled answers in, a reason to drop each bad one out: empty, cut off, broken, repetitive, or in another script.

An answer to a Thai question must be mostly Thai letters. Languages of one script are told apart by `answer_language`.
"""

import unicodedata
from collections.abc import Collection

from seallm.languages import Language, Script
from seallm.languages.scripts import SCRIPT_BLOCKS, is_in_blocks

MAX_REPEATED_SHARE = 0.5
MIN_OWN_SCRIPT_SHARE = 0.5
REPEAT_CHARACTERS = 4
BROKEN = "\ufffd"  # bytes that the model wrote and that are not UTF-8
MIN_GRAMS = 12


def reason_to_drop(text: str, ended: bool, language: Language) -> str | None:
    """Why an answer cannot stand in a pair; None where it can.

    Args:
        text: the answer.
        ended: whether the model ended its turn by itself.
        language: the language of the question.
    """
    if not text.strip():
        return "empty"
    if not ended:
        return "cut off"
    if BROKEN in text:
        return "broken characters"
    if repeated_share(text) > MAX_REPEATED_SHARE:
        return "repeats itself"
    if not is_in_script(text, language.scripts):
        return "wrong language"
    return None


def repeated_share(text: str) -> float:
    """Share of runs of four characters that occurred before in the text; 0 for texts too short to judge."""
    grams = [text[i : i + REPEAT_CHARACTERS] for i in range(len(text) - REPEAT_CHARACTERS + 1)]
    return 1 - len(set(grams)) / len(grams) if len(grams) >= MIN_GRAMS else 0.0


def is_in_script(text: str, scripts: Collection[Script]) -> bool:
    """True where at least half of the letters and marks belong to the scripts, or where there are none at all."""
    if "other" in scripts:
        return True
    letters = [ord(c) for c in text if unicodedata.category(c)[0] in "LM"]
    blocks = tuple(block for script in scripts for block in SCRIPT_BLOCKS[script])
    own = sum(is_in_blocks(letter, blocks) for letter in letters)
    return own >= MIN_OWN_SCRIPT_SHARE * len(letters)
