"""The state of training on disk, so that a killed run continues bit for bit, on as many processes as there are then.

    checkpoint/step-00000120/    weights and AdamW's moments (torch.distributed.checkpoint), and position.json
    checkpoint/.step-...partial  being written: never read

A folder gets its name by one rename, when every process has written its part. On GPUs the parts are copied to the
host, and written while training goes on. A checkpoint of another run is an error, never a silent start. The format
holds pickled metadata: load only checkpoints that you wrote.
"""

import shutil
import warnings
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save

from seallm.base.errors import CheckpointError, DataError, ModelError
from seallm.base.files import read_json, write_json
from seallm.base.runtime import own_place
from seallm.train.processes import barrier, checkpoint_group, sums_over_processes

FOLDER, POSITION = "checkpoint", "position.json"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Position:
    """Where training stands.

    Attributes:
        key: fingerprint of what is trained; a checkpoint of another key is refused.
        phase: number of the phase, from 0.
        step: steps made in this phase.
        made: steps made in all phases.
        skipped: steps in a row, up to this one, whose loss was not finite.
        best: the lowest measured value so far (held-out bits per byte), and the step it was measured at.
    """

    key: str
    phase: int
    step: int
    made: int = 0
    skipped: int = 0
    best: tuple[float, int] | None = None


@dataclass(frozen=True)
class Kept:
    """Which checkpoints stay at the end: the newest ones, and on wish the best. While training, one at least."""

    newest: int = 0
    best: bool = False


class Checkpoints:
    """The checkpoints of one stage.

    Attributes:
        folder: where they lie.
    """

    def __init__(self, out: Path, kept: Kept, names: Collection[str]) -> None:
        """`names` are the parameters that are trained at some time: no others are written."""
        self.folder = out / FOLDER
        self._kept = kept
        self._names = frozenset(names)
        self._writing: tuple[Future[Any], Path, Position] | None = None

    def newest(self, key: str) -> Position | None:
        """Where the newest checkpoint of this run stands; None where there is none.

        Raises:
            CheckpointError: it is damaged or belongs to another run.
        """
        found = steps_on_disk(self.folder)
        return read_position(self.folder / found[-1], key) if found else None

    def save(
        self, position: Position, model: torch.nn.Module, optimiser: torch.optim.Optimizer, *, background: bool
    ) -> None:
        """Write the state; older ones stay until it is complete. All processes call it.

        Raises:
            ModelError: a weight is not a finite number: such a state is not kept.
        """
        self.finish()
        _check_finite(model, position.made)
        partial = self.folder / f".{step_name(position.made)}.partial"
        if own_place().rank == 0:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        barrier()
        state = dict(self._tensors(model, optimiser))
        if background:
            # for good, as the thread that writes would find a passing filter gone
            warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
            future = _quietly(async_save, state, checkpoint_id=str(partial), process_group=checkpoint_group())
            self._writing = (future, partial, position)
            return
        alone = own_place().processes == 1
        _quietly(save, state, checkpoint_id=str(partial), process_group=checkpoint_group(), no_dist=alone)
        self._complete(partial, position)

    def finish(self) -> None:
        """Wait for the checkpoint that is still being written, if any."""
        if self._writing is not None:
            future, partial, position = self._writing
            self._writing = None
            future.result()
            self._complete(partial, position)

    def is_written(self) -> bool:
        """True when this process's part of a checkpoint in the background is on disk, and `finish` will not wait."""
        return self._writing is not None and self._writing[0].done()

    def _tensors(self, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
        for name, parameter in model.named_parameters():
            if name in self._names:
                yield f"model/{name}", parameter.detach()
                for key, value in optimiser.state.get(parameter, {}).items():
                    yield f"{key}/{name}", value

    def _complete(self, partial: Path, position: Position) -> None:
        barrier()
        if own_place().rank == 0:
            write_json(partial / POSITION, asdict(position))
            place = self.folder / step_name(position.made)
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
            _remove_others(self.folder, replace(self._kept, newest=max(1, self._kept.newest)), position)
        barrier()

    def load_weights(self, position: Position, model: torch.nn.Module) -> None:
        """Copy a checkpoint's weights into the model.

        Raises:
            CheckpointError: a tensor is missing or has another shape, or the folder is damaged.
        """
        self._load(position, {f"model/{n}": p.detach() for n, p in model.named_parameters() if n in self._names})

    def load_moments(self, position: Position, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Copy a checkpoint's AdamW state into the optimiser.

        Raises:
            CheckpointError: a tensor is missing or has another shape, or the folder is damaged.
        """
        wanted: dict[str, torch.Tensor] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                state = {key: torch.zeros_like(parameter.detach()) for key in MOMENTS}
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                optimiser.state[parameter] = state
                wanted |= {f"{key}/{name}": value for key, value in state.items()}
        self._load(position, wanted)

    def _load(self, position: Position, wanted: dict[str, torch.Tensor]) -> None:
        """Into tensors that exist: memory that torch did not allocate may be aligned otherwise and round otherwise."""
        load_tensors(self.folder / step_name(position.made), wanted)


def end_checkpoints(out: Path, kept: Kept) -> None:
    """A finished stage keeps the checkpoints that were asked for, mostly none; the first process alone calls it."""
    found = steps_on_disk(out / FOLDER)
    if found:
        _remove_others(out / FOLDER, kept, read_position(out / FOLDER / found[-1]))
    if not steps_on_disk(out / FOLDER):
        shutil.rmtree(out / FOLDER, ignore_errors=True)


def _remove_others(folder: Path, kept: Kept, position: Position) -> None:
    found = steps_on_disk(folder)
    stay = set(found[-kept.newest :] if kept.newest else ())
    if kept.best and position.best is not None:
        stay.add(step_name(position.best[1]))
    for name in found:
        if name not in stay:
            shutil.rmtree(folder / name)


def load_tensors(folder: Path, wanted: dict[str, torch.Tensor]) -> None:
    """Copy tensors of a checkpoint folder into those of the same name.

    Raises:
        CheckpointError: one is missing or has another shape, or the folder is damaged.
    """
    alone = own_place().processes == 1
    try:
        _quietly(load, wanted, checkpoint_id=str(folder), process_group=checkpoint_group(), no_dist=alone)
    except (Exception, CheckpointException) as error:  # torch's own is no Exception, and ends with what went wrong
        reason = next(
            (line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__
        )
        raise CheckpointError(
            f"{folder} cannot be loaded ({reason}). Remove it to continue from an earlier one, or {folder.parent} to "
            "train this stage anew"
        ) from error


def step_name(made: int) -> str:
    """Folder of the checkpoint after so many steps."""
    return f"step-{made:08d}"


def steps_on_disk(folder: Path) -> list[str]:
    """Names of the complete checkpoints, oldest first."""
    return sorted(p.name for p in folder.glob("step-*")) if folder.is_dir() else []


def read_position(folder: Path, key: str | None = None) -> Position:
    """Where a checkpoint stands.

    Raises:
        CheckpointError: it is damaged, or its key is another.
    """
    try:
        found = read_json(folder / POSITION)
        best = found.pop("best")
        position = Position(**found, best=None if best is None else (best[0], best[1]))
    except (DataError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder} is damaged ({error}). Remove {folder.parent} to train this stage anew"
        ) from None
    if key is not None and position.key != key:
        raise CheckpointError(
            f"{folder} belongs to another run: its key is {position.key[:12]}, expected {key[:12]}. Remove "
            f"{folder.parent} to train this stage anew"
        )
    return position


def _check_finite(model: torch.nn.Module, made: int) -> None:
    """See that all weights are numbers, in every process."""
    bad = [name for name, p in model.named_parameters() if not bool(torch.isfinite(_local(p)).all())]
    device = next(model.parameters()).device
    (count,) = sums_over_processes([torch.tensor(float(len(bad)), device=device)])
    if count:
        named = f" ({bad[0]})" if bad else ""
        raise ModelError(
            f"After step {made} {int(count)} weights{named} hold NaN or infinite numbers. Nothing was saved; lower the "
            "learning rate and run the stage again from its last checkpoint"
        )


def _local(parameter: torch.Tensor) -> torch.Tensor:
    detached = parameter.detach()
    return detached.to_local() if hasattr(detached, "to_local") else detached


def _quietly(function: Any, *arguments: Any, **settings: Any) -> Any:
    """Without torch's warnings about a single process and about formats to come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **settings)
