"""Foreign files in, tables of conversations, preferences and a quarantine out: one file at a time, nothing lost.

Every row of a file is a conversation, a preference, or a line of the quarantine with file, number, reason and the row
itself. The format of a file is that of most of its first rows; a row of another format is a bad row. Texts are brought
into canonical Unicode here, as the corpus is, and rows without a language get the one their answers are found to be in.

    <n>.parquet            conversations (`conversation_table`)
    <n>.preferences.jsonl  preferences
    <n>.json               counts and the quarantine; written last
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import atomic_writer, write_json, write_json_lines
from seallm.base.places import Place, place_label
from seallm.base.records import Conversation, Message, Preference
from seallm.canonical.repair import repair_counted
from seallm.chat_data.conversation_table import SCHEMA, in_batches
from seallm.chat_data.formats import FORMATS, Format, Record, find_format, labels, read_record
from seallm.chat_data.labels import category_name, language_code
from seallm.chat_data.row_files import BadRow, Row, read_rows
from seallm.chat_data.turn_languages import languages_of_answers, languages_of_texts
from seallm.corpus.foreign_columns import look_up

BATCH_CONVERSATIONS = 2_000
ROWS_TO_LOOK_AT = 100  # that tell a file's format
Labelled = tuple[str, Conversation]


@dataclass(frozen=True)
class SourceFile:
    """One file and how it is read; it is sent to the worker that reads it.

    Attributes:
        name: what it is called in messages.
        format: absent, it is told by the first rows.
        columns: names of the data set's columns, by ours.
        given: language, category, source and licence of all its rows, whatever they name themselves; empty: theirs.
        default_source: source of rows that name none.
    """

    place: Place
    name: str
    format: Format | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    default_source: str = ""


@dataclass
class Tally:
    """What became of a file's rows.

    Attributes:
        kinds: conversations and preferences by format.
        repaired: texts that Unicode repair changed.
        preferences: place, record, and the source and licence of its row.
        quarantine: bad rows.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    preferences: list[tuple[str, Preference, dict[str, str]]] = field(default_factory=list)
    quarantine: list[BadRow] = field(default_factory=list)


def import_file(file: SourceFile, result: Path) -> None:
    """Read one file into `result` (a summary, JSON) and the files beside it.

    Raises:
        DataError: a column map names a column that is not there, or a remote file is out of reach.
    """
    tally = Tally()
    with (
        atomic_writer(result.with_suffix(".parquet")) as out,
        pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer,
    ):
        count = 0
        for table in in_batches(read_conversations_of(file, tally), BATCH_CONVERSATIONS):
            writer.write_table(table)
            count += len(table)
    write_json_lines(result.with_suffix(".preferences.jsonl"), _preference_rows(tally))
    write_json(
        result,
        {
            "name": file.name,
            "conversations": count,
            "preferences": len(tally.preferences),
            "formats": tally.kinds,
            "repaired": tally.repaired,
            "quarantine": [quarantine_row(bad) for bad in tally.quarantine],
        },
    )


def quarantine_row(bad: BadRow) -> dict[str, Any]:
    """A bad row as a line of quarantine.jsonl, whatever values it holds."""
    row = json.loads(json.dumps(bad.row, ensure_ascii=False, default=str))
    return {"where": bad.where, "reason": bad.reason, "row": row}


def read_conversations_of(file: SourceFile, tally: Tally) -> Iterator[Labelled]:
    """Places and conversations of a file; what is none is put into the tally."""
    pending: list[Labelled] = []
    for where, record in _records(file, tally):
        pending.append((where, record))
        if len(pending) == BATCH_CONVERSATIONS:
            yield from _with_languages(pending)
            pending = []
    yield from _with_languages(pending)


def _preference_rows(tally: Tally) -> Iterator[dict[str, Any]]:
    """Rows that `records.read_preferences` and TRL read, and their place; those without a language get that of the
    better answer.
    """
    found = iter(languages_of_texts([p.chosen[-1].content for _, p, _ in tally.preferences if not p.language]))
    for where, preference, origin in tally.preferences:
        yield {**asdict(preference), "language": preference.language or next(found), **origin, "where": where}


def _records(file: SourceFile, tally: Tally) -> Iterator[Labelled]:
    """Places and conversations; preferences go into the tally."""
    rows = iter(read_rows(file.place, file.name))
    first = list(itertools.islice(rows, ROWS_TO_LOOK_AT))
    fields = [_renamed(row, file.columns) for _, row in first if isinstance(row, dict)]
    _check_columns(file, [row for _, row in first if isinstance(row, dict)])
    kind = file.format or _most_frequent(fields)
    for number, row in itertools.chain(first, rows):
        where = f"{file.name}:{number}"
        if isinstance(row, BadRow):
            tally.quarantine.append(row)
            continue
        renamed = _renamed(row, file.columns)
        try:
            if kind is None:
                raise DataError(
                    f"{where}: no format known has the fields {', '.join(map(str, row))[:200] or 'of an empty row'}; "
                    f"expected those of {', '.join(FORMATS)}, or a column map"
                )
            record = _labelled(_canonical(read_record(renamed, kind, where), where, tally), file)
        except DataError as error:
            tally.quarantine.append(BadRow(where, str(error).removeprefix(f"{where}: "), row))
            continue
        tally.kinds[kind] += 1
        if isinstance(record, Preference):
            tally.preferences.append((where, record, _origin(renamed, file)))
        else:
            yield where, record


def _most_frequent(rows: list[Row]) -> Format | None:
    """The format of most rows; of equally many the one listed first."""
    found = Counter(kind for row in rows if (kind := find_format(row)))
    return min(found, key=lambda kind: (-found[kind], FORMATS.index(kind)), default=None)


def _renamed(row: Row, columns: Mapping[str, str]) -> Row:
    """The row with the columns of the map under our names too."""
    return {**row, **{ours: look_up(row, theirs) for ours, theirs in columns.items()}} if columns else row


def _check_columns(file: SourceFile, rows: list[Row]) -> None:
    for ours, theirs in file.columns.items():
        if rows and all(look_up(row, theirs) is None for row in rows):
            there = dict.fromkeys(str(name) for row in rows for name in row)
            raise DataError(
                f"{place_label(file.place)} has no column {theirs!r} (for `{ours}`) in its first {len(rows)} rows; it "
                f"has {', '.join(there)}. Name the right one in `columns`"
            )


def _canonical(record: Record, where: str, tally: Tally) -> Record:
    """The record with every text in canonical Unicode.

    Raises:
        DataError: nothing is left of a turn, or of the difference between two answers.
    """
    names = ("messages",) if isinstance(record, Conversation) else ("prompt", "chosen", "rejected")
    changes: dict[str, Any] = {}
    for name in names:
        messages = []
        for number, message in enumerate(getattr(record, name)):
            text, counts = repair_counted(message.content)
            tally.repaired += bool(counts)
            if not text:
                raise DataError(f"{where}: message {number} ({message.role}) has no visible text")
            messages.append(Message(message.role, text))
        changes[name] = tuple(messages)
    if "chosen" in changes and changes["chosen"] == changes["rejected"]:
        raise DataError(f"{where}: chosen and rejected are the same")
    return replace(record, **changes)


def _labelled(record: Record, file: SourceFile) -> Record:
    """The record with its language and category in our names, and what the source file is given for all its rows."""
    language = language_code(file.given.get("language") or record.language)
    if isinstance(record, Preference):
        return replace(record, language=language)
    category = category_name(file.given.get("category") or record.category)
    origin = _origin({"source": record.source, "licence": record.licence}, file)
    source, licence = origin["source"], origin["licence"]
    return replace(record, language=language, category=category, source=source, licence=licence)


def _origin(row: Mapping[str, Any], file: SourceFile) -> dict[str, str]:
    """Source and licence: what the file is given, or else the row's own."""
    own = labels(row)
    source = file.given.get("source") or own["source"] or file.default_source
    return {"source": source, "licence": file.given.get("licence") or own["licence"]}


def _with_languages(batch: list[Labelled]) -> Iterator[Labelled]:
    """The batch, rows without a language with the one of their answers."""
    open_rows = [c for _, c in batch if not c.language]
    found = iter(languages_of_answers(open_rows))
    for where, conversation in batch:
        yield where, conversation if conversation.language else replace(conversation, language=next(found))
