import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.vocab import pair_index
from seallm.vocab.pair_index import PairIndex
from seallm.vocab.pieces import CountedPieces
from tests.vocab.tiny import PROPERTY

PIECES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 2), st.integers(0, 5), st.integers(0, 3)
    ),
    min_size=1,
    max_size=12,
)


def counted(rows: list[tuple[list[int], int, int, int]]) -> CountedPieces:
    return CountedPieces(
        np.array([token for row in rows for token in row[0]], np.int32),
        np.cumsum([0, *(len(row[0]) for row in rows)]).astype(np.int64),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.int64),
        np.array([row[3] for row in rows], np.int64),
    )


WEIGHTS = np.array([[1, 0], [2, 3], [5, 0]], np.int64)  # by language: of a corpus occurrence, of one in the sentences


def pairs_of(rows: list[tuple[list[int], int, int, int]], language: int) -> Counter[tuple[int, int]]:
    counts: Counter[tuple[int, int]] = Counter()
    for tokens, lang, train, dev in rows:
        for pair in itertools.pairwise(tokens):
            counts[pair] += WEIGHTS[lang] @ (train, dev) if lang == language else 0
    return counts


def merged(tokens: list[int], left: int, right: int, new: int) -> list[int]:
    result, k = [], 0
    while k < len(tokens):
        found = tokens[k : k + 2] == [left, right]
        result.append(new if found else tokens[k])
        k += 1 + found
    return result


@PROPERTY
@given(PIECES, st.data())
def test_counts_and_totals_follow_any_merges(rows: list[tuple[list[int], int, int, int]], data: st.DataObject) -> None:
    """Small alphabets make runs such as `a a a`, where occurrences overlap."""
    index = PairIndex(counted(rows), WEIGHTS, [1, 2], 1)
    for new in range(10, 16):
        for language in (1, 2):
            counts = {pair: n for pair, n in pairs_of(rows, language).items() if n >= 1}
            best = max(((n, -a, -b) for (a, b), n in counts.items()), default=None)
            assert index.best(language) == (None if best is None else (-best[1], -best[2], best[0]))
        known = sorted({pair for language in range(3) for pair in pairs_of(rows, language)})
        if not known:
            return
        left, right = data.draw(st.sampled_from(known))
        index.merge(left, right, new)
        rows = [(merged(tokens, left, right, new), *rest) for tokens, *rest in rows]  # type: ignore[misc]
        for language in range(3):
            mine = [row for row in rows if row[1] == language]
            assert index.train_tokens[language] == sum(len(row[0]) * row[2] for row in mine)
            assert index.dev_tokens[language] == sum(len(row[0]) * row[3] for row in mine)
            for pair, weight in pairs_of(rows, language).items():
                assert index.weight(language, *pair) == weight
            assert index.weighted_tokens(language) == sum(WEIGHTS[language] @ row[2:] * len(row[0]) for row in mine)
            uses = Counter(token for row in mine for token in row[0] for _ in range(WEIGHTS[language] @ row[2:]))
            assert index.uses(language, 16).tolist() == [uses[token] for token in range(16)]


def test_a_refused_pair_is_not_offered_again() -> None:
    index = PairIndex(counted([([1, 2, 3], 1, 5, 0), ([2, 3], 1, 2, 0)]), WEIGHTS, [1], 2)
    assert index.best(1) == (2, 3, 14)
    index.reject_best(1)
    assert index.best(1) == (1, 2, 10)
    index.reject_best(1)
    assert index.best(1) is None


def test_light_pairs_are_never_best() -> None:
    index = PairIndex(counted([([1, 2], 1, 2, 0), ([3, 4], 1, 3, 0)]), WEIGHTS, [1], 6)
    assert index.best(1) == (3, 4, 6)
    index.merge(3, 4, 9)
    assert index.best(1) is None


def test_tables_grow() -> None:
    """More pairs than the first tables hold (4,096)."""
    rng = np.random.default_rng(1)
    rows = [(rng.integers(0, 300, 40).tolist(), 1, 1, 1) for _ in range(500)]
    index = PairIndex(counted(rows), WEIGHTS, [1], 1)
    wanted = pairs_of(rows, 1)
    assert len(wanted) > 4096
    assert all(index.weight(1, *pair) == weight for pair, weight in wanted.items())


def test_too_much_text_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_index, "MAX_TOKENS", 3)
    with pytest.raises(
        DataError, match=r"got 4 tokens of text and takes at most 3. Lower vocab.megabytes_per_language"
    ):
        PairIndex(counted([([1, 2, 3, 4], 0, 1, 0)]), WEIGHTS[:1], [0], 1)
