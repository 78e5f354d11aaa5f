"""Samples and judged pairs in, the figures of `judgements.json` out: what was dropped, how far to trust the judge.

Consistency is the share of pairs whose verdicts agree in both orders, position bias the share of verdicts, ties aside,
for the answer shown first (0.5 without bias); likelihoods have neither. Length bias is the share of chosen answers that
are the longer of their pair. Language drift is the share of answers that tell another language than their prompt's.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seallm.base.interval import wilson
from seallm.prefer.judge import Judgement, Pair
from seallm.prefer.judging import GOLD, KNOWN, OWN, Judged, JudgedPair
from seallm.prefer.sampling import SELF, Sample

CHOSEN = ("first", "second")
WRONG_LANGUAGE = "wrong language"


@dataclass
class Tally:
    """Counts of one language."""

    prompts: int = 0
    answers: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    told_languages: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    asked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    verdicts_for_first_position: int = 0
    verdicts: int = 0
    chosen_longer: int = 0
    chosen_of_other_length: int = 0
    own_over_weaker: int = 0
    against_weaker: int = 0

    def add_sample(self, sample: Sample) -> None:
        """Count a prompt and its answers."""
        self.prompts += 1
        self.answers += len(sample["answers"])
        self.dropped.update(part["dropped"] for part in (sample, *sample["answers"]) if part["dropped"])
        self.told_languages.update(
            a["language"] or "not told" for a in sample["answers"] if a["dropped"] == WRONG_LANGUAGE
        )

    def add_judgement(self, pair: Pair, judgement: Judgement | None, *, asked: bool) -> None:
        """Count one judged pair; None is a pair too long to judge. Where nothing was asked, nothing stood first."""
        self.pairs += 1
        if judgement is None:
            self.dropped["pair too long to judge"] += 1
            return
        self.outcomes[judgement.outcome] += 1
        self.asked += asked
        if asked and judgement.outcome != "tie":
            self.verdicts += 2
            self.verdicts_for_first_position += (judgement.forward > 0) + (judgement.swapped > 0)
        if judgement.outcome not in CHOSEN:
            return
        is_first = judgement.outcome == "first"
        lengths = len(pair.first), len(pair.second)
        if lengths[0] != lengths[1]:
            self.chosen_of_other_length += 1
            self.chosen_longer += is_first == (lengths[0] > lengths[1])
        if pair.by[0] != pair.by[1]:
            self.against_weaker += 1
            self.own_over_weaker += (pair.by[0] == SELF) == is_first

    def figures(self) -> dict[str, Any]:
        """Counts and rates, each rate with n and a 95 % interval."""
        judged = sum(self.outcomes.values())
        consistent = sum(self.outcomes[name] for name in (*CHOSEN, "unsure"))
        return {
            "prompts": self.prompts,
            "answers": self.answers,
            "dropped": dict(sorted(self.dropped.items())),
            "pairs": self.pairs,
            "judged": judged,
            "ties": self.outcomes["tie"],
            "inconsistent": self.outcomes["inconsistent"],
            "consistent": consistent,
            "unsure": self.outcomes["unsure"],
            "kept": consistent - self.outcomes["unsure"],
            "consistency": rate(consistent, judged) if self.asked else None,
            "first_position_rate": rate(self.verdicts_for_first_position, self.verdicts),
            "longer_chosen_rate": rate(self.chosen_longer, self.chosen_of_other_length),
            "own_over_weaker_rate": rate(self.own_over_weaker, self.against_weaker),
            "language_drift": rate(self.dropped[WRONG_LANGUAGE], self.answers),
            "drifted_to": dict(self.told_languages.most_common()),
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


def all_figures(samples: Sequence[Sample], judged: Judged) -> dict[str, Any]:
    """What `judgements.json` says of a round."""
    own = judged.of(OWN)
    tallies: dict[str, Tally] = defaultdict(Tally)
    for sample in samples:
        tallies[sample["language"]].add_sample(sample)
    for j in own:
        tallies[j.pair.language].add_judgement(j.pair, j.judgement, asked=j.scores is None or "forward" in j.scores)
    masses = [j.scores["mass"] for j in own if j.scores and "mass" in j.scores]
    return {
        "all": total(tallies.values()).figures(),
        "languages": {code: tally.figures() for code, tally in tallies.items()},
        "position_bias_log_odds": judged.scale.position_bias,
        "verdict_mass": round(statistics.fmean(masses), 6) if masses else None,
        "least_margin": judged.least_margin,
        "wanted_accuracy_reached": judged.is_reached,
        "judge_accuracy_on_known_pairs": judge_accuracy(judged.of(KNOWN)),
        "agreement_with_people": judge_accuracy(judged.of(GOLD)),
    }


def judge_accuracy(pairs: Sequence[JudgedPair]) -> dict[str, Any]:
    """How often the judge prefers the right answer, where `first` of each pair is known to be right.

    The mean over both orders decides, so that a liking for a position cancels out; guessing gives 0.5. `of_kept` are
    those that would be kept: consistent, with the least margin.
    """
    found = [(j.pair.language, j.judgement) for j in pairs if j.judgement is not None]
    by_language: dict[str, list[bool]] = {}
    for language, judgement in found:
        by_language.setdefault(language, []).append(judgement.margin > 0)
    kept = [judgement for _, judgement in found if judgement.outcome in CHOSEN]
    return {
        "all": rate(sum(judgement.margin > 0 for _, judgement in found), len(found)),
        "of_kept": rate(sum(judgement.margin > 0 for judgement in kept), len(kept)),
        "kept": rate(len(kept), len(found)),
        "consistency": rate(sum(j.outcome in (*CHOSEN, "unsure") for _, j in found), len(found)),
        "languages": {code: rate(sum(hits), len(hits)) for code, hits in by_language.items()},
    }


def most_frequent_losses(counts: Mapping[str, Any]) -> str:
    """Where the answers and pairs went, in words."""
    lost = Counter(counts["dropped"]) + Counter({name: counts[name] for name in ("inconsistent", "ties", "unsure")})
    parts = [f"{n} {name}" for name, n in lost.most_common(4) if n]
    head = f"of {counts['answers']} answers and {counts['pairs']} pairs"
    return f"{head} {', '.join(parts)}" if parts else head
