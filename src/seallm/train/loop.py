"""The one training loop: batches by step number, a loss and a schedule in; a trained model and its metrics out.

A stage hands over one or more phases. The loop has no state but the weights, AdamW's moments and the step number, and
batches are pure functions of the step. So a run that is killed anywhere continues from its checkpoint and ends in the
same bits; metrics.jsonl, cut back to the checkpoint and written again, is the same too. Times stand in timings.jsonl.

With several processes each computes its share of every step. What decides (loss, gradient norm) is summed over all of
them first, so that all make or skip the same steps.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import torch
from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext
from seallm.base.errors import CheckpointError, ModelError
from seallm.base.files import fingerprint
from seallm.base.runtime import Task, own_place, progress
from seallm.recipe_training import Optimiser
from seallm.train.checkpoint import Checkpoints, Kept, Position
from seallm.train.device import micro_batch_tokens
from seallm.train.processes import Share, from_first, sums_over_processes
from seallm.train.reporting import Reporter
from seallm.train.schedule import clip_gradients, learning_rate, make_optimiser
from seallm.train.sharding import TrainedModel, like_shards
from seallm.train.step_log import StepLog

MAX_SKIPPED_STEPS = 5  # steps in a row without a finite loss before training gives up

Part = TypeVar("Part")


@dataclass(frozen=True)
class StepBatch(Generic[Part]):
    """What one optimiser step is made of.

    Attributes:
        parts: what a process computes of it, one part after another; gradients add up. As many for every process.
        tokens: tokens of the whole step, padding not counted.
        record: columns for metrics.jsonl.
        targets: tokens with a loss; None: all.
        measured: more columns, known when all parts are computed; called by all processes.
    """

    parts: Callable[[Share], Iterable[Part]]
    tokens: int
    record: Mapping[str, Any]
    targets: int | None = None
    measured: Callable[[], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Phase(Generic[Part]):
    """A run of steps with an optimiser and a schedule of its own.

    Attributes:
        name: stands in metrics.jsonl as `mixture`.
        steps: optimiser steps.
        batches: the batch of a step of this phase, from 0; a pure function.
        objective: a part's share of the step's loss; the parts' values add up to it.
        trained_rows: numbers of the embedding rows that are trained, all else is frozen; None trains everything.
        rows_too: trains the other parameters as well, and only of the embeddings nothing but `trained_rows`.
        left_out: steps of this phase, from 0, that are not made: their batches are never trained on.
    """

    name: str
    steps: int
    batches: Callable[[int], StepBatch[Part]]
    objective: Callable[[PreTrainedModel, Part], torch.Tensor]
    optimiser: Optimiser
    trained_rows: Sequence[int] | None = None
    rows_too: bool = False
    left_out: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Periodic:
    """What happens now and then.

    Attributes:
        title: shown on the display.
        checkpoint_every_steps: steps of the whole run between two checkpoints; one is written after each phase too.
        measure: called by all processes with the number of steps made: at 0, then every `measure_every_steps`, not
            after the last. In between only the first has the weights. What it returns, if anything, says how good the
            model is: lower is better.
        logs: files that `measure` appends to; they are cut back on resume, as metrics.jsonl is.
    """

    title: str
    checkpoint_every_steps: int
    measure: Callable[[int], float | None] | Callable[[int], None] | None = None
    measure_every_steps: int = 0
    logs: Sequence[StepLog] = field(default_factory=tuple)


def train(model: PreTrainedModel, phases: Sequence[Phase[Part]], context: StageContext, periodic: Periodic) -> None:
    """Train in place, from the checkpoint in `context.out` where there is one.

    Parameters that do not require gradients when they come stay as they are. Adds `training_seconds` and
    `tokens_per_second` to the timings, and `steps` to the counts. The checkpoint stays, so that what the stage does
    next may be killed too; `checkpoint.end_checkpoints` ends it.

    Raises:
        ModelError: the loss was not finite for several steps in a row, or a weight is not.
        CheckpointError: the checkpoint is damaged or of another run.
    """
    shapes = {name: list(p.shape) for name, p in model.named_parameters()}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    written = trained | (_embedding_names(model) if any(phase.trained_rows for phase in phases) else set())
    key = fingerprint([[p.name, p.steps, p.optimiser.model_dump(), p.trained_rows] for p in phases] + [shapes])
    settings = context.runtime.training
    checkpoints = Checkpoints(context.out, Kept(settings.keep_checkpoints, settings.keep_best_checkpoint), written)
    found = checkpoints.newest(key)
    position = found or Position(key, 0, 0)
    reporter = Reporter(context, model, periodic.title)
    for log in (*reporter.logs, *periodic.logs):
        log.keep_until(position.made if found else -1)
    check_left_out(phases, reporter.logs[0])
    if found:
        checkpoints.load_weights(found, model)
    elif periodic.measure:
        periodic.measure(0)
    total = sum(phase.steps for phase in phases)
    with progress(periodic.title, total, context.runtime) as task, reporter.running(position.made):
        task.advance(position.made)
        run = _Run(model, context, periodic, checkpoints, reporter, task, trained, total)
        for number in range(position.phase, len(phases)):
            here = position if number == position.phase else replace(position, phase=number, step=0, skipped=0)
            position = run.train_phase(phases[number], here)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())  # weights of four bits never have gradients
    model.eval()
    reporter.finish(total)


def check_left_out(phases: Sequence[Phase[Any]], metrics: StepLog) -> None:
    """Steps that a checkpoint has behind it cannot be left out any more, nor be made up for.

    Raises:
        CheckpointError: the wish for one of them has changed since.
    """
    wished, before = set(), 0
    for phase in phases:
        wished |= {before + step + 1 for step in phase.left_out}
        before += phase.steps
    made = from_first(lambda: [(row["step"], "left_out" in row) for row in metrics.rows()])
    changed = [step for step, is_left_out in made if (step in wished) != is_left_out]
    if changed:
        done = "is made already" if changed[0] in wished else "was left out"
        raise CheckpointError(
            f"skip_steps: step {changed[0]} {done} in the checkpoint of {metrics.path.parent}. Remove that folder to "
            "train the stage anew"
        )


@dataclass
class _Run:
    """One call of `train`: what all its phases share."""

    model: PreTrainedModel
    context: StageContext
    periodic: Periodic
    checkpoints: Checkpoints
    reporter: Reporter
    task: Task
    trained: set[str]
    total: int

    def train_phase(self, phase: Phase[Part], position: Position) -> Position:
        """Make the steps of one phase that are still to do."""
        _freeze(self.model, phase, self.trained)
        place = own_place()
        tokens = micro_batch_tokens(self.model, self.context.runtime, place.processes)
        share = Share(place.rank, place.processes, tokens)
        work = _Work(phase, TrainedModel(self.model, self.context.runtime), share, self.context.seed)
        if position.step:
            self.checkpoints.load_moments(position, work.trained.model, work.optimiser)
        try:
            for step in range(position.step, phase.steps):
                position = self._step(work, step, position)
        finally:
            self.checkpoints.finish()
        work.trained.release()
        return position

    def _step(self, work: "_Work[Any]", step: int, position: Position) -> Position:
        """One step and what follows it; returns where training stands then."""
        started = time.perf_counter()
        row, batch, is_written = work.step(step, self.checkpoints.is_written())
        seconds = time.perf_counter() - started
        skipped = 0 if row["loss"] is not None or step in work.phase.left_out else position.skipped + 1
        position = replace(position, step=step + 1, made=position.made + 1, skipped=skipped)
        note = self.reporter.add(position.made, work.phase.name, row, batch.tokens, batch.targets, seconds)
        if skipped >= MAX_SKIPPED_STEPS:
            raise ModelError(
                f"The loss was not finite in {skipped} steps in a row (steps {position.made - skipped + 1} to "
                f"{position.made} of {work.phase.name!r}). Lower the learning rate, or check the weights that training "
                "starts from"
            )
        self.task.advance(1, note)
        if is_written:
            self.checkpoints.finish()
        return self._periodic(work, position)

    def _periodic(self, work: "_Work[Any]", position: Position) -> Position:
        """Measure and save where it is time."""
        periodic, made, is_best = self.periodic, position.made, False
        if periodic.measure and made % periodic.measure_every_steps == 0 and made < self.total:
            work.trained.gather(for_all=False)
            self.model.eval()
            value = periodic.measure(made)
            self.model.train()
            work.trained.empty()
            is_best = value is not None and (position.best is None or value < position.best[0])
            if value is not None and is_best:
                position = replace(position, best=(value, made))
        wants_best = is_best and self.context.runtime.training.keep_best_checkpoint
        if made % periodic.checkpoint_every_steps == 0 or position.step == work.phase.steps or wants_best:
            for log in (*self.reporter.logs, *periodic.logs):
                log.flush()
            background = self.model.device.type == "cuda"
            self.checkpoints.save(position, work.trained.model, work.optimiser, background=background)
        return position


class _Work(Generic[Part]):
    """The steps of one phase: weights, optimiser, and this process's share."""

    def __init__(self, phase: Phase[Part], trained: TrainedModel, share: Share, seed: int) -> None:
        self.phase, self.trained, self._share, self._seed = phase, trained, share, seed
        self.optimiser = make_optimiser(trained.model, phase.optimiser)
        self._masks = _row_masks(trained.model, phase.trained_rows)

    def step(self, step: int, is_written: bool) -> tuple[dict[str, Any], StepBatch[Part], bool]:
        """Make one step; one whose loss or gradient is not finite changes nothing and is logged as such.

        Args:
            step: number of the step in its phase, from 0.
            is_written: whether this process has written a checkpoint that was in the background.

        Returns:
            The row for the metrics, the batch, and whether all processes have written the checkpoint.
        """
        phase, rate = self.phase, learning_rate(self.phase.optimiser, step, self.phase.steps)
        device = self.trained.whole.device
        if step in phase.left_out:
            nothing = StepBatch[Part](lambda _: (), 0, {"tokens": 0, "shares": {}, "left_out": True}, 0)
            (written,) = sums_over_processes([torch.tensor(float(is_written), device=device)])
            return {"loss": None, "learning_rate": rate, **nothing.record}, nothing, written == self._share.processes
        batch = phase.batches(step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(self._seed + step)  # for models with dropout: a resumed step draws what it drew before
        total = torch.zeros((), dtype=torch.float64, device=device)
        for part in batch.parts(self._share):
            loss = self.trained.loss(phase.objective, part)
            self.trained.backward(loss)
            total += loss.detach()
        for weight, mask in self._masks:
            weight.grad.mul_(mask)  # AdamW then never moves these rows: their moments stay 0 and nothing decays
        norm = clip_gradients(self.trained.model.parameters(), phase.optimiser.max_gradient_norm)
        value, written = sums_over_processes([total, torch.tensor(float(is_written), device=device)])
        is_finite = math.isfinite(value) and math.isfinite(norm)
        if is_finite:
            self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        measured = batch.measured() if batch.measured else {}
        row = {"loss": value if is_finite else None, "learning_rate": rate, **batch.record, **measured}
        return row, batch, written == self._share.processes


def _freeze(model: PreTrainedModel, phase: Phase[Any], trained: set[str]) -> None:
    """Have gradients where they are wanted: in what came trainable, in rows of the embeddings alone, or in both."""
    only_rows = phase.trained_rows is not None and not phase.rows_too
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained and not only_rows)
    if phase.trained_rows is not None:
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):
            module.weight.requires_grad_(True)


def _embedding_names(model: PreTrainedModel) -> set[str]:
    embeddings = {id(m.weight) for m in (model.get_input_embeddings(), model.get_output_embeddings())}
    return {name for name, parameter in model.named_parameters() if id(parameter) in embeddings}


def _row_masks(model: PreTrainedModel, rows: Sequence[int] | None) -> list[tuple[Any, torch.Tensor]]:
    """For each embedding its mask of rows: 1 where they are trained, (V, 1)."""
    if rows is None:
        return []
    masks = []
    for weight in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
        keep = torch.zeros(weight.shape[0], 1, dtype=weight.dtype, device=weight.device)
        keep[list(rows)] = 1
        masks.append((weight, like_shards(keep, weight)))
    return masks
