"""A run, a preference stage or a file of pairs in; figures of `report.json`, and `report.html`, out.

What can be told before any compute goes into DPO: how often the judge agrees with itself, what it likes beside the
better answer (a position, length), whether answers drift into another language, how it does on pairs that are known or
that people judged, and the pairs to look at. A file of pairs made elsewhere has no judge: of it lengths and languages
are told.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seallm.answer_language import AnswerLanguage
from seallm.base.errors import DataError
from seallm.base.files import files_under, read_json, write_json, write_text
from seallm.base.records import Preference, read_preferences
from seallm.languages import known_languages
from seallm.prefer.figures import CHOSEN, rate
from seallm.prefer.judging import GOLD, KNOWN, OWN
from seallm.prefer.report_page import render
from seallm.prefer.sampling import rows_of

PAIRS, JUDGEMENTS = "pairs.jsonl", "judgements.json"
EXAMPLES = 3  # pairs shown of each sort
BINS = 24
Row = Mapping[str, Any]
Figures = dict[str, Any]


def make_report(place: Path, out: Path | None, gold: Path | None) -> tuple[Figures, Path]:
    """Read what a place holds and write `report.json` and `report.html`.

    Args:
        place: a run, a preference stage of one (finished or not), or a file or folder of preferences.
        out: folder to write to; absent: `report` in the stage's folder, or beside the file.
        gold: preferences by people; those of them that the judge was asked about are compared with it.

    Returns:
        The figures, and the folder.

    Raises:
        DataError: there is nothing to report on, or no row of `gold` can be read.
    """
    stages = find_stages(place)
    if stages:
        figures: Figures = {"name": place.resolve().name, "rounds": [round_figures(stage) for stage in stages]}
        if gold is not None:
            figures["agreement"] = agreement(_read(gold), [r for s in stages for r in rows_of(s / PAIRS)])
        home = place if len(stages) > 1 or place.resolve() != stages[0].resolve() else stages[0]
    else:
        figures = {"name": place.resolve().name, "pairs": pair_figures(_read(place))}
        home = place if place.is_dir() else place.parent
    folder = out or home / "preference-report"
    write_json(folder / "report.json", figures)
    write_text(folder / "report.html", render(figures))
    return figures, folder


def find_stages(place: Path) -> list[Path]:
    """The preference stages of a place, in the order of their rounds; a stage under way where it is not finished."""
    if (place / JUDGEMENTS).is_file():
        return [place]
    found: dict[int, Path] = {}
    for path in sorted(place.glob("*-prefer*")) if place.is_dir() else ():
        number = path.name.removesuffix(".partial").partition("-prefer")[2]
        if (path / JUDGEMENTS).is_file() and (number.isdigit() or not number):
            found.setdefault(int(number or 1), path)  # the finished one comes first
    return [found[number] for number in sorted(found)]


def _read(place: Path) -> list[Preference]:
    files = files_under(place)
    good: list[Preference] = []
    bad: list[str] = []
    for path in files:
        if path.suffix in (".jsonl", ".parquet", ".gz", ".zst"):
            found, broken = read_preferences(path)
            good += found
            bad += broken
    if not good:
        raise DataError(
            f"{place} holds no usable pair ({len(files)} files, {len(bad)} bad rows"
            f"{', the first: ' + bad[0] if bad else ''}). Expected a run or stage with {JUDGEMENTS}, or rows with "
            "prompt, chosen and rejected"
        )
    return good


def round_figures(stage: Path) -> Figures:
    """What `judgements.json` has, with margins, accuracy by margin, and the pairs to look at."""
    figures: Figures = read_json(stage / JUDGEMENTS)
    rows = rows_of(stage / PAIRS)
    own = [row for row in rows if row["kind"] == OWN and row["margin"] is not None]
    known = [row for row in rows if row["kind"] == KNOWN and row["margin"] is not None]
    return {
        "stage": stage.name.removesuffix(".partial"),
        **figures,
        "margins": histogram([abs(row["margin"]) for row in own]),
        "accuracy_by_margin": accuracy_by_margin(known),
        "look_at": look_at(rows, figures["least_margin"]),
    }


def histogram(values: Sequence[float]) -> Figures:
    """Counts of values in equal bins from 0 to their 99th percentile; what is beyond is in the last one."""
    if not values:
        return {"high": 1.0, "counts": [0] * BINS}
    high = sorted(values)[min(len(values) - 1, round(0.99 * (len(values) - 1)))] or 1.0
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(BINS * value / high))] += 1
    return {"high": round(high, 6), "counts": counts}


def accuracy_by_margin(known: Sequence[Row], steps: int = 10) -> list[Figures]:
    """How often the judge is right on the known pairs with at least a margin, for margins that part them evenly."""
    ordered = sorted(known, key=lambda row: abs(row["margin"]))
    steps = min(steps, len(ordered))
    found = []
    for rest in (ordered[step * len(ordered) // steps :] for step in range(steps)):
        right = rate(sum(row["margin"] > 0 for row in rest), len(rest))
        found.append({"least_margin": round(abs(rest[0]["margin"]), 6), "accuracy": right})
    return found


def look_at(rows: Sequence[Row], least_margin: float) -> dict[str, list[Figures]]:
    """A few pairs of each sort that tell most about the judge."""
    own = [row for row in rows if row["kind"] == OWN and row["margin"] is not None]
    kept = [row for row in own if row["outcome"] in CHOSEN]
    wrong = [row for row in rows if row["kind"] in (KNOWN, GOLD) and (row["margin"] or 0) < 0]
    sorts: dict[str, Iterable[Row]] = {
        "wrong on known pairs, and sure of it": sorted(wrong, key=lambda r: r["margin"]),
        "surest of all": sorted(kept, key=lambda r: -abs(r["margin"])),
        "just kept": sorted(kept, key=lambda r: abs(r["margin"]) - least_margin),
        "far longer answer chosen": sorted(kept, key=lambda r: -_length_ratio(r)),
        "follows the position": sorted(
            (row for row in own if row["outcome"] == "inconsistent"), key=lambda r: -abs(r["margin"])
        ),
    }
    found = {title: [_shown(row) for row in list(chosen)[:EXAMPLES]] for title, chosen in sorts.items()}
    return {title: pairs for title, pairs in found.items() if pairs}


def _length_ratio(row: Row) -> float:
    chosen, rejected = (row["first"], row["second"]) if row["outcome"] == "first" else (row["second"], row["first"])
    return len(chosen) / max(1, len(rejected))


def _shown(row: Row) -> Figures:
    """Question, the answer the judge likes better, the other, and by how much."""
    likes_first = row["margin"] >= 0
    better, worse = (row["first"], row["second"]) if likes_first else (row["second"], row["first"])
    shown = {"language": row["language"], "question": row["question"], "better": better, "worse": worse}
    return {**shown, "margin": round(abs(row["margin"]), 3), "kind": row["kind"], "reason": row.get("reason", "")}


def agreement(gold: Sequence[Preference], rows: Sequence[Row]) -> Figures:
    """How often the judge likes the answer better that people do, on pairs that both were asked about."""
    judged: dict[tuple[str, frozenset[str]], Row] = {
        (row["question"], frozenset((row["first"], row["second"]))): row for row in rows if row["margin"] is not None
    }
    hits: dict[str, list[bool]] = defaultdict(list)
    kept: list[bool] = []
    for preference in gold:
        chosen, rejected = preference.chosen[-1].content.strip(), preference.rejected[-1].content.strip()
        row = judged.get((preference.prompt[-1].content.strip(), frozenset((chosen, rejected))))
        if row is not None:
            agrees = (row["margin"] > 0) == (row["first"] == chosen)
            hits[row["language"]].append(agrees)
            kept += [agrees] if row["outcome"] in CHOSEN else []
    every = [hit for own in hits.values() for hit in own]
    return {
        "pairs": len(gold),
        "all": rate(sum(every), len(every)),
        "of_kept": rate(sum(kept), len(kept)),
        "languages": {code: rate(sum(own), len(own)) for code, own in sorted(hits.items())},
    }


def pair_figures(preferences: Sequence[Preference]) -> Figures:
    """Of pairs made elsewhere: by language their number, how often the longer answer is chosen, and drift."""
    texts = [[p.chosen[-1].content, p.rejected[-1].content] for p in preferences]
    expected = [p.language for p in preferences for _ in range(2)]
    told = AnswerLanguage()([text for pair in texts for text in pair], expected)
    groups: dict[str, list[int]] = defaultdict(list)
    for number, preference in enumerate(preferences):
        groups[preference.language].append(number)
    return {
        "all": _of_pairs(preferences, texts, told, range(len(preferences))),
        "languages": {code: _of_pairs(preferences, texts, told, own) for code, own in sorted(groups.items())},
    }


def _of_pairs(
    preferences: Sequence[Preference], texts: Sequence[Sequence[str]], told: Sequence[str | None], own: Sequence[int]
) -> Figures:
    lengths = [(len(texts[n][0]), len(texts[n][1])) for n in own]
    different = [(chosen, rejected) for chosen, rejected in lengths if chosen != rejected]
    foreign = {
        name: [
            told[2 * n + place] not in (None, preferences[n].language)
            for n in own
            if preferences[n].language in known_languages()
        ]
        for place, name in enumerate(("chosen", "rejected"))
    }
    return {
        "pairs": len(lengths),
        "longer_chosen_rate": rate(sum(c > r for c, r in different), len(different)),
        "language_drift": {name: rate(sum(flags), len(flags)) for name, flags in foreign.items()},
    }
