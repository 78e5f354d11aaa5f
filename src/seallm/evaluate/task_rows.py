"""One raw row of a benchmark in, one checked row of a task out; a wrong row is named by its place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seallm.base.errors import DataError
from seallm.evaluate.safety_rates import expressions

Row = dict[str, Any]
LETTERS = "ABCDEFGHIJ"
_LATIN = str.maketrans("ကခဂဃငกขคงจ", "ABCDEABCDE")  # how Burmese and Thai exams letter their choices
_SEPARATOR = r"[.．。)）:：、]"
# a digit after `1.` would be a fraction: `1.5` is no first choice
_LABELLED = re.compile(rf"\s*[(（]?([A-Za-zက-ငก-จ]|\d{{1,2}}){_SEPARATOR}(?!\d)\s*(\S.*)", re.DOTALL)
FASTTEXT = "__label__"  # how its files begin a label


@dataclass(frozen=True)
class Layout:
    """What the columns of a benchmark mean.

    Attributes:
        language: code of its language.
        columns: name of the column (or columns) that holds what.
        gold_is: `label` (the label or letter of the right choice), `number` (from 1), `index` (from 0) or `hidden`.
        labels: the labels of a classification, and `label_words` what they are called in the language.
        header: columns of a file without a header line.
        id_prefix: only rows whose id begins so.
        only: only rows whose columns have these values.
        beside: column to file of a line for each line of a `.txt` file, under the folder of the data.
        faulty_share: of the rows that may be faulty as published; they are left out and counted. Above it, and without
            it, a faulty row stops the task.
        harmful: labels of requests that must be declined, and `harmless` of those that must be answered.
        prompt_kind: which of the two the task asks; empty for both.
    """

    language: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    gold_is: str = "label"
    labels: Sequence[str] = ()
    label_words: Sequence[str] = ()
    header: Sequence[str] = ()
    id_prefix: str = ""
    only: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    faulty_share: float = 0.0
    harmful: Sequence[str] = ()
    harmless: Sequence[str] = ()
    prompt_kind: str = ""

    @classmethod
    def of(cls, language: str, found: Mapping[str, Any]) -> "Layout":
        """From the settings of a task file; others are left alone."""
        known = {key: found[key] for key in cls.__dataclass_fields__ if key in found}
        return cls(**{**known, "language": language})

    @property
    def of_prefix(self) -> str:
        """How a message names the rows that are taken."""
        parts = [f"whose id begins with {self.id_prefix!r}"] if self.id_prefix else []
        parts += [f"whose {column} is {value!r}" for column, value in self.only.items()]
        parts += [f"that is {self.prompt_kind}"] if self.prompt_kind else []
        return " " + " and ".join(parts) if parts else ""

    def takes(self, row: Row) -> bool:
        """True where a row belongs to the task."""
        is_named = not self.id_prefix or str(row.get("id", "")).startswith(self.id_prefix)
        return is_named and all(str(row.get(column)) == value for column, value in self.only.items())


def xcopa(row: Row, where: str, _: Layout) -> Row:
    """{premise, question, choices, gold} of an XCOPA row (Ponti et al. 2020).

    The premise loses its full stop and each choice its capital, so that they continue one another, as in
    lm-evaluation-harness.
    """
    choices = [text(row, key, where) for key in ("choice1", "choice2")]
    question = text(row, "question", where)
    if question not in ("cause", "effect"):
        raise DataError(f"{where}: question is {question!r}; expected cause or effect")
    return {
        "premise": text(row, "premise", where).rstrip(".。"),
        "question": question,
        "choices": [choice[0].lower() + choice[1:] for choice in choices],
        "gold": _number(row, "label", choices, where),
    }


def quiz(row: Row, where: str, _: Layout) -> Row:
    """{question, choices, gold} of {question, choices: [texts], answer: number of one}."""
    choices = texts(row.get("choices"), "choices", where)
    if len(choices) < 2:
        raise DataError(f"{where}: {len(choices)} choice; expected at least 2")
    return {
        "question": text(row, "question", where),
        "choices": choices,
        "gold": _number(row, "answer", choices, where),
    }


def exam(row: Row, where: str, layout: Layout) -> Row:
    """{passage, question, letters, choices, options, gold, id, subject} of a row of an exam."""
    columns = layout.columns
    letters, choices = _choices(row, columns["choices"], where)
    passage = _cell(row, columns, "passage")
    subject = [str(row.get(key, "")) for key in columns.get("subject", ())]
    return {
        "passage": "\n".join(passage) if isinstance(passage, list) else (passage or "").strip(),
        "question": text(row, columns["question"], where),
        "letters": letters,
        "choices": choices,
        "options": "\n".join(f"{letter}. {choice}" for letter, choice in zip(letters, choices, strict=True)),
        "gold": 0
        if layout.gold_is == "hidden"
        else _gold(row, _first(row, columns["gold"]), letters, layout.gold_is, where),
        "id": str(_cell(row, columns, "id") or ""),
        "subject": " / ".join(subject),
        **_role(row, columns),
    }


def _cell(row: Row, columns: Mapping[str, Any], meaning: str) -> Any:
    """What a row has in the column of a meaning; None where the benchmark has no such column.

    A file may well have a column without a name: numbers of rows.
    """
    return row.get(columns[meaning]) if meaning in columns else None


def _first(row: Row, names: str | Sequence[str]) -> str:
    """The one name of a column, or the first of several that the file has."""
    return names if isinstance(names, str) else next((name for name in names if name in row), names[0])


def _role(row: Row, columns: Mapping[str, Any]) -> Row:
    marked = str(_cell(row, columns, "is_shot")).strip().lower()
    return {"role": "shown"} if marked in ("1", "1.0", "true") else {}


def _choices(row: Row, columns: str | Sequence[str], where: str) -> tuple[list[str], list[str]]:
    """Letters and texts of the choices: a column each (the last ones may be empty), a list, or lines of one column."""
    if not isinstance(columns, str):
        found = ["" if row.get(key) is None else str(row[key]).strip() for key in columns]
        while found and not found[-1]:
            found.pop()
        name = ", ".join(columns)
    else:
        value, name = row.get(columns), columns
        found = [line.strip() for line in value.split("\n") if line.strip()] if isinstance(value, str) else value or []
    choices = texts(found, name, where)
    if len(choices) < 2:
        raise DataError(f"{where}: {len(choices)} choice in {name}; expected at least 2")
    labelled = [_LABELLED.fullmatch(choice) for choice in choices]
    letters = [_plain_label(match[1]) for match in labelled if match]
    in_order = (list(LETTERS[: len(choices)]), _numbers(len(choices)))
    if letters in in_order:
        return letters, [match[2].strip() for match in labelled if match]
    if len(choices) > len(LETTERS):
        raise DataError(f"{where}: {len(choices)} choices; expected at most {len(LETTERS)}")
    return list(LETTERS[: len(choices)]), choices


def _numbers(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


def _plain_label(label: str) -> str:
    """A label in Latin capitals or European digits: `ข` is B, `๒` is 2."""
    return str(int(label)) if label.isdecimal() else label.upper().translate(_LATIN)


def _gold(row: Row, column: str, letters: Sequence[str], gold_is: str, where: str) -> int:
    """Number of the right choice, from 0."""
    value = str(row.get(column, "")).strip()
    if gold_is == "label":
        named = _plain_label(value.strip("()（）."))
        # some rows number their choices otherwise than their file's other rows do, or not at all
        known = next(
            (k for k in (list(letters), list(LETTERS[: len(letters)]), _numbers(len(letters))) if named in k), letters
        )
    else:
        first = {"number": 1, "index": 0}[gold_is]
        named, known = value, [str(number + first) for number in range(len(letters))]
    if named not in known:
        raise DataError(f"{where}: {column!r} is {row.get(column)!r}; expected one of {', '.join(known)}")
    return list(known).index(named)


def label(row: Row, where: str, layout: Layout) -> Row:
    """{text, choices, gold} of a text with its class; the choices are the classes in the language."""
    columns = layout.columns
    value = str(row.get(columns["label"], "")).strip().removeprefix(FASTTEXT)
    if value not in layout.labels:
        raise DataError(f"{where}: {columns['label']!r} is {value!r}; expected one of {', '.join(layout.labels)}")
    return {
        "text": "\n".join(text(row, key, where) for key in columns["text"]),
        "choices": list(layout.label_words),
        "gold": layout.labels.index(value),
    }


def span(row: Row, where: str, layout: Layout) -> Row:
    """{context, question, answers, language} of a question answered by a span of a paragraph, in SQuAD's layouts."""
    column = layout.columns.get("answers", "answers")
    answers = row.get(column)
    if isinstance(answers, str):
        answers = [answers]
    elif isinstance(answers, dict):
        answers = answers.get("text")
    elif isinstance(answers, list):
        answers = [a.get("text") if isinstance(a, dict) else a for a in answers]
    return {
        "context": text(row, "context", where).lstrip("\ufeff"),
        "question": text(row, "question", where),
        "answers": list(dict.fromkeys(texts(answers, column, where))),
        "language": layout.language,
    }


def sums(row: Row, where: str, layout: Layout) -> Row:
    """{question, target, language}: a sum in words, and the number that is its answer (GSM8K: after `####`)."""
    from seallm.evaluate.numbers import last_number

    value = str(row.get(layout.columns["answer"], ""))
    number = last_number(value.split("####")[-1], "en")
    if number is None:
        raise DataError(f"{where}: {layout.columns['answer']!r} is {value[-60:]!r}; expected a number")
    return {
        "question": text(row, layout.columns["question"], where),
        "target": f"{number:g}" if abs(number) < 1e6 else f"{number:.0f}",
        "number": number,
        "language": layout.language,
    }


def summary(row: Row, where: str, layout: Layout) -> Row:
    """{text, target, language} of an article with its summary."""
    return {
        "text": text(row, layout.columns["text"], where),
        "target": text(row, layout.columns["summary"], where),
        "language": layout.language,
    }


def safety(row: Row, where: str, layout: Layout) -> Row:
    """{text, kind, language, helplines, refusals} of a request; one without a label is harmful."""
    kind = "harmful"
    column = layout.columns.get("label")
    if column is not None:
        name = _first(row, column)
        value = str(row.get(name, "")).strip()
        known = [*layout.harmful, *layout.harmless]
        if value not in known:
            raise DataError(f"{where}: {name!r} is {value!r}; expected one of {', '.join(known)}")
        kind = "harmful" if value in layout.harmful else "harmless"
    return {
        "text": text(row, layout.columns["text"], where),
        "kind": kind,
        "language": layout.language,
        "helplines": [str(contact) for contact in row.get("helplines") or ()],
        "refusals": expressions(row.get("refusals"), where),
    }


def text(row: Row, key: str, where: str) -> str:
    """A column that must hold text, stripped."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {key!r} is {value!r}; expected text")
    return value.strip()


def texts(values: object, key: str, where: str) -> list[str]:
    """A column that must hold texts, stripped."""
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v.strip() for v in values):
        raise DataError(f"{where}: {key!r} is {values!r}; expected a list of texts")
    return [value.strip() for value in values]


def _number(row: Row, key: str, choices: list[str], where: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(choices):
        raise DataError(f"{where}: {key!r} is {value!r}; expected the number of a choice, 0 to {len(choices) - 1}")
    return value
