"""Sampled answers in, a reason to drop each bad one out: empty, cut off, broken, repetitive, or in another script.

The language check looks at scripts only: an answer to a Thai question must be mostly Thai letters. Languages of one
script are not told apart, so an English answer to a Malay question passes; that needs a language identifier.
"""

import unicodedata
from collections.abc import Collection

from seallm.languages import Language

MAX_REPEATED_SHARE = 0.5
MIN_OWN_SCRIPT_SHARE = 0.5
REPEAT_CHARACTERS = 4
BROKEN = "\ufffd"  # bytes that the model wrote and that are not UTF-8
MIN_GRAMS = 12
SCRIPT_RANGES: dict[str, tuple[tuple[int, int], ...]] = {
    "latin": ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x300, 0x36F), (0x1E00, 0x1EFF)),
    "thai": ((0xE00, 0xE7F),),
    "lao": ((0xE80, 0xEFF),),
    "khmer": ((0x1780, 0x17FF), (0x19E0, 0x19FF)),
    "myanmar": ((0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    "han": (
        (0x2E80, 0x2FDF),
        (0x3005, 0x3007),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x3FFFF),
    ),
}


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


def is_in_script(text: str, scripts: Collection[str]) -> bool:
    """True where at least half of the letters and marks belong to the scripts, or where there are none at all."""
    if "other" in scripts:
        return True
    letters = [ord(c) for c in text if unicodedata.category(c)[0] in "LM"]
    ranges = [bounds for script in scripts for bounds in SCRIPT_RANGES[script]]
    own = sum(any(low <= letter <= high for low, high in ranges) for letter in letters)
    return own >= MIN_OWN_SCRIPT_SHARE * len(letters)
