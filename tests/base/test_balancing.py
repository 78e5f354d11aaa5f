from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.balancing import capped_counts, parted, tempered_counts

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 500), min_size=1)


@settings(deadline=None)
@given(
    COUNTS,
    st.floats(0.05, 1.0),
    st.dictionaries(st.sampled_from("abc"), st.floats(0.05, 0.5)),
)
def test_the_most_is_taken_that_the_caps_allow(counts: dict[str, int], share: float, own: dict[str, float]) -> None:
    found = capped_counts(counts, own, share)
    mine = {name: cap for name, cap in own.items() if name in counts}
    others = [name for name in counts if name not in mine]
    if others:
        caps = mine | dict.fromkeys(others, max(share, (1 - sum(mine.values())) / len(others)))
    else:
        caps = {name: cap / min(1, sum(mine.values())) for name, cap in mine.items()}
    assert all(0 <= found[name] <= n for name, n in counts.items())
    total = sum(found.values())
    for name in counts:  # rounding down may take a whole one from each of the others
        assert found[name] <= caps[name] * (total + len(counts)) + 1e-6
    larger = 1.02 * total + len(counts) + 1
    assert sum(min(n, caps[name] * larger) for name, n in counts.items()) <= larger


def test_caps_that_bind_nobody_take_everything() -> None:
    assert capped_counts({"en": 60, "th": 40}, {}, 1.0) == {"en": 60, "th": 40}
    assert capped_counts({"en": 60}, {}, 0.25) == {"en": 60}
    assert capped_counts({"en": 60, "th": 10, "lo": 10}, {}, 0.5) == {"en": 20, "th": 10, "lo": 10}
    assert capped_counts({"en": 600, "th": 90, "lo": 90}, {"en": 0.1}, 0.5) == {"en": 20, "th": 90, "lo": 90}
    assert capped_counts({"en": 600, "th": 90}, {"en": 0.0}, 1.0) == {"en": 0, "th": 90}


@settings(deadline=None, max_examples=30)
@given(COUNTS, st.integers(0, 2_000), st.floats(1.0, 8.0))
def test_a_total_is_parted_by_temperature(counts: dict[str, int], total: int, temperature: float) -> None:
    found = tempered_counts(counts, total, temperature)
    assert found.keys() == counts.keys()
    assert sum(found.values()) == min(total, sum(counts.values()))
    assert all(0 <= found[name] <= n for name, n in counts.items())
    assert found == tempered_counts(dict(reversed(counts.items())), total, temperature)
    open_names = [name for name in counts if found[name] < counts[name]]
    for a in open_names:  # those that could give more have shares as their weights, to rounding
        for b in open_names:
            if counts[a] >= counts[b]:
                ratio = (counts[a] / counts[b]) ** (1 / temperature)
                assert abs(found[a] - found[b] * ratio) <= 1 + ratio


def test_temperature_evens_languages_out() -> None:
    counts = {"en": 10_000, "th": 100, "lo": 1}
    assert tempered_counts(counts, 1_010, 1.0) == {"en": 1_000, "th": 10, "lo": 0}
    assert tempered_counts(counts, 111, 2.0) == {"en": 100, "th": 10, "lo": 1}
    assert tempered_counts(counts, 300, 1_000.0) == {"en": 199, "th": 100, "lo": 1}
    assert tempered_counts({}, 5, 2.0) == {}


@settings(max_examples=30)
@given(COUNTS, st.data())
def test_parts_add_up(counts: dict[str, int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(counts.values())))
    found = parted(counts, total)
    assert sum(found.values()) == total
    assert all(0 <= found[name] <= n for name, n in counts.items())
