"""A finished corpus and new thresholds in, a new corpus out, without reading or judging the raw input again.

The ledger holds every figure that the rules look at, and hash and signature of every document, dropped ones too. So
thresholds can be loosened as well as tightened: documents come back, duplicates are found anew, and the result holds
the same documents in the same tiers as a build with these settings would.

What needs the text again cannot be changed this way: the languages, how text is extracted and repaired, the shingles
and permutations of signatures, the figures themselves, and rules without a figure (`empty`, `language`).
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from seallm.base.artifacts import Artifact, read_manifest, versions
from seallm.base.errors import DataError, RecipeError
from seallm.base.files import fingerprint, write_json
from seallm.base.runtime import Runtime
from seallm.corpus.build import FUNNEL, check_kept, close_work, open_work, totals
from seallm.corpus.columns import READ_DOCUMENTS, Columns
from seallm.corpus.decide import Choices
from seallm.corpus.layout import fates_of, file_of, groups_of
from seallm.corpus.rules import THRESHOLD_NAMES
from seallm.corpus.settle import Funnel, Setting, Table, TextsOf, settle
from seallm.corpus.why import ledger_files, read_rules
from seallm.corpus.write import Texts

STAGE = "corpus"
_CHOICES = {
    "high_sources": "high_sources",
    "high_share": "high_share",
    "high_threshold": "high_threshold",
    "held_out_share": "held_out_share",
    "near_duplicate_similarity": "similarity",
}


def retier(folder: Path, changes: Mapping[str, Any], out: Path, runtime: Runtime) -> Funnel | None:
    """Decide anew and write the result to `out`, which appears whole or not at all.

    Args:
        folder: a finished corpus.
        changes: settings by name: `high_share`, `high_threshold`, `high_sources`, `held_out_share`,
            `near_duplicate_similarity`, or a threshold of the language files, for all languages (`min_units`) or one
            (`th.min_units`).
        out: folder of the new corpus; a killed run is continued.
        runtime: `workers` processes are used.

    Returns:
        documents read, dropped by reason, and kept, for each group; None where `out` was finished before.

    Raises:
        RecipeError: a change cannot be made this way.
        DataError: the folder is not a finished corpus, or no document is left.
    """
    manifest, rules = read_manifest(folder), read_rules(folder)
    thresholds, choices = _change(rules, changes)
    if folder.resolve() == out.resolve():
        raise RecipeError(f"The new corpus cannot be written over {folder}, which it is made from. Give another folder")
    mark = fingerprint({"from": manifest["fingerprint"], "changes": dict(changes)})
    artifact = Artifact(STAGE, out, mark)
    artifact.recover()
    if artifact.is_finished():
        return None
    artifact.check_place()
    partial = artifact.open_partial()
    work = open_work(partial)
    setting = Setting(
        languages=tuple(rules["languages"]),
        thresholds=thresholds,
        choices=choices,
        permutations=rules["permutations"],
        band_count=rules["bands"],
        work=work,
        out=partial,
        rejudge=True,
    )
    timings: dict[str, Any] = {}
    tables = [Table(path, pq.read_metadata(path).num_rows, None) for path in ledger_files(folder)]
    funnel = settle(tables, _corpus_texts(folder, work, setting), setting, runtime, timings, check_kept)
    write_json(partial / FUNNEL, funnel)
    for reading in sorted(folder.glob("*.jsonl")):  # what happened while the raw input was read, which stays as it was
        shutil.copyfile(reading, partial / reading.name)
    close_work(partial)
    changed = {"retier": dict(changes), "counts": {**manifest.get("counts", {}), **totals(funnel)}, "timings": timings}
    artifact.finish({**manifest, **changed, "fingerprint": mark, "stage": STAGE, "versions": versions()})
    return funnel


def _change(rules: Mapping[str, Any], changes: Mapping[str, Any]) -> tuple[dict[str, dict[str, float]], Choices]:
    thresholds = {code: dict(values) for code, values in rules["thresholds"].items()}
    choices = Choices(**{**rules["choices"], "high_sources": tuple(rules["choices"]["high_sources"])})
    for name, value in changes.items():
        code, _, setting = name.rpartition(".")
        if name in _CHOICES:
            choices = replace(choices, **{_CHOICES[name]: _checked(name, value)})
        elif setting in THRESHOLD_NAMES and (not code or code in thresholds):
            for own in [code] if code else thresholds:
                thresholds[own][setting] = _number(name, value)
        else:
            known = ", ".join([*_CHOICES, *sorted(set(THRESHOLD_NAMES))])
            raise RecipeError(
                f"{name} is nothing that can be changed without reading the raw input again. What can: {known}; the "
                f"thresholds also for one language ({', '.join(thresholds)}), as {next(iter(thresholds))}.min_units. "
                "For the rest, build the corpus anew"
            )
    return thresholds, choices


def _checked(name: str, value: Any) -> Any:
    if name == "high_sources":
        if isinstance(value, str) or not all(isinstance(pattern, str) for pattern in value):
            raise RecipeError(f"high_sources = {value!r} must be a list of sources")
        return tuple(value)
    if not 0 <= _number(name, value) <= 1:
        raise RecipeError(f"{name} = {value} must lie between 0 and 1")
    return float(value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(f"{name} = {value!r} must be a number")
    return float(value)


def _corpus_texts(folder: Path, work: Path, setting: Setting) -> TextsOf:
    """Where `settle` finds the texts of a group: in the files of the finished corpus."""

    def texts_of(group: str, _names: Sequence[Path], columns: Columns) -> tuple[Texts, ...]:
        numbers = _number_rows(folder, work, setting, columns)
        files = [file_of(group, fate) for fate in fates_of(group)]
        return tuple(Texts(folder / name, numbers=numbers[name]) for name in files)

    return texts_of


def _number_rows(folder: Path, work: Path, setting: Setting, columns: Columns) -> dict[str, Path]:
    """For each file of the corpus, a file with the document number of each of its rows."""
    names = [file_of(group, fate) for group in groups_of(setting.languages) for fate in fates_of(group)]
    paths = {name: work / f"rows.{name.replace('/', '.')}.npy" for name in names}
    if (work / "rows.json").exists():
        return paths
    arrays = {}
    for name, path in paths.items():
        rows = pq.read_metadata(folder / name).num_rows
        # an empty file cannot be mapped into memory
        arrays[name] = np.lib.format.open_memmap(path, "w+", np.uint32, (max(rows, 1),))
    start = 0
    for path in ledger_files(folder):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(READ_DOCUMENTS, columns=["file", "row"]):
                places, rows = batch["file"].dictionary_encode(), batch["row"].to_numpy()
                for number, name in enumerate(places.dictionary.to_pylist()):
                    own = np.flatnonzero(places.indices.to_numpy() == number)
                    arrays[name][rows[own]] = start + own
                start += len(batch)
    if start != columns.total:
        raise DataError(f"The ledger of {folder} changed while it was read. Run the same command again")
    for array in arrays.values():
        array.flush()
    write_json(work / "rows.json", sorted(names))
    return paths
