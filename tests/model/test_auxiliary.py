import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.model.auxiliary import auxiliary_embedding, similar_tokens, sparsemax


def texts_of_two_topics(count: int = 300) -> list[np.ndarray]:
    """Ids 0-4 stand among 10-19, ids 5-9 among 20-29; 30 is nowhere, 31 once."""
    source = np.random.default_rng(0)
    texts = []
    for number in range(count):
        words, frame = (range(5), range(10, 20)) if number % 2 else (range(5, 10), range(20, 30))
        text = source.choice(list(frame), 24)
        text[2::5] = source.choice(list(words), text[2::5].size)
        texts.append(text.astype(np.int64))
    texts[0][0] = 31
    return texts


def test_tokens_with_like_neighbours_lie_close() -> None:
    placed = auxiliary_embedding(texts_of_two_topics(), 32)
    likeness = placed[:10] @ placed[:10].T
    assert float(likeness[:5, :5].min()) > float(likeness[:5, 5:].max()) + 0.5
    torch.testing.assert_close(placed[:10].norm(dim=1), torch.ones(10))
    assert not placed[30].any()
    assert not placed[31].any()  # too rare
    assert torch.equal(placed, auxiliary_embedding(texts_of_two_topics(), 32))


def test_similar_tokens_are_of_the_same_topic() -> None:
    placed = auxiliary_embedding(texts_of_two_topics(), 32)
    found = similar_tokens(placed, [0, 7, 30], [1, 2, 3, 4, 5, 6, 8, 9, 31])
    assert set(found) == {0, 7}
    for wanted, topic in ((0, {1, 2, 3, 4}), (7, {5, 6, 8, 9})):
        others, shares = found[wanted]
        assert set(others.tolist()) <= topic
        torch.testing.assert_close(shares.sum(), torch.tensor(1.0))
        assert bool((shares > 0).all())


def test_texts_that_say_nothing() -> None:
    assert not auxiliary_embedding([], 5).any()
    assert not auxiliary_embedding([np.array([1, 2], np.int64)], 5).any()
    assert similar_tokens(torch.zeros(5, 4), [1], [2]) == {}


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=5))
def test_sparsemax_is_the_nearest_point_of_the_simplex(rows: list[list[float]]) -> None:
    scores = torch.tensor(rows, dtype=torch.float64)
    weights = sparsemax(scores)
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(rows), dtype=torch.float64))
    # of the nearest point all corners lie on the far side (projection onto a convex set)
    corners = torch.eye(4, dtype=torch.float64)
    for score, weight in zip(scores, weights, strict=True):
        assert float(((corners - weight) @ (score - weight)).max()) <= 1e-9
