import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.train import sources as sources_module
from seallm.train.draws import random_generator
from seallm.train.sources import Documents, Source, group_sums, num_groups


def make_source(name: str = "en.high", count: int = 300, seed: int = 0, longest: int = 90) -> Source:
    lengths = random_generator(seed, name, "lengths").integers(1, longest, count)
    return Source(name, Documents.of_lengths(lengths), seed)


@pytest.fixture(params=[4096, 16], ids=["one group", "many groups"])
def _group_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "GROUP_DOCUMENTS", request.param)


small_groups = pytest.mark.usefixtures("_group_size")


def all_lengths(source: Source) -> list[int]:
    return np.diff(source.documents.offsets).tolist()


@small_groups
def test_every_epoch_holds_every_document_once_in_another_order() -> None:
    source = make_source()
    first, second = (source.cut(epoch * source.tokens, (epoch + 1) * source.tokens) for epoch in range(2))
    assert sorted(first) == sorted(second) == [(i, 0, n) for i, n in enumerate(all_lengths(source))]
    assert [d for d, _, _ in first] != [d for d, _, _ in second]
    assert [d for d, _, _ in first] != sorted(d for d, _, _ in first)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=2, max_size=6), st.sampled_from([3, 4096]))
def test_cuts_join_without_gap(stops: list[int], group_documents: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources_module, "GROUP_DOCUMENTS", group_documents)
        source = make_source(count=25)
    edges = sorted(stops)
    whole = [t for d, a, b in source.cut(edges[0], edges[-1]) for t in [(d, i) for i in range(a, b)]]
    joined = [(d, i) for lo, hi in itertools.pairwise(edges) for d, a, b in source.cut(lo, hi) for i in range(a, b)]
    assert joined == whole
    assert len(whole) == edges[-1] - edges[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(2, 40))
def test_groups_hold_every_document_once(documents: int, group_documents: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources_module, "GROUP_DOCUMENTS", group_documents)
        lengths = np.arange(1, documents + 1)
        found = Documents.of_lengths(lengths)
        groups = num_groups(documents)
    members = [found.members(group) for group in range(len(found.groups))]
    assert len(found.groups) == groups
    assert sorted(itertools.chain.from_iterable(m.tolist() for m in members)) == list(range(documents))
    assert [int(found.lengths(m).sum()) for m in members] == found.groups.tolist()
    assert max(map(len, members)) <= group_documents or groups == 1
    assert groups == 1 or all(groups % divisor for divisor in range(2, groups))


def test_an_empty_source_has_one_empty_group() -> None:
    assert group_sums(np.empty(0, np.int64)).tolist() == [0]
    assert Source("lo.low", Documents.of_lengths(np.empty(0, np.int64)), 0).tokens == 0


@small_groups
@pytest.mark.parametrize("tokens", [0, 1, 1000, 7000])
def test_seen_documents_are_those_that_were_fed(tokens: int) -> None:
    source = make_source()
    fed = {document for document, _, _ in source.cut(0, tokens)}
    seen = source.seen(tokens)
    again = seen.cut(0, seen.tokens)
    assert {document for document, _, _ in again} == fed
    assert len(again) == len(fed) < 300
    assert seen.tokens == sum(all_lengths(source)[document] for document in fed)


@small_groups
def test_what_was_fed_in_full_comes_again_in_another_order() -> None:
    source = make_source()
    everything = source.seen(source.tokens + 1)
    assert everything.tokens == source.tokens
    assert everything.cut(0, source.tokens) != source.cut(0, source.tokens)


def test_a_far_epoch_of_a_large_source_costs_its_groups_alone() -> None:
    """100 million documents: offsets are never read but where a group needs them."""

    class Offsets:
        """Every document has 100 tokens; counts what is read."""

        read = 0

        def __len__(self) -> int:
            return 10**8 + 1

        def __getitem__(self, number: Any) -> Any:
            Offsets.read += np.size(number)
            return number * 100

    groups = num_groups(10**8)
    sizes = np.full(groups, 10**8 // groups * 100)
    sizes[: 10**8 % groups] += 100
    source = Source("en.high", Documents(Offsets(), sizes), 0)  # type: ignore[arg-type]
    assert source.tokens == 10**10
    start = 10**12 + 12_345
    cut = source.cut(start, start + 10_000)
    assert sum(stop - start for _, start, stop in cut) == 10_000
    assert Offsets.read < 4 * 4096 + 1000
