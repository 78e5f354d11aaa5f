"""The ledger of a corpus and an id in, the story of one document out: its origin, every rule, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import read_json
from seallm.corpus.duplicates import estimated_similarity
from seallm.corpus.layout import (
    EXACT_DUPLICATE,
    HELD_OUT_FOLDER,
    LEDGER,
    NEAR_DUPLICATE,
    REASONS,
    RULES_FILE,
    UNKNOWN,
)
from seallm.corpus.rules import RULES
from seallm.corpus.scores import LANGUAGE_SHARE
from seallm.corpus.tiers import is_high_source

_DUPLICATES = {REASONS[EXACT_DUPLICATE], REASONS[NEAR_DUPLICATE]}


@dataclass(frozen=True)
class Check:
    """One rule and what it made of the document.

    Attributes:
        reason: name of the rule.
        figure: name of the score.
        value: the score.
        setting: name of the threshold.
        threshold: its value.
        is_broken: True where the score lies on the wrong side.
    """

    reason: str
    figure: str
    value: float
    setting: str
    threshold: float
    is_broken: bool


@dataclass(frozen=True)
class Story:
    """What is known of one document.

    Attributes:
        row: its row in the ledger, without hash and signature.
        checks: every rule with figure and threshold; none for documents in no language of the recipe.
        other_reasons: reasons that no figure stands behind.
        original: the ledger row of the document that it stands behind.
        similarity: estimated share of shingles in common with that one.
        choices: settings of duplicates and tiers.
        from_high_source: True where its source is of the high tier.
    """

    row: Mapping[str, Any]
    checks: tuple[Check, ...]
    other_reasons: tuple[str, ...]
    original: Mapping[str, Any] | None
    similarity: float | None
    choices: Mapping[str, Any]
    from_high_source: bool


def why(folder: Path, document: str) -> Story:
    """Tell what became of a document, and why.

    Args:
        folder: a finished corpus.
        document: its id or its URL.

    Raises:
        DataError: the folder has no ledger, or no document has this id or URL.
    """
    rules = read_rules(folder)
    row = _find(folder, document, ("id", "url"))
    if row is None:
        raise DataError(
            f"No document {document!r} in the ledger of {folder}. Ids and URLs stand in {folder / LEDGER}/*.parquet; "
            "records that could not be read are in quarantine.jsonl"
        )
    original = _find(folder, row["duplicate_of"], ("id",)) if row["duplicate_of"] else None
    similarity = None
    if original is not None:
        first, second = (np.frombuffer(found["signature"], np.uint8) for found in (row, original))
        similarity = estimated_similarity(first, second)
    checks = _checks(row, rules["thresholds"].get(row["group"], {}))
    named = {check.reason for check in checks} | _DUPLICATES
    return Story(
        row={name: value for name, value in row.items() if name not in ("hash", "signature")},
        checks=checks,
        other_reasons=tuple(reason for reason in row["reasons"] if reason not in named),
        original=original,
        similarity=similarity,
        choices=rules["choices"],
        from_high_source=bool(is_high_source(pa.array([row["source"]]), rules["choices"]["high_sources"])[0]),
    )


def ledger_files(folder: Path) -> list[Path]:
    """The parts of a corpus's ledger, in order.

    Raises:
        DataError: there is none.
    """
    files = sorted((folder / LEDGER).glob("*.parquet"))
    if not files:
        raise DataError(f"{folder} has no ledger. Give a finished corpus, for example runs/<name>/02-corpus")
    return files


def read_rules(folder: Path) -> dict[str, Any]:
    """Thresholds and choices that a corpus was made with.

    Raises:
        DataError: the folder has no ledger.
    """
    ledger_files(folder)
    rules: dict[str, Any] = read_json(folder / RULES_FILE)
    return rules


def _find(folder: Path, document: str, columns: tuple[str, ...]) -> dict[str, Any] | None:
    """The first row in whose columns this value stands; those of an id before those of a URL."""
    wanted = pa.scalar(document, pa.string())
    for column in columns:
        for path in ledger_files(folder):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    place = pc.index(file.read_row_group(group, columns=[column])[column], wanted).as_py()
                    if place >= 0:
                        row: dict[str, Any] = file.read_row_group(group).slice(place, 1).to_pylist()[0]
                        return row | {"scores": dict(row["scores"])}
    return None


def _checks(row: Mapping[str, Any], thresholds: Mapping[str, float]) -> tuple[Check, ...]:
    checks = []
    for rule in RULES if thresholds else ():
        value = row["scores"][rule.figure]
        for setting, sign in ((rule.minimum, 1), (rule.maximum, -1)):
            if setting:
                # thresholds are compared as the 32-bit numbers that scores are
                is_broken = bool(sign * np.float32(value) < sign * np.float32(thresholds[setting]))
                checks.append(Check(REASONS[rule.reason], rule.figure, value, setting, thresholds[setting], is_broken))
    return tuple(checks)


def render(story: Story) -> str:
    """The story as lines of text."""
    row = story.row
    where = f", {row['url']}" if row["url"] else ""
    licence = f", licence {row['licence']}" if row["licence"] else ""
    lines = [
        row["id"],
        f"  read from   {row['read_from']}{where} (source {row['source']}{licence})",
        f"  repaired    {'yes, characters were changed' if row['repaired'] else 'nothing to repair'}",
        f"  language    {row['language']}, score {row['scores'].get('language', 0):.3f}{_outside(row)}",
        *_language_lines(row["scores"]),
    ]
    lines += [f"  {reason:<20} broken" for reason in story.other_reasons]
    for check in story.checks:
        verdict = "BROKEN" if check.is_broken else "passed"
        lines.append(
            f"  {check.reason:<20} {verdict}  {check.figure} {check.value:.4g}, {check.setting} {check.threshold:.4g}"
        )
    lines += _duplicate_lines(story)
    return "\n".join([*lines, f"  outcome     {_outcome(story)}", f"  lies in     {row['file']}, row {row['row']}"])


def _outside(row: Mapping[str, Any]) -> str:
    return ", which is not one of the corpus's languages" if row["group"] == UNKNOWN else ""


def _language_lines(scores: Mapping[str, float]) -> list[str]:
    shares = {name.removeprefix(LANGUAGE_SHARE): x for name, x in scores.items() if name.startswith(LANGUAGE_SHARE)}
    return [f"  by its lines {', '.join(f'{code} {share:.0%}' for code, share in shares.items())}"] if shares else []


def _duplicate_lines(story: Story) -> list[str]:
    row, original = story.row, story.original
    if original is not None:
        kind = "same text as" if row["reason"] == REASONS[EXACT_DUPLICATE] else "near copy of"
        lengths = f"{row['characters']} characters against {original['characters']}"
        return [
            f"  {kind} {original['id']} (read from {original['read_from']}): estimated similarity "
            f"{story.similarity:.2f}, threshold {story.choices['similarity']:.2f}, {lengths}"
        ]
    others = row["cluster_size"] - 1
    return [f"  stands for {others} duplicate{'s' if others > 1 else ''}"] if others else []


def _outcome(story: Story) -> str:
    row, choices = story.row, story.choices
    if row["reason"]:
        broken = ", ".join(row["reasons"])
        return f"dropped for {row['reason']}" + (f" (all reasons: {broken})" if len(row["reasons"]) > 1 else "")
    if row["file"].startswith(f"{HELD_OUT_FOLDER}/"):
        return f"held out: the hash of its id falls into the share of {choices['held_out_share']:g}"
    if story.from_high_source:
        return f"kept, tier high: its source {row['source']} is one of high_sources"
    place = "among" if row["tier"] == "high" else "not among"
    return f"kept, tier {row['tier']}: quality {row['quality']:.3f}, {place} the best {choices['high_share']:.0%}"
