"""The kernel against ROUGE-L by the book, in plain Python, and against the rouge-score package where both cut alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from seallm.chat_data.novelty import NoveltyPool, unit_hashes


def plain_rouge_l(first: list[int], second: list[int]) -> float:
    """Dynamic programming over all prefixes."""
    lengths = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if a == b else max(lengths[i][j + 1], lengths[i + 1][j])
    return 2 * lengths[-1][-1] / (len(first) + len(second)) if first and second else 0.0


def plain_closest(text: str, pool: list[str]) -> float:
    hashes = [list(map(int, units)) for units in unit_hashes([text, *pool])]
    return max((plain_rouge_l(hashes[0], other) for other in hashes[1:]), default=0.0)


WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "d", "e", "ff"]), max_size=140).map(" ".join)


@settings(max_examples=30, deadline=None)
@given(WORDS, st.lists(WORDS, max_size=3))
def test_equals_the_plain_reference(text: str, pool: list[str]) -> None:
    """Lengths up to 140 units: the bits of several machine words carry over."""
    grown = NoveltyPool()
    for other in pool:
        grown.add(other)
    found = grown.closest(text)
    assert found.similarity == pytest.approx(plain_closest(text, pool), abs=1e-12)
    if found.number >= 0:
        assert plain_closest(text, [pool[found.number]]) == pytest.approx(found.similarity, abs=1e-12)
    assert NoveltyPool(pool).closest(text) == found
    assert grown.closest(text) == found, "the scratch table was not emptied"


def test_exactly_64_and_65_units() -> None:
    for count in (63, 64, 65, 127, 128, 129):
        text = " ".join(chr(0x100 + n) for n in range(count))
        assert NoveltyPool([text]).closest(text).similarity == 1.0


def test_equals_the_package_on_english() -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    texts = [
        "Write a short story about a dog that learns to swim",
        "Write a short poem about a dog that learns to sing and swim",
        "List three reasons why rivers flood in the rainy season",
        "Give three reasons for floods",
    ]
    for number, text in enumerate(texts):
        others = texts[:number] + texts[number + 1 :]
        expected = max(scorer.score(other, text)["rougeL"].fmeasure for other in others)
        assert NoveltyPool(others).closest(text).similarity == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "count"),
    [("สวัสดี ครับ", 7), ("ກິນເຂົ້າ", 5), ("ភាសាខ្មែរ", 4), ("今天天气", 4), ("Xin chào bạn", 3), ("ใช้ Python 3", 4)],
)
def test_units_are_clusters_where_no_spaces_are(text: str, count: int) -> None:
    assert len(unit_hashes([text])[0]) == count


def test_a_pool_that_grows_far_beyond_its_first_room() -> None:
    rng = np.random.default_rng(0)
    pool = [" ".join("w" + chr(0x4E00 - 5000 + n) for n in rng.integers(0, 90, 12)) for _ in range(400)]
    grown = NoveltyPool(pool[:5])
    for text in pool[5:]:
        grown.add(text)
    assert len(grown) == 400
    for text in pool[::97]:
        assert grown.closest(text).similarity == 1.0
    assert grown.closest("ไม่มีอะไรเหมือน") == (0.0, -1)
    assert grown.closest("") == (0.0, -1)
