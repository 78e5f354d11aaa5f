from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.train.draws import random_generator
from seallm.train.shares import in_units
from seallm.train.stream import BLOCK_ROWS, Interleaving, Part, PureStream, RowStream, TextStream
from tests.train.test_sources import make_source


def make_parts(seed: int = 0) -> list[Part]:
    shares = in_units([0.5, 0.3, 0.2])
    sources = [make_source("en.high", 300, seed), make_source("th.high", 40, seed), make_source("lo.low", 7, seed)]
    return [Part(s, share, start) for s, share, start in zip(sources, shares, (0, 123, 5), strict=True)]


def make_stream(num_rows: int = 600, row_tokens: int = 64, seed: int = 0) -> TextStream:
    return TextStream("mix", make_parts(seed), num_rows, row_tokens, seed)


def make_pure(num_rows: int = 600, row_tokens: int = 64, seed: int = 0) -> PureStream:
    return PureStream("mix", make_parts(seed), num_rows, row_tokens, seed, ["en", "th", "lo"])


def tokens_of(stream: RowStream, rows: range) -> Counter[tuple[int, int, int]]:
    return Counter(
        (piece.source, piece.document, token)
        for number in rows
        for piece in stream.row(number)
        for token in range(piece.start, piece.stop)
    )


both_kinds = pytest.mark.parametrize("make", [make_stream, make_pure], ids=["mixed", "pure"])
Make = Callable[..., RowStream]


@both_kinds
@settings(max_examples=25, deadline=None)
@given(num_rows=st.integers(1, 700), row_tokens=st.integers(8, 200), seed=st.integers(0, 5))
def test_a_stream_is_just_its_parts_of_the_sources(make: Make, num_rows: int, row_tokens: int, seed: int) -> None:
    stream = make(num_rows, row_tokens, seed)
    expected: Counter[tuple[int, int, int]] = Counter()
    for number, part in enumerate(stream.parts):
        for document, start, stop in part.source.cut(part.start, stream.stop(number)):
            expected.update((number, document, token) for token in range(start, stop))
    assert tokens_of(stream, range(num_rows)) == expected


@both_kinds
def test_rows_do_not_depend_on_what_was_read_before(make: Make) -> None:
    in_order = [make().row(number) for number in range(600)]
    stream = make()
    numbers = random_generator(0, "order").permutation(600)[:100]
    assert all(stream.row(int(number)) == in_order[number] for number in numbers)
    assert make().row(599) == in_order[599]


@both_kinds
@pytest.mark.parametrize("readers", [1, 2, 64])
def test_any_number_of_readers_sees_the_same_global_batches(make: Make, readers: int) -> None:
    per_step = 64
    whole = make(640)
    expected = [[whole.row(n) for n in range(step * per_step, (step + 1) * per_step)] for step in range(10)]
    own = [make(640) for _ in range(readers)]
    for step in (7, 0, 3):
        rows = [own[n % readers].row(step * per_step + n) for n in range(per_step)]
        assert rows == expected[step]


def test_seed_and_name_change_the_rows() -> None:
    first = make_stream()
    other_name = TextStream("other", first.parts, 600, 64, 0)
    assert first.row(0) != make_stream(seed=1).row(0)
    assert first.row(0) != other_name.row(0)
    assert tokens_of(first, range(BLOCK_ROWS)) == tokens_of(other_name, range(BLOCK_ROWS))


@both_kinds
def test_padding_is_below_half_a_percent_and_shares_are_kept(make: Make) -> None:
    stream = make(num_rows=BLOCK_ROWS * 10, row_tokens=256)
    counts: Counter[int] = Counter()
    for (source, _, _), n in tokens_of(stream, range(stream.num_rows)).items():
        counts[source] += n
    room = stream.num_rows * 256
    assert 0.995 < counts.total() / room < 1
    assert [counts[i] / counts.total() for i in range(3)] == pytest.approx([0.5, 0.3, 0.2], abs=1e-3)


def test_pure_rows_hold_one_language_and_alternate() -> None:
    stream = make_pure()
    languages = [{piece.source for piece in stream.row(number)} for number in range(600)]
    assert all(len(found) == 1 for found in languages)
    for start in range(0, 600, 20):
        counts = Counter(next(iter(found)) for found in languages[start : start + 20])
        assert [counts[i] for i in range(3)] == pytest.approx([10, 6, 4], abs=1.01)


@pytest.mark.parametrize("number", [10**6, 10**7, 10**12 - 1])
@both_kinds
def test_a_far_row_is_computed_at_once(make: Make, number: int) -> None:
    stream = make(num_rows=10**12)
    far = stream.row(number)
    assert far
    assert far == make(num_rows=10**12).row(number)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any), st.integers(0, 10**12))
def test_interleaved_rows_are_numbered_without_gap(units: list[int], start: int) -> None:
    interleaving = Interleaving(units)
    counts = interleaving.counts(start)
    assert sum(counts) == start
    for number in range(start, start + 40):
        stream, place = interleaving.place(number)
        assert place == counts[stream]
        counts[stream] += 1
    assert counts == interleaving.counts(start + 40)
    assert counts == pytest.approx([(start + 40) * u / sum(units) for u in units], abs=len(units))
