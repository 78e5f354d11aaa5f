"""The one training loop: batches by step number, a loss and a schedule in; a trained model and its metrics out.

A stage hands over one or more phases. The loop has no state but the weights, AdamW's moments and the step number, and
batches are pure functions of the step. So a run that is killed anywhere continues from its checkpoint and ends in the
same bits; metrics.jsonl, cut back to the checkpoint and written again, is the same too. It holds no times.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import torch
from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext
from seallm.base.errors import CheckpointError, ModelError
from seallm.base.files import fingerprint
from seallm.base.runtime import Task, progress
from seallm.recipe_training import Optimiser
from seallm.train.checkpoint import Position, load_moments, load_weights, read_position, save_checkpoint
from seallm.train.schedule import learning_rate, make_optimiser
from seallm.train.step_log import StepLog

METRICS = "metrics.jsonl"
MAX_SKIPPED_STEPS = 5  # steps in a row without a finite loss before training gives up

Part = TypeVar("Part")


@dataclass(frozen=True)
class StepBatch(Generic[Part]):
    """What one optimiser step is made of.

    Attributes:
        parts: computed one after another; their gradients add up.
        tokens: tokens of all parts, padding not counted.
        record: columns for metrics.jsonl.
    """

    parts: Sequence[Part]
    tokens: int
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Phase(Generic[Part]):
    """A run of steps with an optimiser and a schedule of its own.

    Attributes:
        name: stands in metrics.jsonl as `mixture`.
        steps: optimiser steps.
        batches: the batch of a step of this phase, from 0; a pure function.
        objective: a part's share of the step's loss; the parts' values add up to it.
        trained_rows: numbers of the embedding rows that are trained, all else is frozen; None trains everything.
        left_out: steps of this phase, from 0, that are not made: their batches are never trained on.
    """

    name: str
    steps: int
    batches: Callable[[int], StepBatch[Part]]
    objective: Callable[[PreTrainedModel, Part], torch.Tensor]
    optimiser: Optimiser
    trained_rows: Sequence[int] | None = None
    left_out: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Periodic:
    """What happens now and then.

    Attributes:
        title: shown on the display.
        checkpoint_every_steps: steps of the whole run between two checkpoints; one is written after each phase too.
        measure: called with the number of steps made: at 0, then every `measure_every_steps`, not after the last.
        logs: files that `measure` appends to; they are cut back on resume, as metrics.jsonl is.
    """

    title: str
    checkpoint_every_steps: int
    measure: Callable[[int], None] | None = None
    measure_every_steps: int = 0
    logs: Sequence[StepLog] = field(default_factory=tuple)


def train(model: PreTrainedModel, phases: Sequence[Phase[Part]], context: StageContext, periodic: Periodic) -> None:
    """Train in place, from the checkpoint in `context.out` where there is one.

    Adds `training_seconds` and `tokens_per_second` of this process to the timings, and `steps` to the counts. The
    checkpoint stays, so that what the stage does next may be killed too; `checkpoint.remove_checkpoint` ends it.

    Raises:
        ModelError: the loss was not finite for several steps in a row.
        CheckpointError: the checkpoint is damaged or of another run.
    """
    run = _Run(model, context, periodic, StepLog(context.out / METRICS))
    shapes = {name: list(p.shape) for name, p in model.named_parameters()}
    key = fingerprint([[p.name, p.steps, p.optimiser.model_dump(), p.trained_rows] for p in phases] + [shapes])
    found = read_position(context.out, key)
    position = found or Position(key, 0, 0)
    done = sum(phase.steps for phase in phases[: position.phase]) + position.step
    for log in (run.metrics, *periodic.logs):
        log.keep_until(done if found else -1)
    _check_left_out(phases, run.metrics)
    if found:
        load_weights(context.out, model)
    elif periodic.measure:
        periodic.measure(0)
    total = sum(phase.steps for phase in phases)
    with progress(periodic.title, total, context.runtime) as task:
        task.advance(done)
        for number in range(position.phase, len(phases)):
            here = position if number == position.phase else replace(position, phase=number, step=0, skipped=0)
            run.train_phase(phases, here, task)
    run.finish(total)


def _check_left_out(phases: Sequence[Phase[Part]], metrics: StepLog) -> None:
    """Steps that a checkpoint has behind it cannot be left out any more, nor be made up for.

    Raises:
        CheckpointError: the wish for one of them has changed since.
    """
    wished, before = set(), 0
    for phase in phases:
        wished |= {before + step + 1 for step in phase.left_out}
        before += phase.steps
    changed = [row["step"] for row in metrics.rows() if (row["step"] in wished) != ("left_out" in row)]
    if changed:
        done = "is made already" if changed[0] in wished else "was left out"
        raise CheckpointError(
            f"skip_steps: step {changed[0]} {done} in the checkpoint of {metrics.path.parent}. Remove that folder to "
            "train the stage anew"
        )


@dataclass
class _Run:
    """One call of `train`: what all its phases share, and the clock."""

    model: PreTrainedModel
    context: StageContext
    periodic: Periodic
    metrics: StepLog
    tokens: int = 0
    seconds: float = 0.0

    def train_phase(self, phases: Sequence[Phase[Part]], position: Position, task: Task) -> None:
        """Make the steps of one phase that are still to do."""
        phase = phases[position.phase]
        before = sum(p.steps for p in phases[: position.phase])
        total = sum(p.steps for p in phases)
        _freeze(self.model, phase.trained_rows)
        optimiser = make_optimiser(self.model, phase.optimiser)
        if position.step:
            load_moments(self.context.out, self.model, optimiser)
        skipped = position.skipped
        self.model.train()
        for step in range(position.step, phase.steps):
            row = self._step(phase, step, optimiser)
            skipped = 0 if row["loss"] is not None or "left_out" in row else skipped + 1
            made = before + step + 1
            self.metrics.append({"step": made, "mixture": phase.name, **row})
            if skipped >= MAX_SKIPPED_STEPS:
                raise ModelError(
                    f"The loss was not finite in {skipped} steps in a row (steps {made - skipped + 1} to {made} of "
                    f"{phase.name!r}). Lower the learning rate, or check the weights that training starts from"
                )
            task.advance(1, self._note(row["loss"]))
            self._periodic(made, total, replace(position, step=step + 1, skipped=skipped), phase, optimiser)

    def _step(self, phase: Phase[Part], step: int, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """Make one step; a step whose loss or gradient is not finite changes nothing and is logged as such."""
        started = time.perf_counter()
        rate = learning_rate(phase.optimiser, step, phase.steps)
        if step in phase.left_out:
            return {"loss": None, "learning_rate": rate, "tokens": 0, "shares": {}, "left_out": True}
        batch = phase.batches(step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.context.seed + step)  # for models with dropout: a resumed step draws what it drew before
        loss = 0.0
        runtime = self.context.runtime
        for part in batch.parts:
            with torch.autocast(self.model.device.type, torch.bfloat16, enabled=runtime.dtype == "bfloat16"):
                value = phase.objective(self.model, part)
            value.backward()  # type: ignore[no-untyped-call]
            loss += float(value.detach())
        trained = [p for p in self.model.parameters() if p.requires_grad]
        _mask_rows(self.model, phase.trained_rows)
        norm = float(torch.nn.utils.clip_grad_norm_(trained, phase.optimiser.max_gradient_norm))
        is_finite = math.isfinite(loss) and math.isfinite(norm)
        if is_finite:
            optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self.seconds += time.perf_counter() - started
        self.tokens += batch.tokens
        return {"loss": loss if is_finite else None, "learning_rate": rate, **batch.record}

    def _note(self, loss: float | None) -> str:
        shown = "not finite, skipped" if loss is None else f"{loss:.3f}"
        return f"loss {shown}  {self.tokens / max(self.seconds, 1e-9):,.0f} tokens/s"

    def _periodic(
        self, made: int, total: int, position: Position, phase: Phase[Part], optimiser: torch.optim.Optimizer
    ) -> None:
        periodic = self.periodic
        if periodic.measure and made % periodic.measure_every_steps == 0 and made < total:
            periodic.measure(made)
            self.model.train()
        if made % periodic.checkpoint_every_steps == 0 or position.step == phase.steps:
            for log in (self.metrics, *periodic.logs):
                log.flush()
            save_checkpoint(self.context.out, position, self.model, optimiser)

    def finish(self, total: int) -> None:
        """Leave the model ready for use, and the figures where they belong."""
        self.model.requires_grad_(True)
        self.model.eval()
        timings = self.context.timings
        timings["training_seconds"] = round(timings.get("training_seconds", 0.0) + self.seconds, 2)
        if self.seconds:
            timings["tokens_per_second"] = round(self.tokens / self.seconds)
        self.context.counts["steps"] = total


def _freeze(model: PreTrainedModel, trained_rows: Sequence[int] | None) -> None:
    """Have gradients where they are wanted: everywhere, or in the input and output embeddings alone."""
    model.requires_grad_(trained_rows is None)
    if trained_rows is not None:
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):
            module.weight.requires_grad_(True)


def _mask_rows(model: PreTrainedModel, trained_rows: Sequence[int] | None) -> None:
    """Zero the gradients of all other rows; AdamW then never moves them, as its moments stay 0 and nothing decays."""
    if trained_rows is None:
        return
    for weight in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
        keep = torch.zeros(weight.shape[0], 1, dtype=weight.dtype, device=weight.device)
        keep[list(trained_rows)] = 1
        weight.grad.mul_(keep)
