import numpy as np
import pyarrow as pa
import pytest

from seallm.corpus.tiers import high_tier, is_high_source, quality_scores

_GOOD = {
    "words": 1_000.0,
    "words_per_line": 30.0,
    "letter_share": 0.97,
    "duplicate_line_share": 0.0,
    "top_ngram_share": 0.01,
    "repeated_ngram_share": 0.0,
}


def score(certainty: float = 0.95, **changes: float) -> float:
    figures = {name: np.array([value], np.float32) for name, value in (_GOOD | changes).items()}
    return float(quality_scores(figures, np.array([certainty], np.float32))[0])


def test_scores_lie_between_0_and_1() -> None:
    assert 0.95 < score(words=10**7, words_per_line=10**6) <= 1
    worst = dict.fromkeys(_GOOD, 0.0) | {"top_ngram_share": 3.0}
    assert score(0, **worst) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"words": 40.0},
        {"words_per_line": 2.0},
        {"letter_share": 0.7},
        {"duplicate_line_share": 0.2},
        {"top_ngram_share": 0.2},
        {"repeated_ngram_share": 0.2},
        {"certainty": 0.5},
    ],
)
def test_every_fault_costs(changes: dict[str, float]) -> None:
    assert score(**changes) < score() - 0.02


def test_high_sources_by_name_and_pattern() -> None:
    sources = pa.array(["wiki", "www.gov.vn", None, "blog"])
    assert is_high_source(sources, ["wiki", "*.gov.vn"]).tolist() == [True, True, False, False]
    assert is_high_source(sources, []).tolist() == [False] * 4


def test_the_best_share_of_the_other_documents_is_high() -> None:
    scores = np.array([0.5, 0.9, 0.1, 0.7, 0.2], np.float32)
    from_high = np.array([False, False, True, False, False])
    assert high_tier(scores, from_high, 0.5).tolist() == [False, True, True, True, False]
    assert high_tier(scores, from_high, 0.0).tolist() == [False, False, True, False, False]
    assert high_tier(scores, from_high, 1.0).all()


def test_of_equal_scores_the_earlier_document_wins() -> None:
    assert high_tier(np.full(4, 0.5, np.float32), np.zeros(4, bool), 0.5).tolist() == [True, True, False, False]
