"""The state of training in one file, so that a killed run continues bit for bit.

`checkpoint/state.safetensors` holds all weights, AdamW's moments, and in its header the phase, the step and a key of
what is being trained. It is replaced by one rename; a file of another run is an error, never a silent start.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from seallm.base.errors import CheckpointError

FOLDER, FILE, HEADER = "checkpoint", "state.safetensors", "seallm"


@dataclass(frozen=True)
class Position:
    """Where training stands.

    Attributes:
        key: fingerprint of what is trained; a checkpoint of another key is refused.
        phase: number of the phase, from 0.
        step: steps made in this phase.
        skipped: steps in a row, up to this one, whose loss was not finite.
    """

    key: str
    phase: int
    step: int
    skipped: int = 0


def save_checkpoint(out: Path, position: Position, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write the state; the old one stays until the new one is complete."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{FILE}.tmp"
    tensors = {name: tensor.contiguous() for name, tensor in _tensors(model, optimiser)}
    save_file(tensors, temporary, metadata={HEADER: json.dumps(asdict(position))})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(folder / FILE)


def _tensors(model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in model.named_parameters():
        yield f"model/{name}", parameter.detach()
        for key, value in optimiser.state.get(parameter, {}).items():
            yield f"{key}/{name}", value


def read_position(out: Path, key: str) -> Position | None:
    """Where the checkpoint of this run stands; None where there is none.

    Raises:
        CheckpointError: the file is damaged or belongs to another run.
    """
    path = out / FOLDER / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()[HEADER]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}). Remove {path.parent} to train this stage anew") from None
    if position.key != key:
        raise CheckpointError(
            f"{path} belongs to another run: its key is {position.key[:12]}, expected {key[:12]}. Remove {path.parent} "
            "to train this stage anew"
        )
    return position


def load_weights(out: Path, model: torch.nn.Module) -> None:
    """Copy the checkpoint's weights into the model.

    Raises:
        CheckpointError: a tensor is missing or has another shape.
    """
    _copy(out, {f"model/{name}": parameter for name, parameter in model.named_parameters()})


def load_moments(out: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Copy the checkpoint's AdamW state into the optimiser.

    Raises:
        CheckpointError: a tensor is missing or has another shape.
    """
    wanted: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            step = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state = {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
            optimiser.state[parameter] = state
            wanted |= {f"{key}/{name}": value for key, value in state.items()}
    _copy(out, wanted)


@torch.no_grad()
def _copy(out: Path, wanted: dict[str, torch.Tensor]) -> None:
    """Into tensors that exist, as memory that torch did not allocate may be aligned otherwise and round otherwise."""
    path = out / FOLDER / FILE
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        for name, place in wanted.items():
            found = file.get_tensor(name) if name in names else None
            if found is None or found.shape != place.shape:
                shape = "is missing" if found is None else f"has shape {tuple(found.shape)}"
                raise CheckpointError(
                    f"{path}: {name} {shape}, expected shape {tuple(place.shape)}. Remove {path.parent} to train anew"
                )
            place.copy_(found)


def remove_checkpoint(out: Path) -> None:
    """A finished stage needs no checkpoint."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)
