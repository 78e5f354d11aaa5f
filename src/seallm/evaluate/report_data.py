"""Folders of the corpus, vocabulary and training stages in; plain figures of the report out.

Everything here is JSON-able and depends on the stages' results alone, never on a machine: the same figures become
report.json and the page. A stage that is not part of the run gives None. A value that is missing or not finite is None
and is drawn as nothing, rather than stopping a report about hours of work.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from seallm.base.drop_reasons import is_withheld
from seallm.base.errors import DataError
from seallm.base.files import read_json, read_json_lines
from seallm.evaluate.report_text import excerpt, finite

KEPT = ("kept_high", "kept_low", "held_out")
TRAINING_STAGES = ("base", "pretrain", "hybrid", "sft", "dpo")
UNACCOUNTED = "unaccounted"
ALL_TIERS = "all"  # rows of bits per byte that are not of one tier
SAMPLES_PER_REASON = 3
CURVE_POINTS = 240
SMOOTHING_SHARE = 0.05  # width of the moving mean, as a share of the steps

Figures = dict[str, Any]


def read_optional(folder: Path, name: str) -> Any:
    """One JSON file of a stage; None where the stage wrote none."""
    path = folder / name
    return read_json(path) if path.is_file() else None


def read_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL file of a stage; none where the stage wrote none.

    Raises:
        DataError: a line is not a JSON object; stages write whole files, so this one was damaged later.
    """
    path = folder / name
    rows = []
    for _, row in read_json_lines(path) if path.is_file() else ():
        if isinstance(row, DataError):
            raise DataError(f"{row}. Delete {path.parent} and run the recipe again")
        rows.append(row)
    return rows


def in_order(found: Iterable[str], order: Sequence[str]) -> list[str]:
    """Names in a given order; those it does not know come after, sorted."""
    names = set(found)
    return [n for n in dict.fromkeys(order) if n in names] + sorted(names - set(order))


# ------------------------------------------------------------------------------------------------------------- corpus


def corpus_figures(folder: Path | None, languages: Sequence[str]) -> Figures | None:
    """The funnel by language, and a few dropped documents for each reason.

    `parts` holds what became of the documents that were read, in number of documents; what the stage does not account
    for is shown as `unaccounted`, so that the parts always sum to `read`.
    """
    if folder is None:
        return None
    funnel: dict[str, dict[str, Any]] = read_optional(folder, "funnel.json") or {}
    rows = [_funnel_row(language, funnel[language] or {}) for language in in_order(funnel, languages)]
    rows = [row for row in rows if row["read"] or row["language"] in languages]
    totals: Counter[str] = Counter()
    for row in rows:
        totals.update(row["parts"])
    reasons = sorted((r for r in totals if r not in KEPT), key=lambda r: (-totals[r], r))
    whole = _funnel_row("all", {**totals, "read": sum(row["read"] for row in rows)})
    samples = _dropped_samples(folder / "dropped", languages)
    return {
        "rows": rows,
        "total": whole,
        "reasons": reasons,
        "samples": [{"reason": r, "documents": samples[r]} for r in in_order(samples, reasons)],
        "withheld": [r for r in reasons if is_withheld(r)],
        "quarantined": len(read_rows(folder, "quarantine.jsonl")),
    }


def _funnel_row(language: str, counts: Mapping[str, Any]) -> Figures:
    parts = {str(k): int(v) for k, v in counts.items() if k != "read" and finite(v)}
    total = sum(parts.values())
    read = int(finite(counts.get("read")) or total)
    if read > total:
        parts[UNACCOUNTED] = read - total
    kept = sum(parts.get(k, 0) for k in KEPT)
    kept_share = kept / read if read else None
    return {"language": language, "read": read, "parts": parts, "kept": kept, "kept_share": kept_share}


def _dropped_samples(folder: Path, languages: Sequence[str]) -> dict[str, list[Figures]]:
    """Up to three documents a reason, of different languages where there are any, in the files' order."""
    files = {p.stem: p for p in folder.glob("*.parquet")} if folder.is_dir() else {}
    found: dict[str, list[list[Figures]]] = {}
    for language in in_order(files, languages):
        for reason, documents in _first_of_each_reason(files[language]).items():
            found.setdefault(reason, []).append(documents)
    return {reason: _round_robin(lists)[:SAMPLES_PER_REASON] for reason, lists in found.items()}


def _round_robin(lists: Sequence[list[Figures]]) -> list[Figures]:
    longest = max(len(entries) for entries in lists)
    return [entries[k] for k in range(longest) for entries in lists if k < len(entries)]


def _first_of_each_reason(path: Path) -> dict[str, list[Figures]]:
    """Reads the column of reasons, and the texts of those row groups alone that hold a wanted document."""
    import pyarrow.parquet as parquet

    found: dict[str, list[Figures]] = {}
    with parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            reasons = file.read_row_group(group, columns=["reason"]).column(0).to_pylist()
            wanted = []
            for row, reason in enumerate(reasons):
                if reason and not is_withheld(reason) and len(found.setdefault(reason, [])) < SAMPLES_PER_REASON:
                    found[reason].append({})  # filled below, once its text is read
                    wanted.append((row, reason, len(found[reason]) - 1))
            if wanted:
                columns = file.read_row_group(group, columns=["id", "text", "language", "source"])
                for row, reason, place in wanted:
                    document = columns.slice(row, 1).to_pylist()[0]
                    found[reason][place] = {
                        "id": document["id"] or "",
                        "language": document["language"] or path.stem,
                        "source": document["source"] or "",
                        "text": excerpt(document["text"] or ""),
                    }
    return found


# --------------------------------------------------------------------------------------------------------- vocabulary


def vocab_figures(folder: Path | None, languages: Sequence[str]) -> Figures | None:
    """Tokens for the same meaning by language, before and after, relative to the reference."""
    if folder is None:
        return None
    found = read_optional(folder, "compression.json") or {}
    before, after = found.get("before") or {}, found.get("after") or {}
    added = (read_optional(folder, "tokens_added.json") or {}).get("by_language") or {}
    rows = []
    for language in in_order({*before, *after}, languages):
        old, new = finite(before.get(language)), finite(after.get(language))
        rows.append(
            {
                "language": language,
                "before": old,
                "after": new,
                "gain": old / new if old and new else None,
                "tokens_added": whole_number(added.get(language)),
            }
        )
    certificate = read_optional(folder, "certificate.json") or {}
    return {
        "reference": str(found.get("reference") or "English with the base tokenizer"),
        "sentences": whole_number(found.get("sentences")),
        "rows": rows,
        "tokens_before": whole_number(certificate.get("vocabulary_before")),
        "tokens_after": whole_number(certificate.get("vocabulary_after")),
        "certificate": _checks(certificate.get("checks")),
    }


def _checks(checks: object) -> list[Figures]:
    """Checks of the extended tokenizer: claim, its figures, and an example where it does not hold."""
    return [
        {
            "claim": str(check["claim"]),
            "passed": check.get("passed") is True,
            "figures": {str(k): v for k, v in (check.get("figures") or {}).items() if isinstance(v, int | float | str)},
            "offence": str(check.get("offence") or ""),
        }
        for check in (checks if isinstance(checks, list) else ())
        if isinstance(check, Mapping) and check.get("claim")
    ]


def whole_number(value: object) -> int | None:
    """The number as an integer, or None where there is none."""
    number = finite(value)
    return None if number is None else int(number)


# ----------------------------------------------------------------------------------------------------------- training


def training_figures(inputs: Mapping[str, Path]) -> list[Figures]:
    """Loss over steps of every training stage that wrote metrics."""
    found = []
    for stage in TRAINING_STAGES:
        rows = read_rows(inputs[stage], "metrics.jsonl") if stage in inputs else []
        if rows:
            found.append({"stage": stage, **loss_curve(rows)})
    return found


def loss_curve(rows: Sequence[Mapping[str, Any]]) -> Figures:
    """Mean losses of at most 240 equal spans of steps, and a moving mean of them over a twentieth of the steps.

    Steps that the recipe skips are not drawn (`left_out`), nor are those without a finite loss (`not_finite`).
    `first` and `last` are the ends of the moving mean; `parts` names the mixtures with their first and last step.
    """
    steps = {int(r["step"]): r for r in rows if finite(r.get("step")) is not None}  # a step told twice: the last counts
    points = [(step, finite(steps[step].get("loss"))) for step in sorted(steps) if not steps[step].get("left_out")]
    curve = [(step, loss) for step, loss in points if loss is not None]
    width = max(1, round(len(curve) * SMOOTHING_SHARE))
    smooth = _bucket_means(_moving_mean(curve, width))
    parts: dict[str, list[int]] = {}
    for step in sorted(steps):
        name = steps[step].get("mixture")
        if isinstance(name, str):
            parts.setdefault(name, [step, step])[1] = step
    return {
        "steps": len(steps),
        "tokens": _tokens([finite(steps[s].get("tokens")) for s in sorted(steps)]),
        "not_finite": len(points) - len(curve),
        "left_out": len(steps) - len(points),
        "first": smooth[0][1] if smooth else None,
        "last": smooth[-1][1] if smooth else None,
        "smoothed_over_steps": width,
        "curve": _bucket_means(curve),
        "smooth": smooth,
        "parts": [{"name": name, "first_step": a, "last_step": b} for name, (a, b) in parts.items()],
    }


def _tokens(values: Sequence[float | None]) -> int | None:
    """Tokens trained on: a running total's last value, or the sum of the steps' tokens."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    is_running = len(known) > 1 and all(a < b for a, b in pairwise(known))
    return int(known[-1] if is_running else sum(known))


def _moving_mean(curve: Sequence[tuple[int, float]], width: int) -> list[tuple[int, float]]:
    sums = [0.0]
    for _, loss in curve:
        sums.append(sums[-1] + loss)
    half, last = width // 2, len(curve)
    spans = [(max(0, i - half), min(last, i + half + 1)) for i in range(last)]
    return [(curve[i][0], (sums[b] - sums[a]) / (b - a)) for i, (a, b) in enumerate(spans)]


def _bucket_means(curve: Sequence[tuple[int, float]]) -> list[list[float]]:
    size = math.ceil(len(curve) / CURVE_POINTS) or 1
    buckets = [curve[i : i + size] for i in range(0, len(curve), size)]
    return [[round(sum(x) / len(x), 6) for x in zip(*bucket, strict=True)] for bucket in buckets]


def bits_per_byte_figures(inputs: Mapping[str, Path], languages: Sequence[str]) -> list[Figures]:
    """Held-out bits per byte by language: the base model as it was, then step by step of pre-training.

    Bits per byte do not depend on a tokenizer, so that the base model with its own tokenizer can be compared.
    """
    rows = read_rows(inputs["pretrain"], "bits_per_byte.jsonl") if "pretrain" in inputs else []
    by_language: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        if isinstance(row.get("language"), str):
            own = by_language.setdefault(row["language"], {ALL_TIERS: []})
            own.setdefault(row.get("tier", ALL_TIERS), []).append(row)
    found = []
    for language in in_order(by_language, languages):
        tiers = by_language[language]
        parts = [{"tier": tier, **_bits_row(tiers[tier])} for tier in sorted(tiers.keys() - {ALL_TIERS})]
        found.append({"language": language, **_bits_row(tiers[ALL_TIERS]), "tiers": parts})
    return found


def _bits_row(rows: Sequence[Mapping[str, Any]]) -> Figures:
    """`full` rows measure all documents; those between may measure a part, so n is that of the last full one."""
    steps = {int(r["step"]): r for r in rows if finite(r.get("step")) is not None}
    measured = [(step, finite(steps[step].get("bits_per_byte")), steps[step]) for step in sorted(steps)]
    known = [(step, value, row) for step, value, row in measured if value is not None]
    whole = [row for _, _, row in known if row.get("full", True)]
    base = [finite(r.get("bits_per_byte")) for r in rows if r.get("step") == "base"]
    return {
        "base": base[-1] if base else None,
        "start": known[0][1] if known and known[0][0] == 0 else None,
        "final": finite(whole[-1].get("bits_per_byte")) if whole else None,
        "curve": [[step, value] for step, value, _ in known],
        "documents": whole_number(whole[-1].get("documents")) if whole else None,
        "bytes": whole_number(whole[-1].get("bytes")) if whole else None,
        "partly_sampled": len(whole) < len(known),
    }
