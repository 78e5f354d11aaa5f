"""Judged items in, the figures of a review out: by language, what became of conversations, who won, and agreement.

Agreement is Krippendorff's alpha at the ordinal level: accept, edit, reject; or better, equal, worse, where both bad is
as equal as a tie. Intervals resample items, those of models whole questions.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from statistics import median
from typing import Any, get_args

from seallm.base.interval import wilson
from seallm.comparisons.agreement import krippendorff_alpha
from seallm.comparisons.outcomes import Outcome
from seallm.comparisons.standings import head_to_head, standings
from seallm.review.judged import JudgedItem, Judgement, Reviews, Settled, settled

ALL = "all"
OUTCOMES = get_args(Settled)
_GRADES = {"accept": 0, "edit": 1, "reject": 2}
_FIRST_SHARE = {"first": 1.0, "second": 0.0, "tie": 0.5, "both_bad": 0.5}
Figures = dict[str, Any]


def figures(reviews: Reviews) -> Figures:
    """Everything there is to report.

    Returns:
        {"conversations": {language: ...}, "comparisons": {language: ...}, "annotators": [...], "waiting": {language:
        items that want more annotators}, "seed"}; the language "all" where there are several.
    """
    by_kind = {kind: [item for item in reviews.items if item.kind == kind] for kind in ("conversation", "comparison")}
    return {
        "conversations": {
            language: _conversations(items, reviews.seed)
            for language, items in _by_language(by_kind["conversation"]).items()
        },
        "comparisons": {
            language: _comparisons(items, reviews.seed)
            for language, items in _by_language(by_kind["comparison"]).items()
        },
        "annotators": _annotators(reviews),
        "waiting": reviews.waiting,
        "seed": reviews.seed,
    }


def _by_language(items: Sequence[JudgedItem]) -> dict[str, list[JudgedItem]]:
    found: dict[str, list[JudgedItem]] = defaultdict(list)
    for item in sorted(items, key=lambda item: item.language):
        found[item.language].append(item)
    return {ALL: list(items), **found} if len(found) > 1 else dict(found)


def _conversations(items: Sequence[JudgedItem], seed: int) -> Figures:
    became = Counter[str](settled(item) for item in items)
    grades = [[_GRADES[judgement.verdict] for judgement in item.judgements] for item in items]
    return {
        "items": len(items),
        "judgements": sum(map(len, grades)),
        **{name: _share(became[name], len(items)) for name in OUTCOMES},
        "agreement": asdict(krippendorff_alpha(grades, "ordinal", seed)),
        "reasons": _reasons(items),
    }


def _share(count: int, n: int) -> Figures:
    low, high = wilson(count, n)
    return {"count": count, "n": n, "value": count / n if n else None, "low": low, "high": high}


def _reasons(items: Sequence[JudgedItem]) -> dict[str, int]:
    given = Counter(reason for item in items for judgement in item.judgements for reason in judgement.reasons)
    return dict(given.most_common())


def _comparisons(items: Sequence[JudgedItem], seed: int) -> Figures:
    outcomes = [
        Outcome(item.question, *item.models, _FIRST_SHARE[judgement.verdict])
        for item in items
        for judgement in item.judgements
    ]
    # scores of the model whose name comes first: the order in the file says nothing
    scores = [
        [
            _FIRST_SHARE[j.verdict] if item.models == tuple(sorted(item.models)) else 1 - _FIRST_SHARE[j.verdict]
            for j in item.judgements
        ]
        for item in items
    ]
    sides = [side for item in items for judgement in item.judgements if (side := _won_left(judgement)) is not None]
    return {
        "items": len(items),
        "questions": len({item.question for item in items}),
        "judgements": len(outcomes),
        "left_preferred": _share(sum(sides), len(sides)),
        "both_bad": sum(judgement.verdict == "both_bad" for item in items for judgement in item.judgements),
        "agreement": asdict(krippendorff_alpha(scores, "ordinal", seed)),
        "models": [asdict(row) for row in standings(outcomes, seed)],
        "pairs": [asdict(row) for row in head_to_head(outcomes, seed)],
        "reasons": _reasons(items),
    }


def _won_left(judgement: Judgement) -> bool | None:
    """Whether the answer that stood left was preferred; None where none was."""
    if judgement.verdict not in ("first", "second"):
        return None
    return ("first", "second").index(judgement.verdict) == judgement.left


def _annotators(reviews: Reviews) -> list[Figures]:
    """Rows {name, judged, skipped, median_seconds, same, shared}: `same` of `shared` verdicts beside others' agree."""
    said: dict[str, list[Judgement]] = defaultdict(list, {name: [] for name in reviews.skips})
    same, shared = Counter[str](), Counter[str]()
    for item in reviews.items:
        for judgement in item.judgements:
            said[judgement.annotator].append(judgement)
        for one, other in combinations(item.judgements, 2):
            for judgement in (one, other):
                shared[judgement.annotator] += 1
                same[judgement.annotator] += one.verdict == other.verdict
    return [
        {
            "name": name,
            "judged": len(judgements),
            "skipped": reviews.skips.get(name, 0),
            "median_seconds": median(seconds)
            if (seconds := [j.seconds for j in judgements if j.seconds is not None])
            else None,
            "same": same[name],
            "shared": shared[name],
        }
        for name, judgements in sorted(said.items())
    ]
