"""Sentences and their translations by people in; what the checks refuse of them, and of planted faults, out."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any

from seallm.chat_data.answer_checks import foreign_languages
from seallm.chat_data.keepsakes import mark, names_problem, numbers_problem
from seallm.chat_data.translate import usual_length

LANGUAGES = ("zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")
_NUMBER = re.compile(r"\d{2,}")


def measure_checks(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    folder = arguments.data / "parallel" / "ntrex"
    english = (folder / "en.txt").read_text(encoding="utf-8").splitlines()
    rows = []
    for code in LANGUAGES:
        translations = (folder / f"{code}.txt").read_text(encoding="utf-8").splitlines()
        row = _measure(code, english, translations)
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return rows


def _measure(code: str, english: Sequence[str], translations: Sequence[str]) -> dict[str, Any]:
    pairs = list(zip(english, translations, strict=True))
    half = len(english) // 2
    shifted = list(zip(english, [*translations[half:], *translations[:half]], strict=True))
    numbered = [(e, _NUMBER.sub(_changed, t)) for e, t in pairs if _NUMBER.search(e) and _NUMBER.search(t)]

    def numbers(source: str, text: str) -> bool:
        return numbers_problem(mark(source).text, text) is not None

    def length(source: str, text: str) -> bool:
        return not usual_length(source, text, code)

    untranslated = foreign_languages(list(english), [code] * len(english))
    strange = foreign_languages([t for _, t in pairs], [code] * len(pairs))
    return {
        "language": code,
        "n": len(pairs),
        "good_refused_number": _share(pairs, numbers),
        "good_refused_length": _share(pairs, length),
        "good_refused_language": round(sum(map(bool, strange)) / len(pairs), 4),
        "good_refused_name_kept": _share(pairs, lambda source, text: names_problem(source, text) is not None),
        "other_sentence_found_by_length": _share(shifted, length),
        "changed_number_found": _share(numbered, numbers),
        "changed_number_n": len(numbered),
        "english_left_found": round(sum(map(bool, untranslated)) / len(english), 4),
    }


def _share(pairs: Sequence[tuple[str, str]], is_refused: Callable[[str, str], bool]) -> float:
    return round(sum(is_refused(*pair) for pair in pairs) / max(len(pairs), 1), 4)


def _changed(number: re.Match[str]) -> str:
    """The number with another last digit."""
    return number[0][:-1] + str((int(number[0][-1]) + 3) % 10)
