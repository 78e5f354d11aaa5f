"""A text in, the same with marks in place of what must not be translated out; afterwards, whether all is still there.

    code, formulas, addresses, placeholders, tags    become marks such as ⟦1⟧ before the text is sent, and come back
    numbers, names                                   stay in the text, so that its grammar can bend around them, and
                                                     must stand in the translation too

Numbers may be written in the digits of the language and with other separators. Names are words with capitals inside,
short words of capitals alone, and words with a capital where no sentence begins, unless English writes them small as a
rule (Government, Apple) or every language has its own for them (Monday, English).
"""

import functools
import gzip
import json
import re
import tomllib
import unicodedata
from collections import Counter
from dataclasses import dataclass
from importlib import resources

MARK = re.compile(r"⟦\s*(\d+)\s*⟧")
_CODE_LINES = r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)"
_KEPT = re.compile(
    "|".join(
        (
            _CODE_LINES,
            r"`[^`\n]+`",  # quoted code
            r"\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|(?<!\w)\$[^$\n]*[\\^_=+{}][^$\n]*\$",  # formulas
            r"https?://[^\s<>)\]]*[^\s<>)\].,;:!?'\"]|www\.[^\s<>)\]]*[^\s<>)\].,;:!?'\"]",
            r"[\w.+-]+@[\w-]+\.[\w.-]*\w",
            r"\{\{[^{}\n]{1,60}\}\}|\{[\w.:!-]{0,40}\}|%\(\w+\)[sdf]|%[sdf](?!\w)|<<[^<>\n]{1,60}>>",  # placeholders
            r"</?[A-Za-z][^<>\n]{0,200}>|\[/?[A-Z][A-Z_ ]{1,30}\]",  # tags, and [NAME]
        )
    ),
    re.DOTALL,
)
_NUMBER = re.compile(r"\d+(?:[.,:'’]\d+|[ \u00a0\u202f]\d{3}(?!\d))*")
_LARGE_NUMBER = re.compile(r"(\d[\d.,]*\d|\d)[ -]?(?:hundred|thousand|million|billion|trillion|m|bn)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?:;…\"“”(\n*#>•-]\s*$")
_SEPARATORS = re.compile(r"[.,:\u00a0\u202f'’ ]")
_LONGEST_ACRONYM = 5
_TITLE_WORDS, _TITLE_SHARE = 3, 0.6  # lines whose long words are capitalised as a rule: headings


@dataclass(frozen=True)
class Marked:
    """A text that can be sent.

    Attributes:
        text: with marks.
        kept: what the marks stand for, the first for ⟦1⟧.
        kept_share: share of the characters, without white space, that marks stand for.
    """

    text: str
    kept: tuple[str, ...]
    kept_share: float


def mark(text: str) -> Marked:
    """Put marks in place of what must stay as it is."""
    kept: list[str] = []

    def replace(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"⟦{len(kept)}⟧"

    marked = _KEPT.sub(replace, text)
    letters = len("".join(text.split()))
    return Marked(marked, tuple(kept), len("".join("".join(kept).split())) / max(letters, 1))


def unmark(text: str, kept: tuple[str, ...]) -> str:
    """Put back what the marks stand for; marks of other numbers stay."""

    def restored(found: re.Match[str]) -> str:
        number = int(found[1])
        return kept[number - 1] if 0 < number <= len(kept) else found[0]

    return MARK.sub(restored, text)


def without_marks(text: str) -> str:
    """The text between the marks: what was translated."""
    return MARK.sub(" ", text)


def marks_problem(text: str, kept: tuple[str, ...]) -> str | None:
    """What is wrong with the marks of a translation: each must stand there just once; None where all is well."""
    found = Counter(int(number) for number in MARK.findall(text))
    for number, content in enumerate(kept, 1):
        if found[number] != 1:
            word = "lost" if not found[number] else f"there {found[number]} times"
            return f"{_shown(content)} is {word}"
    strange = set(found) - set(range(1, len(kept) + 1))
    return f"mark {min(strange)} was made up" if strange else None


def numbers(text: str) -> Counter[str]:
    """The numbers of a text, in ASCII digits and without separators; words of marks do not count."""
    plain = "".join(_ascii_digit(character) for character in without_marks(text))
    return Counter(_SEPARATORS.sub("", found) for found in _NUMBER.findall(plain))


def names(text: str) -> list[str]:
    """What looks like a name in an English text, once each, in order."""
    found: dict[str, None] = {}
    for line in without_marks(text).splitlines():
        is_title = _is_title(line)
        for word in _WORD.finditer(line):
            name = re.sub(r"[’']s$", "", word[0])
            before = line[: word.start()]
            begins = is_title or not before.strip() or _SENTENCE_END.search(before) is not None
            if _looks_like_name(name, begins=begins):
                found.setdefault(name)
    return list(found)


def _is_title(line: str) -> bool:
    long = [word for word in _WORD.findall(line) if len(word) > 3]
    if line.rstrip().endswith((".", "!", "?")):
        return False
    return len(long) >= _TITLE_WORDS and sum(word[0].isupper() for word in long) >= _TITLE_SHARE * len(long)


def numbers_problem(source: str, translation: str) -> str | None:
    """The first number of the source that the translation lacks.

    Those of one digit may become words. Thousands and millions, in digits or words, lose and gain zeros where a
    language counts in other units, so that only their other digits must be there.
    """
    have = numbers(translation)
    shapes = {number.strip("0") for number in have}
    large = {_SEPARATORS.sub("", found[1]) for found in _LARGE_NUMBER.finditer(source)}
    for number in numbers(source):
        is_large = number in large or number.endswith("000")
        is_there = number.strip("0") in shapes if is_large else number in have
        if len(number) > 1 and not is_there:
            return f"the number {number} is lost"
    return None


def names_problem(source: str, translation: str) -> str | None:
    """The first name of the source that the translation lacks."""
    folded = translation.casefold()
    missing = next((name for name in names(source) if name.casefold() not in folded), None)
    return None if missing is None else f"the name {missing} is lost"


def _looks_like_name(word: str, *, begins: bool) -> bool:
    if word.casefold() in _no_names() or len(word) < 2 or not any(character.isupper() for character in word):
        return False
    if word.isupper() and len(word) > _LONGEST_ACRONYM:
        return False  # emphasis
    has_inner_capital = any(character.isupper() for character in word[1:])
    return has_inner_capital or (word[0].isupper() and not begins and word.casefold() not in _small_words())


@functools.cache
def _no_names() -> frozenset[str]:
    text = (resources.files("seallm.chat_data") / "capitals.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text)["words"].split())


@functools.cache
def _small_words() -> frozenset[str]:
    """Words that the English text which ships with seallm writes small at least as often as with a capital."""
    small: Counter[str] = Counter()
    with gzip.open(
        str(resources.files("seallm") / "sample" / "base" / "english.jsonl.gz"), "rt", encoding="utf-8"
    ) as file:
        for word in re.findall(r"[A-Za-z]+", "\n".join(json.loads(line)["text"] for line in file)):
            small[word.lower()] += 1 if word.islower() else -1
    return frozenset(word for word, count in small.items() if count >= 0)


def _ascii_digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + " ..."
