import pyarrow as pa

from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import measure
from seallm.corpus.word_lists import make_word_lists


def counts(lists: list[list[str]], *texts: str) -> tuple[list[list[int]], list[list[int]]]:
    found = measure(pa.array(texts), make_word_lists(lists), make_minhash(1, 1))
    return found.listed.tolist(), found.distinct.tolist()


def test_counts_words_and_different_words_of_each_list() -> None:
    lists = [["và", "của"], ["của", "khi"]]
    assert counts(lists, "Và của, và khi. VÀ", "không có") == ([[4, 2], [0, 0]], [[2, 2], [0, 0]])


def test_the_same_word_counts_again_in_the_next_text() -> None:
    assert counts([["the"]], "the", "the")[1] == [[1], [1]]


def test_many_words_in_a_small_table() -> None:
    words = [f"{a}{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklmnopqrstuvwxyz"]
    listed, distinct = counts([words, words[::2]], " ".join(words))
    assert listed == distinct == [[676, 338]]


def test_a_table_is_reused() -> None:
    table, minhash = make_word_lists([["the"]]), make_minhash(1, 1)
    for _ in range(2):
        assert measure(pa.array(["the"]), table, minhash).distinct.tolist() == [[1]]
