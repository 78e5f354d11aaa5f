"""The folder of the stage `instructions` in; what was trained on, by language, category, source and licence, out.

For the report: tables of conversations and of what was dropped, and the loss of what was held out of them. For the
model card: where the conversations and preferences of each stage come from, and under which licences.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seallm.evaluate.report_data import Figures, in_order, read_optional, read_rows, whole_number
from seallm.evaluate.report_results import ALL
from seallm.evaluate.report_text import finite

PARTS = ("hybrid", "sft", "held_out", "left_over")
MOST_SOURCES = 30  # rows of the report's table for a language; the rest is summed
MOST_CARD_SOURCES = 12
UNSTATED = "not stated"


def instruction_figures(folder: Path | None, languages: Sequence[str]) -> Figures | None:
    """What the report shows; None where the run has no such stage.

    `rows` has one for each language: conversations of each part, by category, and by source and category; and for each
    reason what was dropped. `kept` and `all` sum them.
    """
    if folder is None:
        return None
    cells: list[dict[str, Any]] = read_optional(folder, "mix.json") or []
    checks = read_optional(folder, "checks.json") or {}
    dropped = checks.get("languages") or {}
    found = in_order({*(cell["language"] for cell in cells), *dropped}, languages)
    rows = [_language_row(code, cells, dropped.get(code) or {}) for code in found]
    return {
        "rows": rows,
        "total": _language_row(ALL, cells, _summed(dropped)),
        "categories": sorted({cell["category"] for cell in cells}),
        "reasons": [reason for reason in checks.get("dropped") or {} if reason != "language"],
        "other_languages": sum((checks.get("other_languages") or {}).values()),
        "quarantined": checks.get("quarantined") or 0,
        "preferences": checks.get("checked_preferences") or {},
    }


def held_out_loss(folder: Path | None, languages: Sequence[str]) -> list[Figures]:
    """Rows {language, n, before, lowest, after}: loss in nats a token of fine-tuning's held-out answers, `all` first.

    Args:
        folder: of the stage `sft`; None where the run has none.
        languages: order of the rows.
    """
    steps: dict[str, dict[int, dict[str, Any]]] = {}
    for row in read_rows(folder, "held_out.jsonl") if folder else ():
        steps.setdefault(row["language"], {})[row["step"]] = row
    found = []
    for language in in_order(steps, (ALL, *languages)):
        own = steps[language]
        losses = {step: finite(own[step].get("loss")) for step in sorted(own)}
        known = [loss for loss in losses.values() if loss is not None]
        first, last = min(losses), max(losses)
        lowest = min(known) if known else None
        ends = {"before": losses[first], "lowest": lowest, "after": losses[last]}
        found.append({"language": language, "n": whole_number(own[last].get("n")), **ends})
    return found


def _language_row(code: str, cells: Sequence[dict[str, Any]], dropped: dict[str, int]) -> Figures:
    own = [cell for cell in cells if code in (ALL, cell["language"])]
    categories: Counter[str] = Counter()
    sources: dict[str, Counter[str]] = {}
    for cell in own:
        categories[cell["category"]] += cell["all"]
        sources.setdefault(cell.get("source") or UNSTATED, Counter())[cell["category"]] += cell["all"]
    return {
        "language": code,
        "all": sum(cell["all"] for cell in own),
        "parts": {part: sum(cell[part] for cell in own) for part in PARTS},
        "categories": dict(sorted(categories.items())),
        "sources": [
            {"source": name, "all": counts.total(), "categories": dict(counts)}
            for name, counts in _largest(sources, MOST_SOURCES)
        ],
        "dropped": {reason: number for reason, number in dropped.items() if reason != "kept"},
    }


def _summed(by_language: dict[str, dict[str, int]]) -> dict[str, int]:
    return dict(sum((Counter(row) for row in by_language.values()), Counter[str]()))


def _largest(counts: dict[str, Counter[str]], most: int) -> list[tuple[str, Counter[str]]]:
    """The largest by their sums; where there are more than `most`, the rest as one."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    rest = ordered[most:]
    if not rest:
        return ordered
    return [*ordered[:most], (f"{len(rest):,} others", sum((own for _, own in rest), Counter[str]()))]


def instruction_sources(folder: Path | None, stages: Sequence[str]) -> list[Figures]:
    """Rows {stage, place, conversations, licences} of the model card.

    Args:
        folder: of the stage `instructions`; None where the run has none.
        stages: those of `hybrid`, `sft` and `dpo` that took what is there.
    """
    if folder is None:
        return []
    found: list[Figures] = []
    cells: list[dict[str, Any]] = read_optional(folder, "mix.json") or []
    for stage in stages:
        sources: dict[str, Counter[str]] = {}
        if stage == "dpo":
            for row in read_rows(folder, "preferences.jsonl"):
                source, licence = (str(row.get(name) or UNSTATED) for name in ("source", "licence"))
                sources.setdefault(source, Counter())[licence] += 1
        for cell in cells if stage != "dpo" else ():
            if cell[stage]:
                sources.setdefault(cell.get("source") or UNSTATED, Counter())[cell.get("licence") or UNSTATED] += cell[
                    stage
                ]
        found += [
            {"stage": stage, "place": name, "conversations": own.total(), "licences": sorted(own.items())}
            for name, own in _largest(sources, MOST_CARD_SOURCES)
        ]
    return found
