"""What a run tells while it trains: a line on the display, rows in two files, and curves for a tracker.

    metrics.jsonl   step, mixture, loss, learning_rate, tokens, shares; `spike` where the loss jumped: the same bytes
                    every time
    timings.jsonl   step, seconds, tokens_per_second, and on a GPU peak_share and memory_bytes

`peak_share` is the share of the device's peak that the products of weights with tokens take (MFU): attention and what
is computed twice are not counted, so it errs on the low side.
"""

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext
from seallm.base.runtime import own_place
from seallm.train.device import matrix_parameters, memory_bytes, peak_flops, step_flops
from seallm.train.step_log import StepLog
from seallm.train.tracking import open_tracker

METRICS, TIMINGS = "metrics.jsonl", "timings.jsonl"
SPIKE_WINDOW, SPIKE_DEVIATIONS = 64, 6.0  # a loss this far above the mean of so many steps before it is a spike
SHOWN_SHARES = 4  # languages on the display
FORGOTTEN_SECONDS = 30.0  # speeds on the display are means over about this time


class Spikes:
    """Tells a loss that jumped from those before it."""

    def __init__(self, losses: list[float]) -> None:
        self._losses = deque(losses[-SPIKE_WINDOW:], SPIKE_WINDOW)

    def add(self, loss: float) -> bool:
        """True where this loss is far above what came before, in terms of how much that varied."""
        known = self._losses
        is_spike = False
        if len(known) == SPIKE_WINDOW:
            mean = sum(known) / len(known)
            deviation = math.sqrt(sum((x - mean) ** 2 for x in known) / len(known))
            is_spike = loss > mean + SPIKE_DEVIATIONS * max(deviation, 0.01 * abs(mean))
        known.append(loss)
        return is_spike


class Reporter:
    """Writes the rows of one call of `train`; only process 0 writes.

    Attributes:
        logs: its files, for cutting back and for flushing.
    """

    def __init__(self, context: StageContext, model: PreTrainedModel, title: str) -> None:
        self._context, self._title = context, title
        self._metrics, self._timings = StepLog(context.out / METRICS), StepLog(context.out / TIMINGS)
        self.logs = (self._metrics, self._timings)
        self._device, self._parameters = model.device, matrix_parameters(model)
        peak = peak_flops(model.device)
        self._peak = None if peak is None else peak * own_place().processes
        self._tokens, self._seconds, self._spike_count = 0, 0.0, 0
        self._recent: deque[tuple[float, float, float]] = deque()  # (when, tokens, seconds)

    @contextmanager
    def running(self, made: int) -> Iterator[None]:
        """Open what stays open while training runs; call after the logs were cut back to `made` steps."""
        rows = self._metrics.rows()
        self._spikes = Spikes([row["loss"] for row in rows if row.get("loss") is not None])
        self._spike_count = sum(bool(row.get("spike")) for row in rows)
        self._tracker = open_tracker(self._context.runtime.training.track, self._context.out, self._title)
        try:
            yield
        finally:
            self._tracker.close()

    def add(
        self, made: int, mixture: str, row: Mapping[str, Any], tokens: int, targets: int | None, seconds: float
    ) -> str:
        """Write a step's rows; returns the line for the display.

        Args:
            made: steps made, this one included.
            mixture: name of the phase.
            row: loss, learning rate and the batch's record.
            tokens: of all processes.
            targets: tokens with a loss; None: all.
            seconds: the step took.
        """
        is_spike = row["loss"] is not None and self._spikes.add(row["loss"])
        self._spike_count += is_spike
        self._metrics.append({"step": made, "mixture": mixture, **row, **({"spike": True} if is_spike else {})})
        self._tokens, self._seconds = self._tokens + tokens, self._seconds + seconds
        timing: dict[str, Any] = {"seconds": round(seconds, 4), "tokens_per_second": round(tokens / max(seconds, 1e-9))}
        if self._peak is not None:
            flops = step_flops(self._parameters, tokens, tokens if targets is None else targets)
            timing["peak_share"] = round(flops / max(seconds, 1e-9) / self._peak, 4)
        if (memory := memory_bytes(self._device)) is not None:
            timing["memory_bytes"] = memory
        self._timings.append({"step": made, **timing})
        curves = {"loss": row["loss"], "learning_rate": row["learning_rate"], **timing}
        self._tracker.log(made, {name: value for name, value in curves.items() if value is not None})
        return self._note(row, tokens, seconds, timing)

    def _note(self, row: Mapping[str, Any], tokens: int, seconds: float, timing: Mapping[str, Any]) -> str:
        now = time.monotonic()
        self._recent.append((now, tokens, seconds))
        while self._recent[0][0] < now - FORGOTTEN_SECONDS and len(self._recent) > 1:
            self._recent.popleft()
        speed = sum(r[1] for r in self._recent) / max(sum(r[2] for r in self._recent), 1e-9)
        shown = "not finite, skipped" if row["loss"] is None else f"{row['loss']:.3f}"
        parts = [f"loss {shown}", f"{speed:,.0f} tokens/s"]
        if "peak_share" in timing:
            parts.append(f"{100 * timing['peak_share']:.0f} % of peak")
        if "memory_bytes" in timing:
            parts.append(f"{timing['memory_bytes'] / 2**30:.1f} GiB")
        parts.append(f"lr {row['learning_rate']:.1e}")
        shares = sorted(row.get("shares", {}).items(), key=lambda item: -item[1])
        parts.append(" ".join(f"{name} {100 * share:.0f}%" for name, share in shares[:SHOWN_SHARES]))
        return "  ".join(part for part in parts if part)

    def finish(self, total: int) -> None:
        """Put the figures of the whole call where they belong."""
        timings = self._context.timings
        timings["training_seconds"] = round(timings.get("training_seconds", 0.0) + self._seconds, 2)
        if self._seconds:
            timings["tokens_per_second"] = round(self._tokens / self._seconds)
        self._context.counts["steps"] = total
        if self._spike_count:
            self._context.counts["loss_spikes"] = self._spike_count
