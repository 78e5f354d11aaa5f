"""Question files in, questions of one or more turns out: the starter set, or a file of a published layout.

Layouts are told apart by what their rows hold, JSON or JSON lines:

    own and Sea-bench     question_id, category, lang or language, turns; Sea-bench's chatgpt_response is an answer
    SeaBench (2025)       unit_id, type, lang, user_1, user_2, and a right answer to each, reference_1, reference_2
    MT-bench              question_id, category, turns; no language; answers that are right lie in a file of their own
    Vicuna-80             question_id, category, text; no language

A row without a language gets it from the file's name (`questions.th.jsonl`, `th.jsonl`), else from the caller. The
layouts of MT-bench and Vicuna-80 were read from their files, SeaBench's from its authors' program, Sea-bench's from its
description.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.base.files import files_under, read_json, read_json_lines
from seallm.languages import known_languages

STARTER = "starter"
CATEGORIES = ("task-solving", "math-reasoning", "general-instruction", "natural-question", "safety")
SAFETY = "safety"
OTHER_CATEGORY = "general-instruction"  # of a row that names none
EXPECTATIONS = ("decline", "care", "help")
_OTHER_NAMES = {"NaturalQA": "natural-question", "naturalqa": "natural-question"}  # Sea-bench's own
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        key: `th:12`, unique in a set: language and the file's own number.
        language: code.
        category: one of Sea-bench's five, or the file's own.
        turns: what the user says, turn by turn.
        references: a right answer to each turn, where the file has them; else empty.
        expects: of a question of safety, what a good answer does: "decline", "care" or "help"; else None.
    """

    key: str
    language: str
    category: str
    turns: tuple[str, ...]
    references: tuple[str, ...] = ()
    expects: str | None = None


def read_questions(
    place: str,
    *,
    language: str | None = None,
    references: Path | None = None,
    languages: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    limit: int | None = None,
) -> list[Question]:
    """Read a set of questions.

    Args:
        place: `starter`, a file, a folder or a glob.
        language: of rows that name none, in files whose names do not say it.
        references: MT-bench's file of right answers, {question_id, choices: [{turns}]}.
        languages: keep these alone; None: all.
        categories: keep these alone; None: all.
        limit: keep the first ones of each language and category; None: all.

    Raises:
        DataError: a row is malformed, two have the same number, or none is left.
    """
    if place == STARTER:
        found = list(_starter())
    else:
        paths = [p for p in files_under(Path(place).expanduser()) if p.suffix in (".json", ".jsonl")]
        found = [
            _question(row, where, _named_language(path) or language) for path in paths for where, row in rows(path)
        ]
    seen: set[str] = set()
    for question in found:
        if question.key in seen:
            raise DataError(f"{place}: question {question.key} is there twice; numbers must differ within a language")
        seen.add(question.key)
    if references is not None:
        found = _with_references(found, references)
    kept = [
        q
        for q in found
        if (languages is None or q.language in languages) and (categories is None or q.category in categories)
    ]
    kept = list(_first_of_each(kept, limit)) if limit else kept
    if not kept:
        there = ", ".join(sorted({f"{q.language} {q.category}" for q in found})) or "no rows"
        raise DataError(f"{place} has no question of these languages and categories; it has {there}")
    return kept


def _first_of_each(questions: Sequence[Question], limit: int) -> Iterator[Question]:
    counts: dict[tuple[str, str], int] = {}
    for question in questions:
        kind = (question.language, question.category)
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= limit:
            yield question


def _starter() -> Iterator[Question]:
    """The questions that ship with seallm."""
    folder = resources.files("seallm") / "evaluate" / "questions"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        code = file.name.removesuffix(".toml")
        found: dict[str, list[dict[str, Any]]] = tomllib.loads(file.read_text(encoding="utf-8"))
        for category, entries in found.items():
            for number, entry in enumerate(entries, 1):
                key = f"{code}:{category}-{number:02d}"
                yield Question(
                    key, code, category, tuple(entry["turns"]), tuple(entry.get("answer", ())), entry.get("expects")
                )


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, row) of a file of JSON lines, or of a JSON array of objects.

    Raises:
        DataError: it is neither.
    """
    if path.suffix == ".json":
        values = read_json(path)
        for number, row in enumerate(values if isinstance(values, list) else [], 1):
            if not isinstance(row, dict):
                raise DataError(f"{path}: entry {number} is no object")
            yield f"{path}, entry {number}", row
        return
    for number, found in read_json_lines(path):
        if isinstance(found, DataError):
            raise found
        yield f"{path}:{number}", found


def question_key(row: Row, code: str) -> str:
    """How a row's question is called: `th:12`."""
    return f"{code}:{row['question_id']}"


def row_language(row: Row, default: str | None) -> str | None:
    """The language that a row names, else the default."""
    named = row.get("lang") or row.get("language")
    return named if isinstance(named, str) else default


def _of_seabench(row: Row) -> Row:
    """A row of SeaBench in the layout of the others; any other row as it is."""
    turns = [row[f"user_{n}"] for n in range(1, len(row)) if row.get(f"user_{n}")]
    if not turns:
        return row
    right = [row.get(f"reference_{n}") or "" for n in range(1, len(turns) + 1)]
    about = {"question_id": row.get("unit_id"), "category": row.get("type", OTHER_CATEGORY), "lang": row.get("lang")}
    return {**about, "turns": turns, "reference": right if all(right) else []}


def _question(row: Row, where: str, default: str | None) -> Question:
    row = _of_seabench(row)
    code = row_language(row, default)
    turns = row.get("turns", row.get("text", row.get("question")))
    turns = [turns] if isinstance(turns, str) else turns
    if isinstance(turns, list):
        turns = [turn["content"] if isinstance(turn, dict) and "content" in turn else turn for turn in turns]
    well_formed = isinstance(turns, list) and turns and all(isinstance(turn, str) and turn.strip() for turn in turns)
    if not well_formed or not isinstance(row.get("question_id"), int | str):
        raise DataError(f"{where}: expected question_id and turns (a list of texts) or text; found {_beginning(row)}")
    if code is None:
        raise DataError(
            f"{where} names no language, nor does the file's name. Add `lang` to the rows, call the file "
            "`questions.th.jsonl`, or give --language"
        )
    expects = row.get("expects")
    if expects is not None and expects not in EXPECTATIONS:
        raise DataError(f"{where}: expects is {expects!r}; expected one of {', '.join(EXPECTATIONS)}")
    category = str(row.get("category", OTHER_CATEGORY))
    right = row.get("reference", row.get("references")) or ()
    right = (right,) if isinstance(right, str) else tuple(str(text) for text in right)
    return Question(question_key(row, code), code, _OTHER_NAMES.get(category, category), tuple(turns), right, expects)


def _beginning(row: Row, characters: int = 80) -> str:
    text = json.dumps(row, ensure_ascii=False)
    return text if len(text) <= characters else text[:characters] + " ..."


def _named_language(path: Path) -> str | None:
    """`question.th.jsonl` and `th.jsonl` are Thai."""
    last = path.stem.split(".")[-1]
    return last if last in known_languages() else None


def _with_references(questions: Sequence[Question], path: Path) -> list[Question]:
    found: dict[str, tuple[str, ...]] = {}
    for where, row in rows(path):
        try:
            found[str(row["question_id"])] = tuple(str(turn) for turn in row["choices"][0]["turns"])
        except (KeyError, IndexError, TypeError):
            raise DataError(f"{where}: expected question_id and choices, a list of {{turns}}") from None
    return [
        Question(q.key, q.language, q.category, q.turns, found.get(q.key.split(":", 1)[1], q.references), q.expects)
        for q in questions
    ]
