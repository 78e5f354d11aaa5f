"""Processes that train together: how they meet, take turns, and agree on numbers.

One process needs none of it, and every function here then does the plain thing. With several, each has its place from
the environment (`seallm.base.runtime.own_place`): our own launcher, torchrun and Ray Train set it alike. Tensors of a
GPU travel by NCCL, everything else by Gloo; the groups for turns and checkpoints wait for days, as
tokenising a corpus may take hours.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from seallm.base.errors import ProcessError
from seallm.base.runtime import Runtime, own_place

Value = TypeVar("Value")
PATIENCE = timedelta(days=7)
TURNS, CHECKPOINTS = "turns", "checkpoints"  # one group each: checkpoints are written by another thread


@dataclass(frozen=True)
class Share:
    """The part of a step's work that is this process's.

    Attributes:
        rank: number of this process.
        processes: how many share the work.
        micro_batch_tokens: tokens that are computed at once.
    """

    rank: int = 0
    processes: int = 1
    micro_batch_tokens: int = 4_096


ALONE = Share()
_groups: dict[str, Any] = {}


def join(runtime: Runtime) -> None:
    """Meet the other processes; returns at once where there are none, or where this was done before.

    Raises:
        ProcessError: they were not all there in time.
    """
    place = own_place()
    if place.processes == 1 or TURNS in _groups:
        return
    device = runtime.torch_device()
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        if not dist.is_initialized():
            dist.init_process_group(backend, timeout=timedelta(minutes=runtime.training.timeout_minutes))
        for name in (TURNS, CHECKPOINTS):
            _groups[name] = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise ProcessError(
            f"Process {place.rank} of {place.processes} could not meet the others at {where}: {error}. Check that all "
            "were started, and that the address can be reached from every machine"
        ) from error


def leave() -> None:
    """Part from the others, when all have come this far."""
    if TURNS in _groups:
        barrier()
        _groups.clear()
        dist.destroy_process_group()


def checkpoint_group() -> Any:
    """The group that checkpoints are written in; None for a single process."""
    return _groups.get(CHECKPOINTS)


def barrier() -> None:
    """Wait until all processes are here, however long."""
    if TURNS in _groups:
        dist.barrier(_groups[TURNS])


@contextmanager
def in_turn() -> Iterator[None]:
    """Let the processes through a block one by one, process 0 first: what it makes, the others find made."""
    place = own_place()
    for _ in range(place.rank):
        barrier()
    yield
    for _ in range(place.processes - place.rank):
        barrier()


def from_first(make: Callable[[], Value]) -> Value:
    """What `make()` gives in process 0, in all of them; the others do not call it."""
    if TURNS not in _groups:
        return make()
    found: list[Any] = [make() if own_place().rank == 0 else None]
    dist.broadcast_object_list(found, src=0, group=_groups[TURNS])
    value: Value = found[0]
    return value


def sums_over_processes(numbers: Sequence[torch.Tensor]) -> list[float]:
    """Each number (a scalar tensor) summed over all processes."""
    found: list[float] = sum_tensor(torch.stack([n.detach().double() for n in numbers])).tolist()
    return found


def sum_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor summed over all processes, in place."""
    if TURNS in _groups:
        dist.all_reduce(tensor)
    return tensor
