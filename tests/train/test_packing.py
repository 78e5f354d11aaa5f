from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.train.packing import pack_filling, pack_whole

row_lengths = st.integers(4, 64)


@settings(deadline=None)
@given(row_lengths, st.data())
def test_whole_items_are_packed_once_each_and_fit(row_tokens: int, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, row_tokens), max_size=80))
    rows = pack_whole(lengths, row_tokens)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    assert all(row and sum(lengths[item] for item in row) <= row_tokens for row in rows)


@settings(deadline=None)
@given(row_lengths, st.data())
def test_best_fit_leaves_no_two_rows_that_fit_in_one(row_tokens: int, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, row_tokens), max_size=60))
    sizes = sorted(sum(lengths[item] for item in row) for row in pack_whole(lengths, row_tokens))
    assert len(sizes) < 2 or sizes[0] + sizes[1] > row_tokens


def test_whole_items_take_the_tightest_row() -> None:
    # decreasing: 7 | 6 | 3 goes beside 7 (3 free), not beside 6 (4 free) | 4 goes beside 6
    assert pack_whole([3, 7, 4, 6], 10) == [[1, 0], [3, 2]]


@settings(deadline=None)
@given(row_lengths, st.integers(1, 12), st.data())
def test_filling_loses_and_doubles_no_token(row_tokens: int, num_rows: int, data: st.DataObject) -> None:
    room = num_rows * row_tokens
    lengths: list[int] = []
    while sum(lengths) < room and data.draw(st.booleans(), label="another"):
        lengths.append(data.draw(st.integers(1, room - sum(lengths))))
    rows = pack_filling(lengths, num_rows, row_tokens)
    assert len(rows) == num_rows
    assert all(sum(stop - start for _, start, stop in row) <= row_tokens for row in rows)
    covered = sorted(part for row in rows for part in row)
    expected = [(item, token) for item, length in enumerate(lengths) for token in range(length)]
    assert [(item, token) for item, start, stop in covered for token in range(start, stop)] == expected


def test_filling_cuts_only_what_fits_nowhere() -> None:
    rows = pack_filling([6, 6, 6, 2], 2, 10)
    parts = {item: [(start, stop) for row in rows for i, start, stop in row if i == item] for item in range(4)}
    assert parts[0] == [(0, 6)]
    assert parts[1] == [(0, 6)]
    assert parts[3] == [(0, 2)]
    assert sorted(parts[2]) == [(0, 4), (4, 6)]  # 4 tokens into the wider space, the rest into the other


def test_long_items_become_whole_rows_and_a_rest() -> None:
    assert pack_filling([25], 3, 10) == [[(0, 0, 10)], [(0, 10, 20)], [(0, 20, 25)]]
