"""The machine that is checked, with models, made-up documents and small runs for its checks."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seallm.base.artifacts import StageContext
from seallm.base.runtime import Runtime, Training
from seallm.model.checkpoints import new_llama
from seallm.recipe_training import Optimiser
from seallm.train.batches import TokenBatch, step_batch
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.objectives import next_token_loss
from seallm.train.segments import IGNORED, Segment

VOCABULARY = 48_000
STEADY = Optimiser(learning_rate=3e-4, warmup_share=0.0, final_learning_rate_share=1.0)


class Stopped(BaseException):
    """Stands for a kill."""


@dataclass
class Machine:
    """What is checked, and at which sizes."""

    device: torch.device
    is_small: bool
    folder: Path
    started: float = field(default_factory=time.monotonic)
    seconds: float = 280.0
    runs: int = 0

    @property
    def big(self) -> dict[str, int]:
        """Shape of the model whose speed is measured: 0.9 B parameters."""
        if self.is_small:
            return {"hidden_size": 64, "layers": 2, "heads": 2, "max_sequence_tokens": 512}
        return {"hidden_size": 2048, "layers": 16, "heads": 16, "max_sequence_tokens": 4096}

    @property
    def row_tokens(self) -> int:
        """Length of a row."""
        return 256 if self.is_small else 4096

    @property
    def rows(self) -> int:
        """Rows of a step whose speed is measured."""
        return 4 if self.is_small else 16

    @property
    def vocabulary(self) -> int:
        """Tokens that the big model knows."""
        return 500 if self.is_small else VOCABULARY

    def context(self, dtype: str = "bfloat16", device: str | None = None, **training: Any) -> StageContext:
        """A fresh folder, and how to compute."""
        self.runs += 1
        out = self.folder / f"run{self.runs}"
        out.mkdir()
        name = device or self.device.type
        settings = {"micro_batch_tokens": 2 * self.row_tokens, **training}
        runtime = Runtime(2, 8 if name == "cuda" else 2, name, dtype, False, training=Training(**settings))
        return StageContext(out, {}, ("en",), 3, runtime, out)

    def model(self, **changes: int) -> Any:
        """The big model with random weights, on the device."""
        shape = {**self.big, **changes}
        return new_llama(self.vocabulary, **shape, seed=1).to(self.device)

    def small_model(self, device: torch.device | None = None) -> Any:
        """A model that a CPU trains in seconds too."""
        width, layers = (64, 2) if self.is_small else (256, 4)
        shape = {"hidden_size": width, "layers": layers, "heads": 4, "max_sequence_tokens": 512}
        return new_llama(1_000, **shape, seed=1).to(device or self.device)


def documents(count: int, vocabulary: int, longest: int, seed: int) -> list[np.ndarray]:
    """Documents that a model can learn: each counts on in steps of its own; lengths as on the web (lognormal)."""
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(math.log(longest / 8), 1.0, count), 2, longest).astype(int)
    starts, strides = generator.integers(0, vocabulary, count), generator.integers(1, 7, count)
    return [(s + d * np.arange(n)) % vocabulary for s, d, n in zip(starts, strides, lengths, strict=True)]


def segment(ids: np.ndarray, supervised_share: float = 1.0) -> Segment:
    """A document with its first part as a prompt without loss."""
    targets = np.append(ids[1:], IGNORED)
    targets[: int(len(ids) * (1 - supervised_share))] = IGNORED
    return Segment(ids, targets, "en")


def rows_of(number: int, row_tokens: int, vocabulary: int, seed: int, share: float = 1.0) -> list[list[Segment]]:
    """Rows filled with documents, the last one of each cut."""
    found = []
    for row in range(number):
        left, segments = row_tokens, []
        for ids in documents(400, vocabulary, row_tokens, 1_000 * seed + row):
            if left:
                segments.append(segment(ids[:left], share))
                left -= len(segments[-1].ids)
        found.append(segments)
    return found


def phase_of(machine: Machine, steps: int, rows: int, row_tokens: int, vocabulary: int, **changes: Any) -> Phase[Any]:
    """Steps over rows of their own; `share` of the tokens supervised, `stop_at` a step to be killed at."""
    share, stop_at, device = changes.get("share", 1.0), changes.get("stop_at"), changes.get("device", machine.device)

    def batches(step: int) -> StepBatch[TokenBatch]:
        if step == stop_at:
            raise Stopped
        return step_batch(rows_of(rows, row_tokens, vocabulary, step, share), row_tokens, device)

    return Phase("check", steps, batches, changes.get("objective", next_token_loss), STEADY)


def losses_of(context: StageContext) -> list[float]:
    """The losses of a run, step by step."""
    return [json.loads(line)["loss"] for line in (context.out / "metrics.jsonl").read_text().splitlines()]


def small_run(machine: Machine, context: StageContext, steps: int = 10, **changes: Any) -> tuple[list[float], Any]:
    """Train the small model; returns losses and the model."""
    device = context.runtime.torch_device()
    model = machine.small_model(device)
    phase = phase_of(machine, steps, 2 if machine.is_small else 8, 256, 1_000, device=device, **changes)
    train(model, [phase], context, Periodic("check", 4))
    return losses_of(context), model


def largest_difference(left: list[float], right: list[float]) -> float:
    """Of two lists, item by item."""
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference, as a share of the expected one's."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def seconds_of(action: Callable[[], object], device: torch.device, times: int) -> float:
    """Seconds of one call, on average, after three that warm up."""
    for _ in range(3):
        action()
    wait_for(device)
    started = time.perf_counter()
    for _ in range(times):
        action()
    wait_for(device)
    return (time.perf_counter() - started) / times


def wait_for(device: torch.device) -> None:
    """Wait for the work a GPU still has."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def memory_of(machine: Machine, name: str) -> dict[str, float]:
    """Peak memory since `forget_memory`, as a column; nothing on a CPU."""
    if machine.device.type != "cuda":
        return {}
    return {f"{name}_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)}


def forget_memory(machine: Machine) -> None:
    """Begin to measure peak memory anew."""
    if machine.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
