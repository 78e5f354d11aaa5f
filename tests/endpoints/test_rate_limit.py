"""The pace: never more than the limit in any minute, whatever the callers do."""

from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.endpoints.rate_limit import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.floats(0, 3)), min_size=1, max_size=60),
    st.integers(1, 300),
    st.integers(50, 5_000),
)
def test_no_minute_has_more_than_the_limits(calls: list[tuple[int, float]], requests: int, tokens: int) -> None:
    clock = Clock()
    limit = RateLimit(requests, tokens, clock)
    starts = []
    for size, pause in calls:
        clock.now += pause
        starts.append((clock.now + limit.reserve(size), size))
    assert starts == sorted(starts, key=lambda s: s[0])
    for first, _ in starts:
        inside = [size for start, size in starts if first <= start < first + 60 - 1e-6]
        assert len(inside) <= requests + 1e-6
        assert sum(inside[:-1]) <= tokens + 1e-6  # the last call's tokens are waited for by the one after it


def test_without_limits_nobody_waits() -> None:
    limit = RateLimit(clock=Clock())
    assert [limit.reserve(10_000) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_what_was_not_used_is_given_back() -> None:
    clock = Clock()
    limit = RateLimit(tokens_per_minute=60, clock=clock)
    assert limit.reserve(30) == 0
    limit.settle(30, 10)
    assert limit.reserve(10) == 10
    limit.settle(10, 20)
    assert limit.reserve(0) == 30


def test_a_pause_holds_until_it_is_over() -> None:
    clock = Clock()
    limit = RateLimit(clock=clock)
    limit.pause(5)
    limit.pause(2)
    clock.now += 1
    assert limit.paused_seconds == 4
    clock.now += 5
    assert limit.paused_seconds == 0
