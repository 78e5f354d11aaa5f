import random

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.corpus.duplicates import band_keys, find_duplicates
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import measure
from seallm.corpus.word_lists import make_word_lists
from tests.corpus.pages import ARTICLES


def plainly(hashes: list[int], bands: list[list[int]], ranks: list[int]) -> tuple[list[bool], list[bool], list[int]]:
    """Clusters by flooding; the best of a cluster stays."""
    n = len(hashes)
    equal = [[hashes[a] == hashes[b] or any(map(int.__eq__, bands[a], bands[b])) for b in range(n)] for a in range(n)]
    left, exact, near, sizes = set(range(n)), [False] * n, [False] * n, [0] * n
    while left:
        cluster, frontier = set(), [min(left)]
        while frontier:
            a = frontier.pop()
            if a not in cluster:
                cluster.add(a)
                frontier += [b for b in range(n) if equal[a][b]]
        left -= cluster
        best = min(cluster, key=lambda a: ranks[a])
        sizes[best] = len(cluster)
        for a in cluster - {best}:
            exact[a] = any(hashes[b] == hashes[a] and ranks[b] < ranks[a] for b in cluster)
            near[a] = not exact[a]
    return exact, near, sizes


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 12), st.integers(1, 3), st.randoms(use_true_random=False))
def test_equals_the_plain_reading(n: int, bands: int, rng: random.Random) -> None:
    hashes = [rng.randrange(12) for _ in range(n)]
    # equal hashes come with equal bands, as they do for equal texts
    by_hash = {h: [rng.randrange(9) + 100 * b for b in range(bands)] for h in range(12)}
    keys, ranks = [by_hash[h] for h in hashes], rng.sample(range(n), n)
    found = find_duplicates(
        np.array(hashes, np.uint64), np.array(keys, np.uint64).reshape(n, bands), np.array(ranks, np.int64)
    )
    assert (found.exact.tolist(), found.near.tolist(), found.cluster_sizes.tolist()) == plainly(hashes, keys, ranks)


def test_keys_of_different_bands_do_not_meet() -> None:
    keys = band_keys(np.full((1, 8), 7, np.uint32), 4)
    assert len(set(keys[0].tolist())) == 4


def test_a_key_covers_its_whole_band_and_no_more() -> None:
    signature = np.arange(8, dtype=np.uint32)[None]
    before = band_keys(signature, 2)
    for position in range(8):
        changed = signature.copy()
        changed[0, position] += 1
        assert (band_keys(changed, 2) != before).tolist() == [[position < 4, position >= 4]]


def test_near_copies_of_articles_are_found_and_others_are_not() -> None:
    rng = random.Random(1)
    texts = []
    for text in (ARTICLES["en"], ARTICLES["vi"], ARTICLES["id"]):
        paragraphs = [" ".join(rng.sample(text.split(), len(text.split()))) for _ in range(10)]
        texts += ["\n".join([text, *paragraphs]), "\n".join([text, *paragraphs[:9], "another end"])]
    signatures = measure(pa.array(texts), make_word_lists([]), make_minhash(112, 5)).signatures
    found = find_duplicates(np.arange(6, dtype=np.uint64), band_keys(signatures, 14), np.arange(6))
    assert found.near.tolist() == [False, True] * 3
    assert found.cluster_sizes.tolist() == [2, 0] * 3
