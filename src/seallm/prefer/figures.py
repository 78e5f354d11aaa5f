"""Samples and judgements in, the figures of `judgements.json` out: what was dropped, how far to trust the judge.

Position bias is the share of verdicts, ties aside, for the answer shown first (0.5 without bias); length bias is the
share of chosen answers that are the longer of their pair.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from seallm.base.interval import wilson
from seallm.prefer.judge import Judgement, Pair

ALL_LANGUAGES = "all"


@dataclass
class Tally:
    """Counts of one language."""

    prompts: int = 0
    answers: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    verdicts_for_first_position: int = 0
    verdicts: int = 0
    chosen_longer: int = 0
    chosen_of_other_length: int = 0

    def add_judgement(self, pair: Pair, judgement: Judgement | None) -> None:
        """Count one judged pair; None is a pair too long to judge."""
        self.pairs += 1
        if judgement is None:
            self.dropped["pair too long to judge"] += 1
            return
        self.outcomes[judgement.outcome] += 1
        if judgement.outcome == "tie":
            return
        self.verdicts += 2
        self.verdicts_for_first_position += (judgement.forward > 0) + (judgement.swapped > 0)
        lengths = len(pair.first), len(pair.second)
        if judgement.outcome in ("first", "second") and lengths[0] != lengths[1]:
            self.chosen_of_other_length += 1
            self.chosen_longer += (judgement.outcome == "first") == (lengths[0] > lengths[1])

    def figures(self) -> dict[str, Any]:
        """Counts and rates, each rate with n and a 95 % interval."""
        judged = sum(self.outcomes.values())
        consistent = self.outcomes["first"] + self.outcomes["second"]
        return {
            "prompts": self.prompts,
            "answers": self.answers,
            "dropped": dict(sorted(self.dropped.items())),
            "pairs": self.pairs,
            "judged": judged,
            "ties": self.outcomes["tie"],
            "inconsistent": self.outcomes["inconsistent"],
            "consistent": consistent,
            "consistency": rate(consistent, judged),
            "first_position_rate": rate(self.verdicts_for_first_position, self.verdicts),
            "longer_chosen_rate": rate(self.chosen_longer, self.chosen_of_other_length),
        }


def rate(hits: int, n: int) -> dict[str, float] | None:
    """A share with its n and Wilson interval; None where nothing was counted."""
    if n == 0:
        return None
    low, high = wilson(hits, n)
    return {"value": hits / n, "n": n, "low": low, "high": high}


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum over languages."""
    result = Tally()
    for tally in tallies:
        for name, value in vars(tally).items():
            setattr(result, name, getattr(result, name) + value)
    return result


def judge_accuracy(pairs: Sequence[Pair], judgements: Sequence[Judgement | None]) -> dict[str, Any]:
    """How often the judge prefers the right answer, where `first` of each pair is known to be right.

    The mean over both orders decides, so that a liking for a position cancels out; guessing gives 0.5.
    """
    judged = [(p.language, j) for p, j in zip(pairs, judgements, strict=True) if j is not None]
    by_language: dict[str, list[bool]] = {}
    for language, judgement in judged:
        by_language.setdefault(language, []).append(judgement.margin > 0)
    return {
        "all": rate(sum(judgement.margin > 0 for _, judgement in judged), len(judged)),
        "consistency": rate(sum(j.outcome in ("first", "second") for _, j in judged), len(judged)),
        "languages": {code: rate(sum(hits), len(hits)) for code, hits in by_language.items()},
    }
