import random
from string import ascii_lowercase

import numpy as np
import pyarrow as pa

from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import REPEATED_NGRAM_LETTERS, TOP_NGRAM_LETTERS, measure
from seallm.corpus.word_lists import make_word_lists


def totals(text: str) -> list[int]:
    found: list[int] = measure(pa.array([text]), make_word_lists([]), make_minhash(4, 5)).totals[0].tolist()
    return found


def test_signatures_agree_as_often_as_shingles_do() -> None:
    rng = random.Random(3)
    words = ["".join(rng.choices(ascii_lowercase, k=8)) for _ in range(8_000)]
    minhash, estimates, truths = make_minhash(1_024, 1), [], []
    for shared in (0.2, 0.5, 0.8, 0.95):
        cut = round(shared * 4_000)
        one, other = words[:4_000], words[:cut] + words[4_000 : 8_000 - cut]
        texts = pa.array([" ".join(one), " ".join(other)])
        signatures = measure(texts, make_word_lists([]), minhash).signatures
        estimates.append(np.mean(signatures[0] == signatures[1]))
        truths.append(len({*one} & {*other}) / len({*one} | {*other}))
    assert np.abs(np.subtract(estimates, truths)).max() < 0.06  # four standard deviations at 1,024 permutations


def test_hash_functions_are_permutations_and_never_change() -> None:
    minhash = make_minhash(112, 5)
    assert (minhash.multipliers % 2 == 1).all()
    assert len(set(minhash.multipliers.tolist())) == 112
    # a corpus stored yesterday must meet one of today
    assert (int(minhash.multipliers[0]), int(minhash.increments[0])) == (885181229, 1284625040)


def test_top_ngram_counts_all_its_occurrences() -> None:
    assert totals("red car, blue car, red car")[TOP_NGRAM_LETTERS] == 12
    assert totals("one two three four")[TOP_NGRAM_LETTERS] == 0


def test_repeated_ngrams_need_ten_words() -> None:
    ten = "a b c d e f g h i j "
    assert totals(ten * 2)[REPEATED_NGRAM_LETTERS] == 10
    assert totals(ten[:-2] * 2)[REPEATED_NGRAM_LETTERS] == 0


def test_four_clusters_stand_for_a_word() -> None:
    eight = "กขคงจฉชซ"  # a 2-gram of words without spaces
    assert totals(eight + "ดตถท" + eight)[TOP_NGRAM_LETTERS] == 16
