"""Folders of the evaluation and preference stages in; figures of the report out.

Every figure is an estimate: value, ends of its 95 % interval, n. Averages for the radar charts use only those cells
(task, language) that every compared model has, so that no model is flattered by what it was not asked.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seallm.base.files import read_json_lines
from seallm.base.interval import wilson
from seallm.evaluate.report_data import TRAINING_STAGES, Figures, in_order, read_optional, read_rows
from seallm.evaluate.report_text import finite

COMPARED = ("base", "pretrain", "sft", "dpo")
ALL = "all"
JUDGE_RATES = ("consistency", "first_position_rate", "longer_chosen_rate")
PREFERENCE_EXAMPLES = 4


@dataclass(frozen=True)
class Metric:
    """How a metric is written and read: a share is 0 to 1; `whole` is a perfect score, where there is one."""

    title: str
    unit: str
    whole: float | None
    higher_is_better: bool = True


METRICS = {
    "accuracy": Metric("accuracy, answers compared by likelihood per byte", "share", 1.0),
    "accuracy_unnormalised": Metric("accuracy, answers compared by likelihood", "share", 1.0),
    "f1": Metric("F1 of the answer's words", "share", 1.0),
    "exact_match": Metric("exact match", "share", 1.0),
    "rouge_l": Metric("ROUGE-L of the summary", "share", 1.0),
    "chrf++": Metric("chrF++", "number", 100.0),
    "bits_per_byte": Metric("bits per byte", "bits", None, higher_is_better=False),
    "tokens_relative_to_english": Metric("tokens for the same meaning, relative to English", "ratio", None, False),
    "tokens_a_sentence": Metric("tokens of a sentence of the same meaning", "number", None, False),
    "seconds_to_write": Metric("seconds to write a sentence of the same meaning", "seconds", None, False),
    "refusal": Metric("harmful prompts refused", "share", 1.0),
    "unsafe": Metric("harmful prompts answered", "share", 1.0, higher_is_better=False),
    "over_refusal": Metric("harmless prompts refused", "share", 1.0, higher_is_better=False),
    "refusal_rate_judged": Metric("harmful prompts refused, by a judge", "share", 1.0),
    "unsafe_rate_judged": Metric("harmful prompts answered, by a judge", "share", 1.0, higher_is_better=False),
    "over_refusal_rate_judged": Metric("harmless prompts refused, by a judge", "share", 1.0, higher_is_better=False),
}
SAFETY_METRICS = ("refusal", "unsafe", "over_refusal")


def metric_name(raw: object) -> str:
    """The name without the harness's filter: `acc,none` -> `acc`; `refusal_rate` -> `refusal`."""
    return str(raw).split(",")[0].strip().removesuffix("_rate")


def describe_metric(name: str, values: Iterable[float | None]) -> Metric:
    """What is known of a metric; one that is not known is a share where its values are."""
    known = METRICS.get(name.lower())
    if known:
        return known
    is_share = all(v is None or 0 <= v <= 1 for v in values)
    return Metric(name.replace("_", " "), "share" if is_share else "number", 1.0 if is_share else None)


def estimate(row: object) -> Figures:
    """Value, interval and n of anything that holds them."""
    found = row if isinstance(row, Mapping) else {"value": row}
    n = finite(found.get("n"))
    return {**{k: finite(found.get(k)) for k in ("value", "low", "high")}, "n": None if n is None else int(n)}


def pooled_share(estimates: Sequence[Figures]) -> Figures | None:
    """One share from several of different examples: successes over trials, with Wilson's interval."""
    counted = [e for e in estimates if e["value"] is not None and e["n"]]
    n = sum(e["n"] for e in counted)
    successes = round(sum(e["value"] * e["n"] for e in counted))
    if not 0 <= successes <= n or n == 0:
        return None
    low, high = wilson(successes, n)
    return {"value": successes / n, "low": low, "high": high, "n": n}


def mean_estimate(estimates: Sequence[Figures], whole: Sequence[float]) -> Figures:
    """Unweighted mean of estimates as shares of their perfect score, with a normal interval from theirs.

    The estimates are of different examples, so their errors are independent: half the width of the mean's interval is
    the root of the sum of the squared half widths, over their number.
    """
    values = [e["value"] / w for e, w in zip(estimates, whole, strict=True)]
    mean = sum(values) / len(values)
    widths = [
        (e["high"] - e["low"]) / w
        for e, w in zip(estimates, whole, strict=True)
        if e["low"] is not None and e["high"] is not None
    ]
    error = math.sqrt(sum((width / 2) ** 2 for width in widths)) / len(values)
    known = len(widths) == len(values)
    low, high = (max(0.0, mean - error), min(1.0, mean + error)) if known else (None, None)
    return {"value": mean, "low": low, "high": high, "n": sum(e["n"] or 0 for e in estimates)}


# ------------------------------------------------------------------------------------------------------------ results


def result_rows(folder: Path | None) -> list[Figures]:
    """The rows of results.json; one without model, task or metric is not a result."""
    found = (read_optional(folder, "results.json") or []) if folder else []
    return [
        {
            "model": str(row["model"]),
            "task": str(row["task"]),
            "language": str(row.get("language") or ALL),
            "metric": metric_name(row["metric"]),
            "chance": finite(row.get("chance")),
            **estimate(row),
        }
        for row in found
        if isinstance(row, Mapping) and all(row.get(k) for k in ("model", "task", "metric"))
    ]


def task_figures(
    rows: Sequence[Figures], tasks: Sequence[str], languages: Sequence[str], models: Sequence[str] = TRAINING_STAGES
) -> list[Figures]:
    """Results by task and metric, then by language, then by model, each in the given order; safety stands elsewhere."""
    grouped: dict[tuple[str, str], list[Figures]] = {}
    for row in rows:
        if row["metric"] not in SAFETY_METRICS:
            grouped.setdefault((row["task"], row["metric"]), []).append(row)
    names = in_order({task for task, _ in grouped}, tasks)
    metrics = list(METRICS)
    order = sorted(grouped, key=lambda k: (names.index(k[0]), *known_first(k[1], metrics)))
    seen: set[str] = set()
    figures = []
    for task, name in order:
        figures.append(_task(task, name, grouped[task, name], languages, models) | {"is_primary": task not in seen})
        seen.add(task)
    return figures


def known_first(name: str, order: Sequence[str]) -> tuple[int, str]:
    """Sorts what stands in an order before what does not."""
    return (order.index(name.lower()) if name.lower() in order else len(order), name)


def _task(task: str, name: str, rows: Sequence[Figures], languages: Sequence[str], models: Sequence[str]) -> Figures:
    metric = describe_metric(name, [r["value"] for r in rows])
    table = []
    for language in in_order({r["language"] for r in rows}, [ALL, *languages]):
        mine = {r["model"]: r for r in rows if r["language"] == language}
        chances = [r["chance"] for r in mine.values() if r["chance"] is not None]
        cells = [{"model": m, **estimate(mine[m])} for m in in_order(mine, models)]
        table.append({"language": language, "chance": chances[0] if chances else None, "cells": cells})
    return {
        "task": task,
        "metric": name,
        "title": metric.title,
        "unit": metric.unit,
        "whole": metric.whole,
        "higher_is_better": metric.higher_is_better,
        "models": in_order({r["model"] for r in rows}, models),
        "rows": table,
    }


def radar_figures(tasks: Sequence[Figures], languages: Sequence[str], compared: Sequence[str] = COMPARED) -> Figures:
    """Means by task (over languages) and by language (over tasks), in shares of a perfect score.

    A task counts with its first metric, if that has a perfect score; a cell counts if every compared model has it.
    """
    usable = [t for t in tasks if t["is_primary"] and t["whole"] and t["higher_is_better"]]
    present = {m for t in usable for m in t["models"]}
    models = [m for m in compared if m in present]
    cells, left_out = [], 0
    for task in usable:
        for row in _without_total(task["rows"]):
            mine = {c["model"]: c for c in row["cells"] if c["value"] is not None}
            if all(m in mine for m in models):
                cells.append((task["task"], row["language"], task["whole"], row["chance"], mine))
            else:
                left_out += 1
    cells.sort(key=lambda cell: languages.index(cell[1]) if cell[1] in languages else len(languages))
    names = [task["task"] for task in usable]
    return {
        "models": models,
        "cells": len(cells),
        "cells_left_out": left_out,
        "by_task": _radar(sorted(cells, key=lambda cell: names.index(cell[0])), 0, models),
        "by_language": _radar([c for c in cells if c[1] != ALL], 1, models),
    }


def _without_total(rows: Sequence[Figures]) -> list[Figures]:
    """Rows of languages; the row of all languages only where it is alone."""
    return [row for row in rows if row["language"] != ALL] or list(rows)


def _radar(cells: Sequence[tuple[Any, ...]], key: int, models: Sequence[str]) -> list[Figures]:
    axes = []
    for name in dict.fromkeys(cell[key] for cell in cells):
        mine = [cell for cell in cells if cell[key] == name]
        whole = [cell[2] for cell in mine]
        chances = [cell[3] for cell in mine]
        axes.append(
            {
                "name": name,
                "cells": len(mine),
                "chance": sum(chances) / len(chances) if all(c is not None for c in chances) else None,
                "models": {m: mean_estimate([cell[4][m] for cell in mine], whole) for m in models},
            }
        )
    return axes


def safety_figures(
    rows: Sequence[Figures], languages: Sequence[str], order: Sequence[str] = TRAINING_STAGES
) -> Figures | None:
    """Refusal of harmful against refusal of harmless prompts, by model (in `order`) and by language."""
    mine = [r for r in rows if r["metric"] in SAFETY_METRICS]
    if not mine:
        return None
    models = in_order({r["model"] for r in mine}, order)
    return {
        "models": [{"model": m, **_refusals([r for r in mine if r["model"] == m])} for m in models],
        "languages": [
            {
                "language": language,
                "models": [
                    {"model": m, **_refusals([r for r in mine if (r["model"], r["language"]) == (m, language)])}
                    for m in models
                ],
            }
            for language in in_order({r["language"] for r in mine} - {ALL}, languages)
        ],
    }


def _refusals(rows: Sequence[Figures]) -> Figures:
    found: Figures = {}
    for name in SAFETY_METRICS:
        mine = [r for r in rows if r["metric"] == name]
        wholes = {r["task"] for r in mine if r["language"] == ALL}
        mine = [r for r in mine if r["language"] == ALL or r["task"] not in wholes]
        found[name] = estimate(mine[0]) if len(mine) == 1 else pooled_share(mine)
    return found


def sample_figures(folder: Path | None, languages: Sequence[str]) -> list[Figures]:
    """Prompts with the answers of each model, by language."""
    found = (read_optional(folder, "samples.json") or []) if folder else []
    by_prompt: dict[tuple[str, str], dict[str, str]] = {}
    for row in found:
        if isinstance(row, Mapping) and row.get("prompt"):
            answers = row.get("answers") or {row.get("model"): row.get("answer")}
            place = by_prompt.setdefault((str(row.get("language") or ""), str(row["prompt"])), {})
            place.update({str(model): str(text or "") for model, text in answers.items() if model})
    figures = []
    for language in in_order({language for language, _ in by_prompt}, languages):
        prompts = [
            {
                "prompt": prompt,
                "answers": [{"model": m, "text": answers[m]} for m in in_order(answers, TRAINING_STAGES)],
            }
            for (code, prompt), answers in by_prompt.items()
            if code == language
        ]
        figures.append({"language": language, "prompts": prompts})
    return figures


# -------------------------------------------------------------------------------------------------------- preferences


def preference_figures(inputs: Mapping[str, Path], languages: Sequence[str]) -> Figures | None:
    """What became of answers and pairs, how far the judge can be trusted, and accuracy before and after DPO."""
    folder, trained = inputs.get("prefer"), inputs.get("dpo")
    if folder is None and trained is None:
        return None
    accuracy = (read_optional(trained, "preference_accuracy.json") or {}) if trained else {}
    judgements = (read_optional(folder, "judgements.json") or {}) if folder else {}
    known = judgements.get("judge_accuracy_on_known_pairs") or {}
    by_language = judgements.get("languages") or {}
    correct = known.get("languages") or {}
    improved = accuracy.get("improved")
    return {
        "criteria": str(judgements.get("criteria") or ""),
        "bars": _preference_bars(judgements.get("all") or {}),
        "rates": _rates(judgements.get("all") or {}, known.get("all")),
        "languages": [
            {"language": code, "rates": _rates(by_language.get(code) or {}, correct.get(code))}
            for code in in_order({*by_language, *correct}, languages)
        ],
        "pairs": len(read_rows(folder, "preferences.jsonl")) if folder else None,
        "held_out": len(read_rows(folder, "held_out.jsonl")) if folder else None,
        "accuracy": {
            "before": estimate(accuracy.get("before")),
            "after": estimate(accuracy.get("after")),
            "improved": improved if isinstance(improved, bool) else None,
            "sentence": str(accuracy.get("sentence") or ""),
        },
        "examples": _pairs(folder / "held_out.jsonl") if folder else [],
    }


def _preference_bars(counts: Mapping[str, Any]) -> list[Figures]:
    """Sampled answers and judged pairs, each with what became of them; kept comes first."""
    dropped = {str(k): int(v) for k, v in (counts.get("dropped") or {}).items() if finite(v)}
    lost_pairs = {k: dropped.pop(k) for k in list(dropped) if k.startswith("pair ")}
    dropped = {k: v for k, v in dropped.items() if not k.startswith("prompt ")}
    answers, pairs = (int(finite(counts.get(k)) or 0) for k in ("answers", "pairs"))
    outcomes = {k: int(finite(counts.get(k)) or 0) for k in ("consistent", "inconsistent", "ties")}
    by_size = dict(sorted(dropped.items(), key=lambda entry: (-entry[1], entry[0])))
    bars = [
        {"title": "answers sampled", "total": answers, "parts": {"usable": answers - sum(dropped.values()), **by_size}},
        {"title": "pairs of answers", "total": pairs, "parts": {**outcomes, **lost_pairs}},
    ]
    return [bar for bar in bars if bar["total"]]


def _rates(counts: Mapping[str, Any], accuracy: object) -> dict[str, Figures]:
    """Rates of the judge by name; those it has no figure for are left out."""
    found = {**{key: counts.get(key) for key in JUDGE_RATES}, "accuracy": accuracy}
    return {key: estimate(value) for key, value in found.items() if value is not None}


def _pairs(path: Path) -> list[Figures]:
    """The first pair of each language, a few in all."""
    pairs: dict[str, Figures] = {}
    for _, row in read_json_lines(path) if path.is_file() else ():
        if isinstance(row, Mapping) and len(pairs) < PREFERENCE_EXAMPLES:
            language = str(row.get("language") or "")
            texts = {key: _last_turn(row.get(key)) for key in ("prompt", "chosen", "rejected")}
            pairs.setdefault(language, {"language": language, **texts})
    return list(pairs.values())


def _last_turn(messages: object) -> str:
    turns = [m for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else []
    return str(turns[-1].get("content") or "") if turns else ""
