"""How an endpoint is called: pace, patience, where answers are kept, what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seallm.endpoints.metering import Price


@dataclass(frozen=True)
class EndpointSettings:
    """How an endpoint is called.

    Attributes:
        concurrent_calls: calls under way at once.
        requests_per_minute: most calls started; None for any number.
        tokens_per_minute: most tokens, questions and answers together; None for any number.
        connect_seconds: time for a connection.
        call_seconds: time for one whole answer.
        attempts: how often a question is asked before it is given up.
        first_wait_seconds: pause after the first failed attempt; each further one doubles it.
        longest_wait_seconds: no pause is longer, whatever the server asks for.
        answers: folder that keeps all answers; None keeps none.
        price: for the meter.
        extra: further fields of every request, for servers that want them.
    """

    concurrent_calls: int = 16
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    connect_seconds: float = 10.0
    call_seconds: float = 300.0
    attempts: int = 7
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 120.0
    answers: Path | None = None
    price: Price = field(default_factory=Price)
    extra: Mapping[str, Any] = field(default_factory=dict)
