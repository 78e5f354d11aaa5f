"""What a server did, as Prometheus reads it: requests, tokens, the queue, times, what was found computed already."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seallm.model.continuous import ContinuousBatch
from seallm.serve.engine import Engine

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The figures of one server."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._replies = Counter("seallm_http_replies", "HTTP replies.", ["path", "status"], registry=self._registry)
        self._ends = Counter("seallm_requests", "Requests for answers, by their end.", ["end"], registry=self._registry)
        self._seconds = Histogram(
            "seallm_request_seconds",
            "Time from a request to its last token, waiting included.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._first = Histogram(
            "seallm_first_text_seconds",
            "Time from a request to its first text, waiting included.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._registry.register(_EngineFigures(engine))

    def replied(self, path: str, status: int) -> None:
        """Count a reply; `path` is one of the API's own, so that clients cannot make up new ones."""
        self._replies.labels(path, str(status)).inc()

    def request_ended(self, end: str, seconds: float, first_text_seconds: float | None) -> None:
        """Count a request for answers.

        Args:
            end: finished, cancelled, failed or timed out.
            seconds: it took.
            first_text_seconds: until its first text; None: there was none.
        """
        self._ends.labels(end).inc()
        self._seconds.observe(seconds)
        if first_text_seconds is not None:
            self._first.observe(first_text_seconds)

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self._registry)


class _EngineFigures(Collector):
    """Read from the engine when they are asked for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def collect(self) -> Iterator[Metric]:
        """Gauges and counters of the queue and, where the batch is our own, of its tokens and cache."""
        yield GaugeMetricFamily(
            "seallm_requests_pending", "Requests waiting or being answered.", self.engine.num_pending
        )
        yield GaugeMetricFamily("seallm_requests_waiting", "Requests not begun yet.", self.engine.num_waiting)
        batch = self.engine.batch
        if not isinstance(batch, ContinuousBatch):
            return
        figures = batch.figures
        yield CounterMetricFamily("seallm_prompt_tokens", "Tokens of prompts.", value=figures.prompt_tokens)
        yield CounterMetricFamily(
            "seallm_reused_prompt_tokens", "Of these, found computed already.", value=figures.reused_tokens
        )
        yield CounterMetricFamily("seallm_answer_tokens", "Tokens of answers.", value=figures.answer_tokens)
        yield CounterMetricFamily("seallm_steps", "Forward passes.", value=figures.steps)
        yield GaugeMetricFamily(
            "seallm_cache_tokens", "Tokens the cache has memory for.", batch.computer.num_cached_tokens
        )
        yield GaugeMetricFamily(
            "seallm_prefix_tokens", "Tokens kept for later requests.", batch.computer.num_kept_tokens
        )
