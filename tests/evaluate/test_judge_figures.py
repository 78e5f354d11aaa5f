"""Planted truths come out of the figures: a judge that follows the position, a better model, clustered intervals."""

import json
from pathlib import Path

import numpy as np
import pytest

from seallm.base.interval import wilson
from seallm.evaluate.judge_agreement import gold_figures, order_figures, read_gold, repeat_figures
from seallm.evaluate.judge_cases import Case
from seallm.evaluate.judge_figures import (
    ALL,
    mean_by_question,
    meeting_rows,
    pair_outcomes,
    score_differences,
    score_rows,
    win_rows,
)
from tests.evaluate.judged import QUESTIONS, verdicts

SEED = 0


def better_wins(case: Case) -> str:
    """Model `good` wins three questions of four, in both orders."""
    number = int(case.question.key.split(":")[1])
    wanted = "poor" if number % 4 == 0 else "good"
    return "AB"[case.models.index(wanted)]


def test_a_judge_that_follows_the_position_says_nothing() -> None:
    found = verdicts(lambda case: "A", "pairwise", ["one", "two"])
    orders = order_figures(found, SEED)
    low, high = wilson(0, len(QUESTIONS))
    assert orders["consistency"] == {"value": 0.0, "low": low, "high": high, "n": len(QUESTIONS)}
    assert orders["first_position"] is not None
    assert orders["first_position"]["value"] == 1.0
    for row in win_rows(found, SEED):
        assert (row["value"], row["ties"]) == (0.5, 1.0)
        assert (row["low"], row["high"]) == wilson(row["n"] / 2, row["n"])
        assert row["strength"]["value"] == pytest.approx(0.0, abs=1e-9)


def test_a_better_model_wins_with_its_interval() -> None:
    found = verdicts(better_wins, "pairwise", ["good", "poor"])
    overall = {row["model"]: row for row in win_rows(found, SEED) if (row["language"], row["category"]) == (ALL, ALL)}
    good, poor = overall["good"], overall["poor"]
    assert good["value"] == 0.75
    assert 0.5 < good["low"] < 0.75 < good["high"] < 1
    assert good["n"] == len(QUESTIONS)
    assert good["value"] + poor["value"] == 1
    assert good["strength"]["value"] == pytest.approx(-poor["strength"]["value"])
    assert good["strength"]["low"] > 0
    (meeting,) = meeting_rows(found, SEED)
    assert (meeting["wins"], meeting["ties"], meeting["losses"]) == (54, 0, 18)
    consistency = order_figures(found, SEED)["consistency"]
    assert consistency is not None
    assert consistency["value"] == 1.0


def test_figures_by_language_and_category_are_of_their_questions() -> None:
    found = verdicts(
        lambda c: "C" if c.question.language == "th" else "AB"[c.models.index("a")], "pairwise", ["a", "b"]
    )
    by_group = {(r["language"], r["category"]): r for r in win_rows(found, SEED) if r["model"] == "a"}
    assert by_group["th", ALL]["value"] == 0.5
    assert by_group["lo", ALL]["value"] == 1.0
    assert by_group["th", "math-reasoning"]["n"] == 8
    assert len(by_group) == 1 + 3 + 3 + 9


def test_intervals_are_clustered_by_question() -> None:
    """Repeating every verdict ten times must not make an interval narrower."""
    once = [(f"q{k}", float(k % 3 == 0)) for k in range(30)]
    tenfold = [entry for entry in once for _ in range(10)]
    assert mean_by_question(tenfold, SEED) == pytest.approx(mean_by_question(once, SEED))


def test_a_clustered_interval_equals_the_bootstrap_over_questions() -> None:
    values = [(f"q{k % 12}", float((k * 7) % 10)) for k in range(40)]
    found = mean_by_question(values, SEED)
    groups = [[v for name, v in values if name == f"q{q}"] for q in range(12)]
    random = np.random.default_rng(1)
    draws = []
    for _ in range(2_000):
        drawn = [v for q in random.integers(0, 12, 12) for v in groups[q]]
        draws.append(sum(drawn) / len(drawn))
    assert found["low"] == pytest.approx(np.quantile(draws, 0.025), abs=0.2)
    assert found["high"] == pytest.approx(np.quantile(draws, 0.975), abs=0.2)


def test_scores_and_their_differences() -> None:
    found = verdicts(lambda c: 6.0 if c.models == ("a",) else 8.0, "score", ["a", "b"])
    overall = {r["model"]: r for r in score_rows(found, SEED) if (r["language"], r["category"]) == (ALL, ALL)}
    assert (overall["a"]["value"], overall["b"]["value"], overall["a"]["n"]) == (6.0, 8.0, len(QUESTIONS))
    (difference,) = score_differences(found, SEED)
    assert (difference["model"], difference["against"], difference["value"]) == ("b", "a", 2.0)
    assert difference["low"] == difference["high"] == 2.0


def test_a_verdict_that_could_not_be_read_counts_for_nobody() -> None:
    found = verdicts(lambda c: None if c.question.language == "en" else "A", "pairwise", ["a", "b"])
    assert len(pair_outcomes(found)) == len(QUESTIONS) * 2 // 3
    assert {r["language"] for r in win_rows(found, SEED)} == {ALL, "th", "lo"}


def test_repeats_agree_or_do_not() -> None:
    steady = verdicts(lambda c: float(len(c.question.key + c.question.category) % 10), "score", ["a"], repeats=3)
    found = repeat_figures(steady, "score", SEED)
    assert found is not None
    assert found["value"] == 1.0
    random = np.random.default_rng(5)
    wild = repeat_figures(
        verdicts(lambda c: "ABC"[random.integers(3)], "pairwise", ["a", "b"], repeats=3), "pairwise", 0
    )
    assert wild is not None
    assert abs(wild["value"]) < 0.15
    assert repeat_figures(verdicts(lambda c: "A", "pairwise", ["a", "b"]), "pairwise", SEED) is None


def test_agreement_with_a_gold_file(tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    rows = [
        {"question_id": q.key.split(":")[1], "lang": q.language, "turn": 1, "model_a": "poor", "model_b": "good",
         "winner": "model_b"}
        for q in QUESTIONS
    ]  # fmt: skip
    gold.write_text("\n".join(map(json.dumps, rows)))
    known = read_gold(gold, "pairwise")
    found = gold_figures(verdicts(better_wins, "pairwise", ["good", "poor"]), known, "pairwise", SEED)
    assert found["accuracy"] == 0.75
    assert found["accuracy_low"] < 0.75 < found["accuracy_high"]
    assert found["n"] == 2 * len(QUESTIONS)
