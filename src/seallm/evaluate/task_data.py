"""Data files of the tasks in, checked rows out; lm-evaluation-harness calls them by `custom_dataset` of a task file.

Rows are read here rather than by `datasets.load_dataset`: nothing is copied to a cache in the user's home, nothing can
reach a network, and a broken row is named by file and line before any model is loaded. A benchmark row is never dropped
in silence: one bad row stops the task, because a figure on fewer rows would no longer be the benchmark's.

Arguments arrive as keywords: `data` (the folder that the recipe names), and what the task file lists under
`dataset_kwargs` and `metadata`; readers ignore what they do not need.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines

Row = dict[str, Any]


class MissingDataError(DataError):
    """A task's data file is not in the folder that the recipe names."""


def xcopa(*, data: str, file: str, **_: object) -> Mapping[str, Any]:
    """Rows {premise, question, choices, gold} of an XCOPA file in its published layout (Ponti et al. 2020).

    The premise loses its full stop and each choice its capital, so that they continue one another, as in
    lm-evaluation-harness.

    Raises:
        DataError: the file is missing, empty or malformed.
    """

    def parse(row: Row, where: str) -> Row:
        choices = [_text(row, key, where) for key in ("choice1", "choice2")]
        question = _text(row, "question", where)
        if question not in ("cause", "effect"):
            raise DataError(f"{where}: question is {question!r}; expected cause or effect")
        return {
            "premise": _text(row, "premise", where).rstrip(".。"),
            "question": question,
            "choices": [choice[0].lower() + choice[1:] for choice in choices],
            "gold": _gold(row, "label", choices, where),
        }

    return _dataset(Path(data) / file, parse)


def quiz(*, data: str, file: str, **_: object) -> Mapping[str, Any]:
    """Rows {question, choices, gold} of a multiple-choice file {question, choices: [texts], answer: number of one}.

    Raises:
        DataError: the file is missing, empty or malformed.
    """

    def parse(row: Row, where: str) -> Row:
        choices = _texts(row, "choices", where)
        if len(choices) < 2:
            raise DataError(f"{where}: {len(choices)} choice; expected at least 2")
        return {
            "question": _text(row, "question", where),
            "choices": choices,
            "gold": _gold(row, "answer", choices, where),
        }

    return _dataset(Path(data) / file, parse)


def xquad(*, data: str, file: str, language: str, **_: object) -> Mapping[str, Any]:
    """Rows {context, question, answers, language} of an XQuAD file, one question a line (Artetxe et al. 2020).

    Raises:
        DataError: the file is missing, empty or malformed.
    """

    def parse(row: Row, where: str) -> Row:
        texts = {key: _text(row, key, where) for key in ("context", "question")}
        return {**texts, "answers": _texts(row, "answers", where), "language": language}

    return _dataset(Path(data) / file, parse)


def translation(*, data: str, name: str, source_language: str, target_language: str, **_: object) -> Mapping[str, Any]:
    """Rows {source, target} of the aligned files `<name>.<language>.txt`, one sentence a line.

    Raises:
        DataError: a file is missing or empty, or the two do not have the same number of lines.
    """
    codes = (source_language, target_language)
    sources, targets = (read_sentences(Path(data) / f"{name}.{code}.txt") for code in codes)
    if len(sources) != len(targets):
        raise DataError(
            f"{data}: {name}.{source_language}.txt has {len(sources)} lines and {name}.{target_language}.txt "
            f"{len(targets)}; expected one sentence a line, aligned"
        )
    pairs = [{"source": s, "target": t} for s, t in zip(sources, targets, strict=True) if s and t]
    return _as_test_split(pairs)


def read_sentences(path: Path) -> list[str]:
    """Lines of a text file, stripped.

    Raises:
        DataError: it is missing, not UTF-8, or holds no text.
    """
    try:
        # not splitlines(): it also splits at U+2028 and others, which stand inside web sentences
        lines = [line.strip() for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]
    except FileNotFoundError:
        raise _missing(path) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from None
    if not any(lines):
        raise DataError(f"{path} is empty; expected one sentence a line")
    return lines


def _dataset(path: Path, parse: Callable[[Row, str], Row]) -> Mapping[str, Any]:
    if not path.is_file():
        raise _missing(path)
    rows = list(_parsed(path, parse))
    if not rows:
        raise DataError(f"{path} is empty; expected one JSON object a line")
    return _as_test_split(rows)


def _parsed(path: Path, parse: Callable[[Row, str], Row]) -> Iterator[Row]:
    for number, row in read_json_lines(path):
        if isinstance(row, DataError):
            raise row
        yield parse(row, f"{path}:{number}")


def _as_test_split(rows: list[Row]) -> Mapping[str, Any]:
    from datasets import Dataset

    return {"test": Dataset.from_list(rows)}


def _missing(path: Path) -> MissingDataError:
    return MissingDataError(
        f"{path} does not exist. Put the file there, point [evaluate] at the folder that has it, "
        "or take the task out of [evaluate] tasks"
    )


def _text(row: Row, key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {key!r} is {value!r}; expected text")
    return value.strip()


def _texts(row: Row, key: str, where: str) -> list[str]:
    values = row.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v.strip() for v in values):
        raise DataError(f"{where}: {key!r} is {values!r}; expected a list of texts")
    return [value.strip() for value in values]


def _gold(row: Row, key: str, choices: list[str], where: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(choices):
        raise DataError(f"{where}: {key!r} is {value!r}; expected the number of a choice, 0 to {len(choices) - 1}")
    return value
