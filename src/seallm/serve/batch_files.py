"""A file of prompts in, rows to answer out; rows with their answers in, a file to download out.

TXT    a prompt a line; empty lines are left out
CSV    a header; the prompt is in the column `prompt` (or question, instruction, input, text, content), or the only one
JSONL  a text, or an object with `prompt` or `messages`; `system` is a system prompt of its own

Answers come back in the file's own kind: CSV with its columns and two more, else JSONL with the row as it was.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from seallm.base.errors import DataError
from seallm.serve.schema import ChatMessage

FileKind = Literal["txt", "csv", "jsonl"]
PROMPT_COLUMNS = ("prompt", "question", "instruction", "input", "text", "content")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute what stands behind them


@dataclass(frozen=True)
class BatchRow:
    """A row of the file.

    Attributes:
        line: number of its first line, from 1.
        given: the row as it was: text, object or columns.
        messages: what to answer; empty where the row cannot be read.
        problem: why not.
    """

    line: int
    given: Any
    messages: tuple[ChatMessage, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class RowAnswer:
    """What became of a row.

    Attributes:
        text: the answer, "" where there is none.
        end: "stop" or "length"; None where there is no answer.
        problem: why there is none.
    """

    text: str = ""
    end: Literal["stop", "length"] | None = None
    problem: str = ""


def file_kind(name: str) -> FileKind:
    """The kind of a file by the ending of its name.

    Raises:
        DataError: it is none of the three.
    """
    ending = name.lower().rpartition(".")[2]
    kinds: dict[str, FileKind] = {"txt": "txt", "csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl"}
    if ending not in kinds:
        raise DataError(f"name: the file ends in .{ending[:10]}; expected .jsonl, .csv or .txt")
    return kinds[ending]


def read_rows(kind: FileKind, text: str, max_rows: int) -> list[BatchRow]:
    """All rows, those that cannot be read too.

    Raises:
        DataError: there is no row, there are too many, or no column holds prompts.
    """
    readers = {"txt": _lines_of_text, "csv": _lines_of_csv, "jsonl": _lines_of_json}
    rows: list[BatchRow] = []
    for row in readers[kind](text.removeprefix("\ufeff")):
        rows.append(row)
        if len(rows) > max_rows:
            raise DataError(f"content: the file has more than {max_rows:,} rows; split it")
    if not rows:
        raise DataError("content: the file has no rows")
    return rows


def _lines_of_text(text: str) -> Iterator[BatchRow]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _row(number, line.strip(), line.strip())


def _lines_of_json(text: str) -> Iterator[BatchRow]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply, or a number too long"
            yield BatchRow(number, line.strip(), problem=f"not JSON: {reason}")
            continue
        yield _row(number, value, value)


def _lines_of_csv(text: str) -> Iterator[BatchRow]:
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(_csv_lines(reader), (0, [], ""))[1]
    column = _prompt_column(header)
    for number, cells, problem in _csv_lines(reader):
        if problem:
            yield BatchRow(number, {}, problem=problem)
        elif len(cells) > len(header):
            found = f"{len(cells)} cells, and the header has {len(header)}; a comma may want quotes"
            yield BatchRow(number, dict(zip(header, cells, strict=False)), problem=found)
        else:
            given = dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True))
            lower = {name.strip().lower(): value for name, value in given.items()}
            yield _row(number, given, {"prompt": given[column], "system": lower.get("system", "")})


def _csv_lines(reader: Any) -> Iterator[tuple[int, list[str], str]]:
    """(number of the first line, cells, what is wrong); empty lines are left out."""
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield first, [], f"not CSV: {error}"
            continue
        if any(cell.strip() for cell in cells):
            yield first, cells, ""


def _prompt_column(header: Sequence[str]) -> str:
    if len(set(header)) < len(header):
        raise DataError("content: two columns of the header have one name; rename one")
    names = {name.strip().lower(): name for name in header}
    found = next((names[name] for name in PROMPT_COLUMNS if name in names), None)
    if found is None and len(header) == 1:
        return header[0]
    if found is None:
        columns = ", ".join(repr(name[:40]) for name in header[:8]) or "none"
        raise DataError(f"content: the header has the columns {columns}; expected one that is called prompt")
    return found


def _row(line: int, given: Any, value: Any) -> BatchRow:
    try:
        return BatchRow(line, given, _messages(value))
    except DataError as error:
        return BatchRow(line, given, problem=str(error))


def _messages(value: Any) -> tuple[ChatMessage, ...]:
    """The conversation of a row; the last turn is not the assistant's."""
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, Mapping):
        raise DataError(f"found {type(value).__name__}; expected a text or an object")
    turns = value.get("messages", [{"role": "user", "content": value.get("prompt")}])
    system = value.get("system")
    if not isinstance(turns, list) or not turns:
        raise DataError("`messages` is not a list of turns")
    if "messages" not in value and not isinstance(value.get("prompt"), str):
        raise DataError("there is no text in `prompt`, and there are no `messages`")
    if system is not None and not isinstance(system, str):
        raise DataError("`system` is not a text")
    if system and system.strip():
        turns = [{"role": "system", "content": system}, *turns]
    try:
        messages = tuple(ChatMessage.model_validate(turn) for turn in turns)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"a turn is wrong: {first['msg'].removeprefix('Value error, ')}") from None
    if messages[-1].role in ("assistant", "system", "developer"):
        raise DataError(f"the last turn is the {messages[-1].role}'s; expected the user's")
    return messages


def answered_file(kind: FileKind, rows: Sequence[BatchRow], answers: Mapping[int, RowAnswer]) -> bytes:
    """The file of what was answered so far, in the order of the rows.

    Args:
        kind: of the file that was read.
        rows: all of them.
        answers: by number of the row in `rows`.
    """
    done = [(row, answers[number]) for number, row in enumerate(rows) if number in answers]
    if kind == "csv":
        return _as_csv(done).encode("utf-8-sig", "replace")  # the mark tells Excel that it is UTF-8
    lines = [
        json.dumps(
            {
                "line": row.line,
                "input": row.given,
                "answer": a.text or None,
                "end": a.end,
                "problem": a.problem or None,
            },
            ensure_ascii=False,
        )
        for row, a in done
    ]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _as_csv(done: Sequence[tuple[BatchRow, RowAnswer]]) -> str:
    columns = list(dict.fromkeys(name for row, _ in done for name in row.given))
    extra = [_new_name(name, columns) for name in ("answer", "end", "problem")]
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerow([*columns, *extra])
    for row, answer in done:
        given = [row.given.get(name, "") for name in columns]
        writer.writerow([*given, _harmless(answer.text), answer.end or "", answer.problem])
    return written.getvalue()


def _new_name(name: str, columns: Sequence[str]) -> str:
    while name in columns:
        name = f"model_{name}"
    return name


def _harmless(cell: str) -> str:
    """A model's text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
