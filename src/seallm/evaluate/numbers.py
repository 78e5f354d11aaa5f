"""An answer in words in, the number that it gives out: any language's digits, and its decimal and thousands marks."""

import re
import unicodedata

DECIMAL_COMMA = ("vi", "id")  # 1.234,5
_NUMBER = re.compile(r"[-\u2212]?\d+(?:[.,]\d+)*")


def answer_number(answer: str, language: str, marker: str) -> float | None:
    """The first number after the last `marker` (as `The answer is`), else the last number; None without any."""
    _, found, after = answer.rpartition(marker)
    numbers = _NUMBER.findall(unicodedata.normalize("NFKC", after)) if found else []
    return as_number(numbers[0], language) if numbers else last_number(answer, language)


def last_number(text: str, language: str) -> float | None:
    """The last number of a text; None without any."""
    numbers = _NUMBER.findall(unicodedata.normalize("NFKC", text))
    return as_number(numbers[-1], language) if numbers else None


def as_number(digits: str, language: str) -> float:
    """A written number: Thai, Lao, Khmer and Burmese digits are digits; a mark before just three digits groups them.

    `1.234` is a thousand in Vietnamese and Indonesian, and a fraction elsewhere.
    """
    digits = digits.replace("\u2212", "-")
    group, point = (".", ",") if language in DECIMAL_COMMA else (",", ".")
    if re.fullmatch(rf"-?\d{{1,3}}(?:\{group}\d{{3}})+(?:\{point}\d+)?", digits):
        digits = digits.replace(group, "")
    whole, *rest = re.split("[.,]", digits)
    return float(whole + ("." + "".join(rest) if rest else ""))
