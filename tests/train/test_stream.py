import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.train.stream import (
    BLOCK_ROWS,
    SHARE_UNITS,
    Part,
    Source,
    TextStream,
    in_units,
    language_shares,
    random_generator,
)


def make_source(name: str = "en.high", count: int = 300, seed: int = 0, longest: int = 90) -> Source:
    lengths = random_generator(seed, name, "lengths").integers(1, longest, count)
    return Source(name, lengths, seed)


def make_stream(num_rows: int = 600, row_tokens: int = 64, seed: int = 0) -> TextStream:
    shares = in_units([0.5, 0.3, 0.2])
    sources = [make_source("en.high", 300, seed), make_source("th.high", 40, seed), make_source("lo.low", 7, seed)]
    parts = [Part(s, share, start) for s, share, start in zip(sources, shares, (0, 123, 5), strict=True)]
    return TextStream("mix", parts, num_rows, row_tokens, seed)


def tokens_of(stream: TextStream, rows: range) -> Counter[tuple[int, int, int]]:
    return Counter(
        (piece.source, piece.document, token)
        for number in rows
        for piece in stream.row(number)
        for token in range(piece.start, piece.stop)
    )


@settings(max_examples=30)
@given(st.integers(1, 700), st.integers(8, 200), st.integers(0, 5))
def test_a_stream_is_just_its_parts_of_the_sources(num_rows: int, row_tokens: int, seed: int) -> None:
    stream = make_stream(num_rows, row_tokens, seed)
    expected: Counter[tuple[int, int, int]] = Counter()
    for number, part in enumerate(stream.parts):
        for document, start, stop in part.source.cut(part.start, stream.stop(number)):
            expected.update((number, document, token) for token in range(start, stop))
    assert tokens_of(stream, range(num_rows)) == expected


def test_rows_do_not_depend_on_what_was_read_before() -> None:
    in_order = [make_stream().row(number) for number in range(600)]
    stream = make_stream()
    numbers = random_generator(0, "order").permutation(600)
    assert all(stream.row(int(number)) == in_order[number] for number in numbers)
    assert make_stream().row(599) == in_order[599]


def test_seed_and_name_change_the_rows() -> None:
    first = make_stream()
    other_name = TextStream("other", first.parts, 600, 64, 0)
    assert first.row(0) != make_stream(seed=1).row(0)
    assert first.row(0) != other_name.row(0)
    assert tokens_of(first, range(BLOCK_ROWS)) == tokens_of(other_name, range(BLOCK_ROWS))


def test_padding_is_below_half_a_percent_and_shares_are_kept() -> None:
    stream = make_stream(num_rows=BLOCK_ROWS * 4, row_tokens=256)
    counts: Counter[int] = Counter()
    for (source, _, _), n in tokens_of(stream, range(stream.num_rows)).items():
        counts[source] += n
    room = stream.num_rows * 256
    assert 0.995 < counts.total() / room < 1
    assert [counts[i] / counts.total() for i in range(3)] == pytest.approx([0.5, 0.3, 0.2], abs=1e-4)


def test_a_far_row_is_computed_at_once() -> None:
    stream = make_stream(num_rows=10**12)
    far = stream.row(10**12 - 1)
    assert far
    assert far == make_stream(num_rows=10**12).row(10**12 - 1)


def test_every_epoch_holds_every_document_once_in_another_order() -> None:
    source = make_source()
    first, second = (source.cut(epoch * source.tokens, (epoch + 1) * source.tokens) for epoch in range(2))
    assert sorted(first) == sorted(second) == [(i, 0, int(n)) for i, n in enumerate(source.lengths)]
    assert first != second


@given(st.lists(st.integers(0, 3000), min_size=2, max_size=6))
def test_cuts_join_without_gap(stops: list[int]) -> None:
    source = make_source(count=25)
    edges = sorted(stops)
    whole = [t for d, a, b in source.cut(edges[0], edges[-1]) for t in [(d, i) for i in range(a, b)]]
    joined = [(d, i) for lo, hi in itertools.pairwise(edges) for d, a, b in source.cut(lo, hi) for i in range(a, b)]
    assert joined == whole


def test_seen_documents_are_those_that_were_fed() -> None:
    source = make_source()
    fed = {document for document, _, _ in source.cut(0, 1000)}
    seen = source.seen(1000)
    assert {document for document, _, _ in seen.cut(0, seen.tokens)} == fed
    assert len(seen.lengths) == len(fed) < len(source.lengths)
    everything = source.seen(source.tokens + 1)
    assert len(everything.lengths) == len(source.lengths)
    assert everything.order(0)[0].tolist() != source.order(0)[0].tolist()


def test_language_shares() -> None:
    tokens = {"en": 900, "vi": 400, "lo": 100, "km": 0}
    assert language_shares(tokens, "en", 0.25, 2.0) == pytest.approx({"en": 0.25, "vi": 0.5, "lo": 0.25})
    assert language_shares(tokens, "en", 0.25, 1.0) == pytest.approx({"en": 0.25, "vi": 0.6, "lo": 0.15})
    assert language_shares({"en": 5}, "en", 0.25, 2.0) == {"en": 1.0}
    assert language_shares({"vi": 5, "en": 0}, "en", 0.25, 2.0) == {"vi": 1.0}
    assert language_shares({"en": 0}, "en", 0.25, 2.0) == {}


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30))
def test_share_units_sum_exactly(shares: list[float]) -> None:
    units = in_units(shares)
    assert sum(units) == SHARE_UNITS
    assert np.allclose(np.array(units) / SHARE_UNITS, np.array(shares) / sum(shares), atol=1e-8)
