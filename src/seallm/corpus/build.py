"""Raw documents in, clean documents by language and tier out: the corpus stage.

    input files --clean_file--> work/<n>.parquet   read, extract, repair, measure, identify, judge; a shard a file
    all shards  --decide------> fates              duplicates, held out, high and low; from figures alone
    a language  --write-------> documents/ held_out/ dropped/, rows in the order of their ids

Cleaning and writing run over files and languages in a pool of processes; what a killed run finished is kept. Nothing is
deleted: a dropped document is in `dropped/` with its reason, an unreadable record in `quarantine.jsonl` with its place.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import DataError
from seallm.base.files import SAMPLE_PREFIX, read_json, write_json, write_json_lines
from seallm.base.shards import map_shards
from seallm.corpus.clean import InputFile, clean_file, compile_kernels
from seallm.corpus.decide import Decisions, Ledger, decide, read_ledger, save_fates
from seallm.corpus.layout import DROPPED, HELD_OUT, HIGH, LOW, REASONS, groups_of
from seallm.corpus.write import LanguageGroup, write_group
from seallm.recipe import Corpus

MAX_BAD_SHARE = 0.5  # with more unreadable records, the inputs are not what the recipe takes them for
FUNNEL, QUARANTINE = "funnel.json", "quarantine.jsonl"
_WORK, _DISCARDED = "work", ".discarded"
_TIER_NAMES = {HIGH: "kept_high", LOW: "kept_low", HELD_OUT: "held_out"}


def run(settings: Corpus, context: StageContext) -> None:
    """Build the corpus in `context.out`.

    Writes `documents/<language>.<tier>.parquet`, `held_out/<language>.parquet`, `dropped/<language or unknown>.parquet`
    (columns of `records.DOCUMENT_SCHEMA`), `funnel.json` and `quarantine.jsonl`.

    Raises:
        DataError: there is no input, most records cannot be read, or no document is left.
        RecipeError: a language has no file.
    """
    work = _open_work(context.out)
    with timed(context.timings, "clean_seconds"):
        results = _clean(settings, context, work)
    summaries = [read_json(result) for result in results]
    quarantine = [entry for summary in summaries for entry in summary["quarantine"]]
    _check_readable(sum(summary["documents"] for summary in summaries), quarantine)
    with timed(context.timings, "decide_seconds"):
        ledger = read_ledger(results)
        decisions = decide(ledger, settings)
        funnel = _count(ledger, decisions, context.languages)
    _check_kept(funnel)
    with timed(context.timings, "write_seconds"):
        _write(ledger, decisions, results, context, work)
    write_json(context.out / FUNNEL, funnel)
    write_json_lines(context.out / QUARANTINE, quarantine)
    skipped = sum((Counter(summary["skipped"]) for summary in summaries), Counter[str]())
    context.counts.update(_totals(funnel), quarantined=len(quarantine), skipped=dict(sorted(skipped.items())))
    work.rename(context.out / _DISCARDED)
    shutil.rmtree(context.out / _DISCARDED)


def _open_work(out: Path) -> Path:
    """The folder of intermediate files; what a killed process left half written goes."""
    shutil.rmtree(out / _DISCARDED, ignore_errors=True)
    for leftover in out.rglob(".*.tmp"):
        leftover.unlink()
    work = out / _WORK
    work.mkdir(exist_ok=True)
    return work


def _clean(settings: Corpus, context: StageContext, work: Path) -> list[Path]:
    paths = list(dict.fromkeys(context.files(settings.inputs)))
    if not paths:
        raise DataError("[corpus] names no inputs. Give files, folders or globs in `inputs`")
    minhash = (settings.minhash_permutations, settings.minhash_bands, settings.minhash_shingle_units)
    files = [InputFile(path, _display_name(path, context), context.languages, minhash) for path in paths]
    results = [work / f"{number:05d}.json" for number in range(len(files))]
    if context.runtime.workers > 1 and not all(result.exists() for result in results):
        compile_kernels(files[0])
    # the largest first, so that no worker is left alone with it at the end
    order = sorted(range(len(files)), key=lambda i: (-paths[i].stat().st_size, i))
    map_shards(clean_file, [files[i] for i in order], [results[i] for i in order], "cleaning", context.runtime)
    return results


def _display_name(path: Path, context: StageContext) -> str:
    """The path as a recipe would name it, so that a run's files do not depend on where things lie."""
    sample = Path(str(resources.files("seallm"))) / "sample"
    if path.is_relative_to(sample):
        return SAMPLE_PREFIX + path.relative_to(sample).as_posix()
    folder = context.recipe_folder
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _check_readable(documents: int, quarantine: Sequence[dict[str, str]]) -> None:
    if len(quarantine) > MAX_BAD_SHARE * (documents + len(quarantine)):
        first = "; ".join(f"{entry['where']}: {entry['reason']}" for entry in quarantine[:3])
        raise DataError(
            f"{len(quarantine)} of {documents + len(quarantine)} records cannot be read, for example {first}. "
            "Check the files that [corpus] names"
        )


def _check_kept(funnel: dict[str, dict[str, int]]) -> None:
    if not any(row[name] for row in funnel.values() for name in _TIER_NAMES.values()):
        causes = sum((Counter(row) for row in funnel.values()), Counter[str]())
        causes.pop("read", None)
        found = ", ".join(f"{count} {reason}" for reason, count in causes.most_common() if count) or "none were read"
        raise DataError(
            f"No document is left after cleaning ({found}). Check the inputs, the languages and their rules"
        )


def _count(ledger: Ledger, decisions: Decisions, languages: Sequence[str]) -> dict[str, dict[str, int]]:
    """Documents read, dropped by reason, and kept, for each language and `unknown`."""
    funnel: dict[str, dict[str, int]] = {}
    for group in groups_of(languages):
        mine = ledger.groups == group
        row = {"read": int(mine.sum())}
        dropped = decisions.reasons[mine & (decisions.fates == DROPPED)]
        row |= {REASONS[int(r)]: int((dropped == r).sum()) for r in np.unique(dropped)}
        row |= {name: int((decisions.fates[mine] == fate).sum()) for fate, name in _TIER_NAMES.items()}
        funnel[group] = row
    return funnel


def _totals(funnel: dict[str, dict[str, int]]) -> dict[str, Any]:
    total = sum((Counter(row) for row in funnel.values()), Counter[str]())
    kept = sum(total[name] for name in _TIER_NAMES.values())
    return {"read": total["read"], "kept": kept, "dropped": total["read"] - kept}


def _write(ledger: Ledger, decisions: Decisions, results: list[Path], context: StageContext, work: Path) -> None:
    groups = []
    for name in groups_of(context.languages):
        fates = work / f"fates.{name}.parquet"
        save_fates(fates, name, ledger, decisions)
        groups.append(LanguageGroup(name, fates, tuple(results), context.out))
    marks = [work / f"written.{group.name}.json" for group in groups]
    map_shards(write_group, groups, marks, "writing", context.runtime)
