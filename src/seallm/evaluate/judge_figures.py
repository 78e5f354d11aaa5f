"""Verdicts in, figures out: scores, win rates and strengths by category and by language, each with n and interval.

All intervals resample questions, not verdicts: the turns, orders and repeats of one question stand or fall together.
Asked in both orders, a pair is won where both verdicts name the same model. Where they name different ones the judge
followed the position, and nobody won: a tie. People see a pair once, in an order drawn for them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seallm.base.interval import bootstrap_clusters, wilson
from seallm.comparisons.outcomes import Outcome
from seallm.comparisons.standings import Estimate, head_to_head, standings
from seallm.evaluate.judge_verdicts import Verdict

ALL = "all"
Row = dict[str, Any]
Group = tuple[str, str]  # language, category


def groups_of(verdicts: Iterable[Verdict]) -> list[Group]:
    """All questions; each language; each category; each category of a language."""
    kinds = dict.fromkeys((v.case.question.language, v.case.question.category) for v in verdicts)
    languages, categories = dict.fromkeys(k[0] for k in kinds), dict.fromkeys(k[1] for k in kinds)
    return [(ALL, ALL), *((code, ALL) for code in languages), *((ALL, name) for name in categories), *kinds]


def in_group(verdict: Verdict, group: Group) -> bool:
    """True where the verdict's question belongs to a group."""
    question = verdict.case.question
    return group[0] in (ALL, question.language) and group[1] in (ALL, question.category)


def mean_by_question(values: Sequence[tuple[str, float]], seed: int) -> Row:
    """Mean of (question, value) with its interval, questions resampled whole."""
    names = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in values))}
    totals = np.zeros((len(names), 2))
    for name, value in values:
        totals[names[name]] += (value, 1.0)

    def means(sums: Any) -> Any:
        return sums[:, :1] / sums[:, 1:]

    low, high = bootstrap_clusters(totals, means, seed)[:, 0]
    value = float(totals[:, 0].sum() / totals[:, 1].sum())
    return {"value": value, "low": float(low), "high": float(high), "n": len(names)}


def share_by_question(values: Sequence[tuple[str, float]], seed: int) -> Row:
    """As `mean_by_question`, of values between 0 and 1; Wilson's interval over questions where all are 0, or all 1.

    Resampling what is all the same would give an interval of no width.
    """
    found = mean_by_question(values, seed)
    if found["value"] in (0.0, 1.0):
        low, high = wilson(found["value"] * found["n"], found["n"])
        return {**found, "low": low, "high": high}
    return found


def score_rows(verdicts: Sequence[Verdict], seed: int) -> list[Row]:
    """Rows {model, language, category, value, low, high, n}: mean scores from 0 to 10; n counts questions."""
    return _by_model(verdicts, lambda v: v.value if isinstance(v.value, float | int) else None, mean_by_question, seed)


def language_rows(verdicts: Sequence[Verdict], seed: int) -> list[Row]:
    """Rows as `score_rows`: the share of answers whose language is certain, and another than the question's."""
    return _by_model(verdicts, lambda v: float(v.case.rule == "wrong language"), share_by_question, seed)


def _by_model(
    verdicts: Sequence[Verdict],
    value_of: Callable[[Verdict], float | None],
    estimate: Callable[[Sequence[tuple[str, float]], int], Row],
    seed: int,
) -> list[Row]:
    found = []
    for group in groups_of(verdicts):
        of_models: dict[str, list[tuple[str, float]]] = {}
        for verdict in verdicts:
            value = value_of(verdict)
            if in_group(verdict, group) and value is not None:
                of_models.setdefault(verdict.case.models[0], []).append((verdict.case.question.key, value))
        found += [_row(model, group, estimate(values, seed)) for model, values in of_models.items()]
    return found


def _row(model: str, group: Group, figures: Row) -> Row:
    return {"model": model, "language": group[0], "category": group[1], **figures}


def score_differences(verdicts: Sequence[Verdict], seed: int) -> list[Row]:
    """Every model against the first, question by question: rows as `score_rows` with `against`."""
    scores: dict[str, dict[tuple[str, int], list[float]]] = {}
    for v in verdicts:
        if isinstance(v.value, float | int):
            place = scores.setdefault(v.case.models[0], {})
            place.setdefault((v.case.question.key, v.case.turn), []).append(float(v.value))
    if len(scores) < 2:
        return []
    (first, base), *others = scores.items()
    rows = []
    for model, mine in others:
        paired = [
            (place[0], sum(mine[place]) / len(mine[place]) - sum(base[place]) / len(base[place]))
            for place in mine
            if place in base
        ]
        if paired:
            rows.append(_row(model, (ALL, ALL), mean_by_question(paired, seed)) | {"against": first})
    return rows


# ----------------------------------------------------------------------------------------------------------- pairwise


def pair_outcomes(verdicts: Sequence[Verdict]) -> list[Outcome]:
    """One outcome a pair, turn and repeat: what both orders say together."""
    return [outcome for _, outcome in _joined(verdicts)]


def _joined(verdicts: Sequence[Verdict]) -> list[tuple[Verdict, Outcome]]:
    """With the verdict of the first order. A pair that lacks a readable verdict in any order has no outcome."""
    found: dict[tuple[str, int, int, tuple[str, ...]], list[Verdict]] = {}
    for v in verdicts:
        place = (v.case.question.key, v.case.turn, v.case.repeat, tuple(sorted(v.case.models)))
        found.setdefault(place, []).append(v)
    joined = []
    for both in found.values():
        scores = [score for v in both if (score := _first_won(v, both[0].case.models[0])) is not None]
        if len(scores) == len(both):
            first, second = both[0].case.models
            agreed = scores[0] if len(set(scores)) == 1 else 0.5
            joined.append((both[0], Outcome(both[0].case.question.key, first, second, agreed)))
    return joined


def _first_won(verdict: Verdict, model: str) -> float | None:
    """1 where the model won, 0 where the other one did, 0.5 for neither."""
    if verdict.value not in ("A", "B", "C"):
        return None
    if verdict.value == "C":
        return 0.5
    return float(verdict.case.models["AB".index(str(verdict.value))] == model)


def win_rows(verdicts: Sequence[Verdict], seed: int) -> list[Row]:
    """Rows {model, language, category, value, low, high, n, games, ties, strength}: the share of its pairs that a model
    won, a tie counting half; n counts questions, and strength is Bradley-Terry's, {value, low, high} in log-odds.
    """
    joined = _joined(verdicts)
    rows = []
    for group in groups_of(verdicts):
        outcomes = [outcome for verdict, outcome in joined if in_group(verdict, group)]
        for standing in standings(outcomes, seed) if outcomes else []:
            rows.append(
                _row(standing.model, group, _estimate(standing.win_rate))
                | {
                    "n": standing.questions,
                    "games": standing.games,
                    "ties": standing.tie_share,
                    "strength": _estimate(standing.strength),
                }
            )
    return rows


def meeting_rows(verdicts: Sequence[Verdict], seed: int) -> list[Row]:
    """Rows {first, second, wins, ties, losses, value, low, high, n} of all pairs of models: what `first` won."""
    outcomes = pair_outcomes(verdicts)
    return [
        {
            "first": pair.first,
            "second": pair.second,
            "wins": pair.wins,
            "ties": pair.ties,
            "losses": pair.losses,
            "n": pair.questions,
            **_estimate(pair.win_rate),
        }
        for pair in (head_to_head(outcomes, seed) if outcomes else [])
    ]


def _estimate(found: Estimate) -> Row:
    return {"value": found.value, "low": found.low, "high": found.high}


def shares_of_rules(verdicts: Sequence[Verdict]) -> Mapping[str, int]:
    """How many cases each rule decided, how many the judge did, and how many have no verdict."""
    counts = {"by the judge": 0, "empty": 0, "wrong language": 0, "same text": 0, "no verdict": 0}
    for verdict in verdicts:
        counts["no verdict" if verdict.value is None else verdict.case.rule or "by the judge"] += 1
    return counts
