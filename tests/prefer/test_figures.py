import pytest

from seallm.base.interval import wilson
from seallm.prefer.figures import Tally, judge_accuracy, rate, total
from seallm.prefer.judge import Judgement, Pair

SHORT_LONG = Pair("th", "q", "ab", "abcd")
EQUAL = Pair("lo", "q", "ab", "cd")


def tally_of(*judged: tuple[Pair, Judgement | None]) -> Tally:
    tally = Tally()
    for pair, judgement in judged:
        tally.add_judgement(pair, judgement)
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
    found = judge_accuracy(pairs, judgements)
    assert (found["all"]["value"], found["all"]["n"]) == (pytest.approx(2 / 4), 4)
    assert found["languages"]["th"]["value"] == pytest.approx(2 / 3)
    assert found["languages"]["lo"] == {"value": 0.0, "n": 1, "low": 0.0, "high": pytest.approx(wilson(0, 1)[1])}
    assert found["consistency"]["value"] == pytest.approx(2 / 4)
