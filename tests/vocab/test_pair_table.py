import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seallm.vocab.pair_table import doubled, find, find_slot, new_table
from tests.vocab.tiny import PROPERTY


@PROPERTY
@given(st.dictionaries(st.integers(0, 2**62), st.integers(0, 2**31 - 1), max_size=60), st.integers(0, 2**62))
def test_holds_what_a_dictionary_holds(entries: dict[int, int], other: int) -> None:
    keys, values = new_table(len(entries) or 1)
    for key, value in entries.items():
        slot = find_slot(keys, key)
        keys[slot], values[slot] = key, value
    for keys, values in ((keys, values), doubled(keys, values)):  # noqa: B020
        assert {key: find(keys, values, key) for key in entries} == entries
        assert find(keys, values, other) == entries.get(other, -1)


def test_keys_that_collide_are_kept_apart() -> None:
    keys, values = new_table(8)
    first = 12345
    home = find_slot(keys, first)
    clash = next(key for key in range(first + 1, 10**6) if find_slot(keys, key) == home)
    keys[home], values[home] = first, 1
    slot = find_slot(keys, clash)
    assert slot != home
    keys[slot], values[slot] = clash, 2
    assert [find(keys, values, key) for key in (first, clash)] == [1, 2]


def test_room_for_every_entry() -> None:
    keys, _ = new_table(1000)
    assert keys.size >= 2000
    assert np.all(keys == -1)
