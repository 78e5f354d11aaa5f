"""Instruction data of any origin in; what the hybrid stage, fine-tuning, self-preferencing and DPO train on out.

hybrid.jsonl       most conversations of the hybrid languages
sft.jsonl          a balanced rest, which prefer asks its questions from too
held_out.jsonl     questions that nothing is trained on; fine-tuning measures its loss on their answers
left_over.jsonl    what caps and quotas left over
preferences.jsonl  imported pairs of a better and a worse answer, checked, for dpo; preferences_dropped.jsonl: others
dropped.jsonl      conversations that broke a rule, with the reason
quarantine.jsonl   rows that could not be read, with the reason
made/              what a teacher made of the sources (`stage_teacher`)
checks.json, mix.json   the counts of it all
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import DataError
from seallm.base.files import write_json_lines
from seallm.base.places import Place, place_label, place_name
from seallm.base.records import read_conversations, write_conversations
from seallm.chat_data.conversation_table import to_conversations
from seallm.chat_data.importing import SourceFile
from seallm.chat_data.mixing import PARTS, mix
from seallm.chat_data.output_files import (
    CHECKS,
    CONVERSATIONS,
    DROPPED,
    load_table,
    write_checks,
    write_dropped,
    write_kept,
    write_mix,
)
from seallm.chat_data.preference_checks import PREFERENCES, preference_rows, without_place
from seallm.chat_data.preparing import (
    QUARANTINE,
    Prepared,
    dropped_counts,
    import_all,
    preference_files,
    prepare,
)
from seallm.chat_data.row_files import is_about
from seallm.chat_data.tables import mix_rows
from seallm.corpus.build import close_work, open_work
from seallm.recipe_instructions import Instructions, InstructionSource

_SPLITS = ("train", "validation", "valid", "dev", "test")  # folders within a saved data set


def run(settings: Instructions, context: StageContext) -> None:
    """Import, check and mix.

    Raises:
        DataError: a source has no file, too many rows cannot be read, or no conversation is left.
    """
    work = open_work(context.out)
    with timed(context.timings, "make_seconds"):
        made = _made(settings, context, work / "sources")
    with timed(context.timings, "check_seconds"):
        prepared = _prepare(settings, context, work, made)
    table = load_table(prepared)
    checks = write_checks(context.out / CHECKS, prepared)
    write_dropped(context.out / DROPPED, table, prepared)
    rows = _kept_rows(prepared, context)
    figures = prepared.figures.take(rows)
    languages, categories = (figures[name].to_pylist() for name in ("language", "category"))
    questions = figures["question"].to_numpy()
    mixed = mix(languages, categories, prepared.keys[rows], questions, settings, context.seed)
    cells = write_mix(context.out, table, prepared, rows, mixed)
    context.counts.update({name: checks[name] for name in ("conversations", "preferences", "quarantined", "dropped")})
    context.counts["mix"] = {part: sum(cell[part] for cell in cells) for part in PARTS}
    if context.runtime.show_progress:
        Console().print(mix_rows(cells))
    close_work(context.out)


def _made(settings: Instructions, context: StageContext, checked: Path) -> list[SourceFile]:
    """What the teacher makes of the sources' good conversations, which `checked` is for; nothing without a teacher."""
    if settings.teacher is None:
        return []
    from seallm.chat_data.stage_teacher import make_more

    shutil.rmtree(checked, ignore_errors=True)  # of a run that was killed here
    write_checked(settings, replace(context, out=checked))
    conversations, _ = read_conversations(checked / CONVERSATIONS)
    return make_more(settings.teacher, conversations, context)


def _prepare(settings: Instructions, context: StageContext, work: Path, made: Sequence[SourceFile] = ()) -> Prepared:
    files = [*source_files(settings.sources, context), *made]
    benchmarks = [(file, file.name) for file in context.files(settings.checks.benchmarks)]
    return prepare(files, settings, benchmarks, context.languages, context.out, work, context.runtime)


def _kept_rows(prepared: Prepared, context: StageContext) -> npt.NDArray[np.int64]:
    """Numbers of the conversations that stay; where the sources hold preferences alone, there are none."""
    rows = np.flatnonzero(prepared.reasons == "")
    if not len(rows) and len(prepared.keys):
        raise DataError(
            f"None of {len(prepared.reasons):,} conversations is left in {', '.join(context.languages)}: dropped for "
            f"{dropped_counts(prepared)}. See {context.out / DROPPED}"
        )
    return rows


def write_checked(settings: Instructions, context: StageContext) -> dict[str, Any]:
    """Import and check without mixing: conversations.jsonl in place of the parts; returns what checks.json holds.

    Raises:
        DataError: as `run`.
    """
    context.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=context.out, prefix=".work") as work:
        prepared = _prepare(settings, context, Path(work))
        table = load_table(prepared)
    checks = write_checks(context.out / CHECKS, prepared)
    write_dropped(context.out / DROPPED, table, prepared)
    rows = _kept_rows(prepared, context)
    write_kept(context.out / CONVERSATIONS, table, rows[np.argsort(prepared.keys[rows], kind="stable")])
    return checks


def write_imported(settings: Instructions, context: StageContext, out: Path) -> dict[str, Any]:
    """Import alone: conversations in the order of files and rows; preferences and bad rows go beside them.

    Returns:
        Counts, and the files `written`.

    Raises:
        DataError: as `run`; the quarantine is written then too.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    files = source_files(settings.sources, context)
    beside = (out.with_suffix(f".{QUARANTINE}"), out.with_suffix(f".{PREFERENCES}"))
    quarantine, preferences = beside
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".import") as work:
        try:
            tables, counts = import_all(files, quarantine, Path(work), settings.max_bad_share, context.runtime)
            write_json_lines(preferences, map(without_place, preference_rows(preference_files(tables))))
        finally:
            _remove_empty(beside)
        batches = (batch for path in tables for batch in pq.ParquetFile(path).iter_batches())
        rows = (row for batch in batches for row in to_conversations(pa.table(batch)))
        write_conversations(out, rows)
    return {**counts, "files": len(files), "written": [out, *filter(Path.exists, beside)]}


def _remove_empty(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_file() and not path.stat().st_size:
            path.unlink()


def source_files(sources: Sequence[InstructionSource], context: StageContext) -> list[SourceFile]:
    """The files of all sources, sorted by name, so that the order of the recipe decides nothing.

    Raises:
        DataError: a source has no file of rows.
    """
    found: list[SourceFile] = []
    for source in sources:
        given = {name: getattr(source, name) or "" for name in ("language", "category", "source", "licence")}
        places = [place for place in context.places(source.files) if not is_about(place)]
        if not places:
            raise DataError(f"{', '.join(source.files)} hold no file of rows; expected JSONL, JSON, CSV or Parquet")
        for place in places:
            file = SourceFile(place, place_name(place), source.format, source.columns, given)
            found.append(replace(file, default_source=default_source(place)))
    return _distinct_names(sorted(found, key=lambda file: (file.name, place_label(file.place))))


def default_source(place: Place) -> str:
    """The source of rows that name none: the file's name without its endings, or the saved data set's folder."""
    name = place_name(place)
    if isinstance(place, Path) and name.endswith(".arrow"):
        folder = place.parent.parent if place.parent.name in _SPLITS else place.parent
        return folder.name
    return name.split(".")[0]


def _distinct_names(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Files of one name in several folders get the folder's name in front, and where that is the same too, a number."""
    named: list[SourceFile] = []
    for file in files:
        same = sum(other.name == file.name for other in files) > 1
        named.append(replace(file, name=f"{_folder_name(file.place)}/{file.name}") if same else file)
    counts: dict[str, int] = {}
    for number, file in enumerate(named):
        counts[file.name] = counts.get(file.name, 0) + 1
        if counts[file.name] > 1:
            named[number] = replace(file, name=f"{file.name}#{counts[file.name]}")
    return named


def _folder_name(place: Place) -> str:
    return place.parent.name if isinstance(place, Path) else place_label(place).rsplit("/", 2)[-2]
