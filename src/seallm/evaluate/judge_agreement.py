"""Verdicts in, how far the judge can be trusted out: does it agree with itself, and with a gold file?

- Orders: of the pairs it was asked in both orders, the share where both verdicts name the same (consistency), and the
  share of verdicts for A or B that say A (first position). A judge without a liking says A half of the time.
- Repeats: Krippendorff's alpha of the verdicts on the same case.
- Gold: verdicts of people, {question_id, turn, model_a, model_b, winner} as MT-bench publishes them, or scores,
  {question_id, turn, model, score}. Accuracy and Cohen's kappa; for scores alpha of whole numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.comparisons.agreement import krippendorff_alpha, two_raters
from seallm.evaluate.judge_figures import Row, share_by_question
from seallm.evaluate.judge_prompts import Mode
from seallm.evaluate.judge_questions import row_language, rows
from seallm.evaluate.judge_verdicts import Verdict

WINNERS = {"model_a": "A", "model_b": "B", "a": "A", "b": "B", "tie": "C", "c": "C"}
_SWAPPED = {"A": "B", "B": "A", "C": "C"}
Place = tuple[str, int, tuple[str, ...]]


def order_figures(verdicts: Sequence[Verdict], seed: int) -> dict[str, Row | None]:
    """Consistency and first position, by question; rules take no part in it. None where nothing was asked."""
    asked = [v for v in verdicts if v.case.rule is None and v.value is not None and len(v.case.models) == 2]
    pairs: dict[tuple[str, int, int, tuple[str, ...]], list[Verdict]] = {}
    for v in asked:
        pairs.setdefault((v.case.question.key, v.case.turn, v.case.repeat, tuple(sorted(v.case.models))), []).append(v)
    same = [
        (place[0], float(both[0].value == _SWAPPED[str(both[1].value)]))
        for place, both in pairs.items()
        if len(both) == 2
    ]
    first = [(v.case.question.key, float(v.value == "A")) for v in asked if v.value in ("A", "B")]
    return {
        "consistency": share_by_question(same, seed) if same else None,
        "first_position": share_by_question(first, seed) if first else None,
    }


def repeat_figures(verdicts: Sequence[Verdict], mode: Mode, seed: int) -> Row | None:
    """Alpha of repeated verdicts; None where nothing was asked twice."""
    units: dict[Place, list[Any]] = {}
    for v in verdicts:
        if v.case.rule is None and v.value is not None:
            value = v.value if isinstance(v.value, str) else round(v.value)
            units.setdefault((v.case.question.key, v.case.turn, v.case.models), []).append(value)
    if all(len(values) < 2 for values in units.values()):
        return None
    return asdict(krippendorff_alpha(list(units.values()), "interval" if mode == "score" else "nominal", seed))


def read_gold(path: Path, mode: Mode) -> dict[Place, float | str]:
    """Gold verdicts by question, turn (from 0) and models; of several on the same, the last one counts.

    Keys of questions are `language:number` where rows name a language, else the bare number.

    Raises:
        DataError: a row is malformed.
    """
    found: dict[Place, float | str] = {}
    for where, row in rows(path):
        try:
            code = row_language(row, None)
            key = str(row["question_id"]) if code is None else f"{code}:{row['question_id']}"
            turn = int(row.get("turn", 1)) - 1
            if mode == "score":
                found[key, turn, (str(row["model"]),)] = float(row["score"])
            else:
                winner = WINNERS[str(row["winner"]).lower().removesuffix(" (inconsistent)")]
                found[key, turn, (str(row["model_a"]), str(row["model_b"]))] = winner
        except (KeyError, TypeError, ValueError):
            fields = "model, score" if mode == "score" else "model_a, model_b, winner (model_a, model_b or tie)"
            raise DataError(f"{where}: expected question_id and {fields}") from None
    return found


def gold_figures(verdicts: Sequence[Verdict], gold: Mapping[Place, float | str], mode: Mode, seed: int) -> Row:
    """Agreement with gold verdicts.

    Raises:
        DataError: no verdict is of a question and models that the gold file has.
    """
    pairs = [
        (v.case.question.key, v.value, known)
        for v in verdicts
        if v.value is not None and v.case.repeat == 0 and (known := _gold_of(v, gold)) is not None
    ]
    if not pairs:
        raise DataError("The gold file has no verdict on these questions and models; its names must be those of MODEL")
    if mode == "score":
        units = [[round(float(value)), round(float(known))] for _, value, known in pairs]
        return {"n": len(units), **asdict(krippendorff_alpha(units, "interval", seed))}
    labels = [(str(value), str(known)) for _, value, known in pairs]
    return asdict(two_raters(labels, seed, clusters=[key for key, *_ in pairs]))


def _gold_of(verdict: Verdict, gold: Mapping[Place, float | str]) -> float | str | None:
    case = verdict.case
    for key in (case.question.key, case.question.key.split(":", 1)[1]):
        known = gold.get((key, case.turn, case.models))
        if known is not None:
            return known
        turned = gold.get((key, case.turn, case.models[::-1]))
        if turned is not None:
            return _SWAPPED[str(turned)]
    return None
