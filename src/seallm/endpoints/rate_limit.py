"""Calls in, the seconds each must wait out: at most so many calls and so many tokens a minute, evenly spaced.

No burst is allowed, since providers count in windows shorter than a minute, too. Only seconds are computed here; the
caller sleeps.
"""

import time
from collections.abc import Callable


class RateLimit:
    """The shared pace of all calls of one endpoint.

    Args:
        requests_per_minute: None for any number.
        tokens_per_minute: tokens of questions and answers; None for any number.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._request_seconds = 60 / requests_per_minute if requests_per_minute else 0.0
        self._token_seconds = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._next_request = self._next_tokens = self._paused_until = clock()

    def reserve(self, tokens: float) -> float:
        """Take a place in the line for a call of so many tokens; seconds until it may start."""
        now = self._clock()
        start = max(now, self._next_request, self._next_tokens)
        self._next_request = start + self._request_seconds
        self._next_tokens = start + tokens * self._token_seconds
        return start - now

    def settle(self, reserved: float, used: float) -> None:
        """Give back the tokens that were reserved and not used, or take what was used beyond."""
        self._next_tokens += (used - reserved) * self._token_seconds

    def pause(self, seconds: float) -> None:
        """The server asked for so many seconds of silence: no call starts before."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    @property
    def paused_seconds(self) -> float:
        """What is left of a pause."""
        return max(0.0, self._paused_until - self._clock())
