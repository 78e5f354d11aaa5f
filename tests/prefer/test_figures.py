import pytest

from seallm.base.interval import wilson
from seallm.prefer.figures import Tally, judge_accuracy, most_frequent_losses, rate, total
from seallm.prefer.judge import Judgement, Pair
from seallm.prefer.judging import KNOWN, JudgedPair

SHORT_LONG = Pair("th", "q", "ab", "abcd")
EQUAL = Pair("lo", "q", "ab", "cd")


def tally_of(*judged: tuple[Pair, Judgement | None]) -> Tally:
    tally = Tally()
    for pair, judgement in judged:
        tally.add_judgement(pair, judgement, asked=True)
    return tally


def test_figures_of_a_language() -> None:
    figures = tally_of(
        (SHORT_LONG, Judgement(2.0, -1.0)),  # the short one, in both orders
        (SHORT_LONG, Judgement(-2.0, 1.0)),  # the long one
        (SHORT_LONG, Judgement(-2.0, 2.0)),  # the long one
        (SHORT_LONG, Judgement(1.0, 1.0)),  # whatever stands first
        (EQUAL, Judgement(1.0, -1.0)),
        (EQUAL, Judgement(0.0, 0.0)),
        (EQUAL, None),
    ).figures()
    assert (figures["pairs"], figures["judged"], figures["consistent"]) == (7, 6, 4)
    assert (figures["inconsistent"], figures["ties"]) == (1, 1)
    assert figures["dropped"] == {"pair too long to judge": 1}
    assert figures["consistency"]["value"] == pytest.approx(4 / 6)
    first = figures["first_position_rate"]  # of ten verdicts that are no tie, six are for the answer shown first
    assert (first["value"], first["n"]) == (pytest.approx(6 / 10), 10)
    longer = figures["longer_chosen_rate"]
    assert (longer["value"], longer["n"]) == (pytest.approx(2 / 3), 3)
    assert (longer["low"], longer["high"]) == wilson(2, 3)


def test_nothing_counted_gives_no_rate() -> None:
    assert rate(0, 0) is None
    assert Tally().figures()["consistency"] is None


def test_total_adds_up() -> None:
    one, two = tally_of((SHORT_LONG, Judgement(2.0, -1.0))), tally_of((EQUAL, Judgement(1.0, 1.0)))
    one.prompts, two.prompts = 3, 4
    one.dropped["empty"] = two.dropped["empty"] = 2
    whole = total([one, two]).figures()
    assert (whole["prompts"], whole["judged"], whole["consistent"]) == (7, 2, 1)
    assert whole["dropped"] == {"empty": 4}


def test_accuracy_on_known_pairs_cancels_out_positions() -> None:
    pairs = [Pair("th", "q", "right", "wrong")] * 3 + [Pair("lo", "q", "right", "wrong")] * 2
    judgements = [Judgement(2, -1), Judgement(2, 1), Judgement(-3, 1), Judgement(1, 3), None]
    found = judge_accuracy([JudgedPair(KNOWN, p, None, j) for p, j in zip(pairs, judgements, strict=True)])
    assert (found["all"]["value"], found["all"]["n"]) == (pytest.approx(2 / 4), 4)
    assert found["languages"]["th"]["value"] == pytest.approx(2 / 3)
    assert found["languages"]["lo"] == {"value": 0.0, "n": 1, "low": 0.0, "high": pytest.approx(wilson(0, 1)[1])}
    assert found["consistency"]["value"] == pytest.approx(2 / 4)
    assert (found["of_kept"]["value"], found["of_kept"]["n"]) == (0.5, 2)


def test_likelihoods_have_no_position_and_weak_margins_are_unsure() -> None:
    tally = Tally()
    for margin in (2.0, 0.3, -0.1):
        judgement = Judgement(margin, -margin, 0.0, least_margin=0.5)
        tally.add_judgement(Pair("th", "q", "ab", "abcd", ("sft", "self")), judgement, asked=False)
    figures = tally.figures()
    assert figures["first_position_rate"] is figures["consistency"] is None
    assert (figures["consistent"], figures["unsure"], figures["kept"]) == (3, 2, 1)
    assert figures["longer_chosen_rate"]["n"] == 1
    assert (figures["own_over_weaker_rate"]["value"], figures["own_over_weaker_rate"]["n"]) == (0.0, 1)
    figures["dropped"] = {"cut off": 7, "empty": 1}
    assert most_frequent_losses(figures) == "of 0 answers and 3 pairs 7 cut off, 2 unsure, 1 empty"


def test_answers_that_drift_are_counted_by_where_to() -> None:
    tally = Tally()
    answers = [
        {"text": "x", "language": code, "dropped": reason}
        for code, reason in (("en", "wrong language"), ("en", "wrong language"), ("th", None), (None, "wrong language"))
    ]
    tally.add_sample({"language": "th", "dropped": None, "answers": answers})
    figures = tally.figures()
    assert (figures["language_drift"]["value"], figures["language_drift"]["n"]) == (0.75, 4)
    assert figures["drifted_to"] == {"en": 2, "not told": 1}
