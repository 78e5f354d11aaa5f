"""Parallel text, dictionaries, summaries and question sets in, conversations that ask for them out, without a teacher.

    translation     two texts of the same meaning: one is asked for, in the language of either
    summary         a text and its summary
    comprehension   a text, a question, an answer
    dictionary      a word and its meaning: asked from either side

Each language asks in several phrasings (`task_phrases.toml`). Which phrasing and which direction a row gets depends on
the row and the seed alone.
"""

import functools
import hashlib
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines
from seallm.base.records import Conversation, Message
from seallm.chat_data.labels import GENERAL, PROCESSING, language_code
from seallm.chat_data.made import Made

Kind = Literal["translation", "summary", "comprehension", "dictionary"]
_TSV = ".tsv"
_ACROSS = ("translation", "word", "meaning")


@dataclass(frozen=True)
class TemplateSettings:
    """What tasks are made of rows.

    Attributes:
        languages: codes whose speakers ask.
        language: of rows that name none (summaries and questions).
        source: where the rows come from.
        licence: of the rows.
        seed: of phrasings and directions.
    """

    languages: tuple[str, ...]
    language: str = ""
    source: str = ""
    licence: str = ""
    seed: int = 0


@functools.cache
def _phrases() -> dict[str, dict[str, Any]]:
    text = (resources.files("seallm.chat_data") / "task_phrases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def phrased_languages() -> tuple[str, ...]:
    """Codes of the languages that have phrasings."""
    return tuple(_phrases())


def asks_across_languages(text: str, language: str) -> bool:
    """True for a task of ours whose answer, or whose quoted word, is in another language than the one who asks."""
    return language in _phrases() and _across(language).fullmatch(text.strip()) is not None


@functools.cache
def _across(language: str) -> re.Pattern[str]:
    own = _phrases()[language]
    names = "|".join(re.escape(name) for name in own["names"].values())
    patterns = []
    for task in _ACROSS:
        for phrase in own[task]:
            parts = re.split(r"(\{\w+\})", phrase)
            kinds = {"{language}": f"(?:{names})", "{text}": ".+", "{word}": ".+"}
            patterns.append("".join(kinds.get(part) or re.escape(part) for part in parts))
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL)


def from_rows(kind: Kind, rows: Iterable[Mapping[str, Any]], settings: TemplateSettings) -> Iterator[Made]:
    """One conversation a row, where the row has what the task needs and a language of the settings can ask for it.

    Args:
        kind: of the task.
        rows: of `read_rows`.
        settings: who asks, and where the rows are from.

    Raises:
        DataError: a row lacks a field.
    """
    tasks = {"translation": _translation, "summary": _summary, "comprehension": _comprehension, "dictionary": _word}
    for number, row in enumerate(rows):
        draw = _Draw(f"{settings.seed} {kind} {number} {sorted(row.items())}")
        found = tasks[kind](row, settings, draw)
        if found is not None:
            language, category, question, answer = found
            messages = (Message("user", question.strip()), Message("assistant", answer.strip()))
            made = Conversation(messages, language, category, settings.source, settings.licence)
            yield Made(made, {"made_by": f"template {kind}"})


class _Draw:
    """Choices that depend on a text alone."""

    def __init__(self, key: str) -> None:
        self._key, self._count = key, itertools.count()

    def choose(self, options: Sequence[Any]) -> Any:
        digest = hashlib.blake2b(f"{next(self._count)} {self._key}".encode(), digest_size=8).digest()
        return options[int.from_bytes(digest, "big") % len(options)]


_Task = tuple[str, str, str, str]  # language, category, question, answer


def _ask(draw: _Draw, asking: str, task: str, **parts: str) -> str:
    phrase: str = draw.choose(_phrases()[asking][task])
    for name, value in parts.items():
        phrase = phrase.replace("{" + name + "}", value)
    return phrase


def _asking(settings: TemplateSettings, codes: Iterable[str]) -> list[str]:
    """Those languages of a row whose speakers ask."""
    return [code for code in codes if code in settings.languages and code in _phrases()]


def _translation(row: Mapping[str, Any], settings: TemplateSettings, draw: _Draw) -> _Task | None:
    """From one language of the row into another; a speaker of either asks."""
    codes = sorted(code for code, text in row.items() if code in _phrases() and str(text).strip())
    asking = _asking(settings, codes)
    if len(codes) < 2 or not asking:
        return None
    language = draw.choose(asking)
    other = draw.choose([code for code in codes if code != language])
    source, target = draw.choose([(language, other), (other, language)])
    name = _phrases()[language]["names"][target]
    question = _ask(draw, language, "translation", language=name, text=str(row[source]).strip())
    return language, PROCESSING, question, str(row[target])


def _word(row: Mapping[str, Any], settings: TemplateSettings, draw: _Draw) -> _Task | None:
    """The word in the other language, asked by a speaker of the first, or the meaning, asked by one of the second."""
    codes = sorted(code for code, text in row.items() if code in _phrases() and str(text).strip())
    asking = _asking(settings, codes)
    if len(codes) < 2 or not asking:
        return None
    language = draw.choose(asking)
    other = draw.choose([code for code in codes if code != language])
    name = _phrases()[language]["names"][other]
    task = draw.choose(("word", "meaning"))
    shown, answer = (row[language], row[other]) if task == "word" else (row[other], row[language])
    question = _ask(draw, language, task, language=name, word=str(shown).strip())
    return language, GENERAL, question, str(answer)


def _summary(row: Mapping[str, Any], settings: TemplateSettings, draw: _Draw) -> _Task | None:
    text, summary = _fields(row, "text", "summary")
    language = str(row.get("language") or settings.language)
    if not _asking(settings, [language]):
        return None
    return language, PROCESSING, _ask(draw, language, "summary", text=text), summary


def _comprehension(row: Mapping[str, Any], settings: TemplateSettings, draw: _Draw) -> _Task | None:
    text, question = _fields(row, "context" if "context" in row else "text", "question")
    answers = row.get("answers", row.get("answer"))
    if isinstance(answers, Mapping):  # as SQuAD has them
        answers = answers.get("text")
    answer = answers[0] if isinstance(answers, list) and answers else answers
    language = str(row.get("language") or settings.language)
    if not isinstance(answer, str) or not answer.strip() or not _asking(settings, [language]):
        return None
    return language, PROCESSING, _ask(draw, language, "comprehension", text=text, question=question), answer


def _fields(row: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    found = tuple(str(row.get(name) or "").strip() for name in names)
    if not all(found):
        lacking = ", ".join(name for name, value in zip(names, found, strict=True) if not value)
        raise DataError(f"A row has no {lacking}; it has {', '.join(map(str, row)) or 'nothing'}")
    return found


def read_rows(place: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSONL file, of a table with a heading (`.tsv`), or of a folder of aligned files.

    Aligned files are called `<name>.<code>.txt`; line i of each is the same text. Columns of tables and fields of
    translations and dictionaries are called by codes or names of languages: `lo`, `Lao`.

    Raises:
        DataError: nothing is there, a line is no row, or aligned files differ in length.
    """
    if place.is_dir():
        yield from _aligned(place)
    elif place.suffix == _TSV:
        heading, *lines = _lines(place)
        names = heading.split("\t")
        for line in lines:
            yield _coded(dict(zip(names, line.split("\t"), strict=False)))
    else:
        for number, row in read_json_lines(place):
            if isinstance(row, DataError):
                raise DataError(f"{place}:{number}: {row}")
            yield _coded(row)


def _coded(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the codes of languages in place of their names."""
    return {code if (code := language_code(name)) in _phrases() else name: value for name, value in row.items()}


def _aligned(folder: Path) -> Iterator[dict[str, Any]]:
    by_name: dict[str, dict[str, list[str]]] = {}
    for path in sorted(folder.glob("*.*.txt")):
        name, code = path.name.removesuffix(".txt").rsplit(".", 1)
        by_name.setdefault(name, {})[code] = _lines(path)
    if not by_name:
        raise DataError(f"{folder} has no aligned files such as train.lo.txt and train.en.txt")
    for name, texts in by_name.items():
        lengths = {code: len(lines) for code, lines in texts.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"{folder}/{name}.*.txt differ in their numbers of lines, {lengths}; line i must be one text"
            )
        codes = list(texts)
        for lines in zip(*texts.values(), strict=True):
            yield dict(zip(codes, lines, strict=True))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from None
