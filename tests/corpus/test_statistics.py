import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.corpus import statistics as s
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.word_lists import make_word_lists
from tests.corpus.reference import Expected, measure_plainly, texts

LISTS = [["the", "of", "and"], ["yang", "the"], []]
MINHASH = make_minhash(16, 3)


def measure(*rows: str) -> list[Expected]:
    found = s.measure(pa.array(rows, pa.large_string()), make_word_lists(LISTS), MINHASH)
    return [Expected(*(column[i].tolist() for column in found)) for i in range(len(rows))]


@settings(deadline=None, max_examples=300)
@given(st.lists(texts, min_size=1, max_size=4))
@example([""])
@example(["a"])
@example(["ก"])
@example(["", "\n\n", "a\n\na\na", "ก็ำ", "ក្រ្ត", "İı", "中文" * 40])
def test_kernel_equals_the_plain_reading(rows: list[str]) -> None:
    # several texts in one call: nothing may leak from one to the next
    for text, found in zip(rows, measure(*rows), strict=True):
        assert found == measure_plainly(text, LISTS, MINHASH)


@pytest.mark.parametrize("unit", ["the cat of 12 dogs\n", "ភាសាខ្មែរ ", "中文網頁。\n", "a"])
def test_a_megabyte(unit: str) -> None:
    # unlike lines and words, so that neither set nor counters stay small
    text = "".join(f"{unit}{i}" for i in range(1_000_000 // (len(unit.encode()) + 5)))
    (found,) = measure(text)
    assert found.totals[s.CHARACTERS] == sum(not c.isspace() for c in text)
    assert found.totals[s.LINES] == len([line for line in text.split("\n") if line])
    assert found.totals[s.DUPLICATE_LINE_CHARACTERS] == 0


def test_one_long_word() -> None:
    (found,) = measure("a" * 3_000_000)
    assert found.totals[s.UNITS] == 1
    assert found.totals[s.UNIT_LETTERS] == 3_000_000


def test_bytes_that_are_not_utf8_are_refused() -> None:
    offsets, content = pa.py_buffer(np.array([0, 3], np.int64)), pa.py_buffer(b"a\xc3\x28")
    broken = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, content])
    with pytest.raises(DataError, match="not valid UTF-8"):
        s.measure(broken, make_word_lists(LISTS), MINHASH)


def test_null_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 texts are null"):
        s.measure(pa.array(["a", None]), make_word_lists(LISTS), MINHASH)


def test_slices_and_chunks_are_read_in_place() -> None:
    rows = ["the first", "the second", "yang ketiga"]
    words, table = make_word_lists(LISTS), pa.chunked_array([rows[:1], rows[1:]])
    assert s.measure(table, words, MINHASH).hashes.tolist() == [row.hash for row in measure(*rows)]
    assert s.measure(pa.array(rows)[1:], words, MINHASH).hashes.tolist() == [row.hash for row in measure(*rows[1:])]


def test_equal_text_in_other_white_space_has_the_same_hash() -> None:
    one, other, third = measure("one two\nthree", " one  two three\n", "one two four")
    assert one.hash == other.hash != third.hash


def test_no_texts() -> None:
    assert s.measure(pa.array([], pa.large_string()), make_word_lists(LISTS), MINHASH).totals.shape == (0, s.TOTALS)
