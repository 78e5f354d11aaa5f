"""Where and how a process computes: seed, workers, threads, device, number type; and its progress display.

`Runtime` is a value that stages receive, so that nothing about the machine hides in globals. None of it changes a
result: the same seed gives the same bytes for any number of workers. Only which process this is, of those that train
together, is read from the environment, where torchrun and its like put it: see `Place`.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from seallm.base.errors import ProcessError

if TYPE_CHECKING:
    import torch

PLAIN_LOG_SECONDS = 10.0
PLACE_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True)
class Place:
    """Which of the processes that train together this one is.

    Attributes:
        rank: its number, from 0; 0 alone writes.
        processes: how many there are.
        local_rank: its number on this machine, and so of its GPU.
    """

    rank: int = 0
    processes: int = 1
    local_rank: int = 0


def own_place() -> Place:
    """Read from RANK, WORLD_SIZE and LOCAL_RANK; alone where they are not set."""
    rank, processes, local_rank = (int(os.environ.get(n, d)) for n, d in zip(PLACE_VARIABLES, "010", strict=True))
    return Place(rank, processes, local_rank) if processes > 1 else Place()


@dataclass(frozen=True)
class Training:
    """How a training stage uses the machine; the fields are those of [compute] in the recipe."""

    timeout_minutes: float = 30.0
    micro_batch_tokens: int | None = None
    activation_checkpointing: bool = False
    compile: bool = False
    deterministic: bool = False
    keep_checkpoints: int = 0
    keep_best_checkpoint: bool = False
    track: str | None = None


@dataclass(frozen=True)
class Runtime:
    """The machine as a stage sees it."""

    workers: int = 1
    threads: int = 1
    device: str = "cpu"
    dtype: str = "float32"
    show_progress: bool = True
    engine: Literal["local", "ray"] = "local"
    training: Training = Training()

    def torch_device(self) -> "torch.device":
        """Seat torch on this runtime's threads, and return the device; `auto` takes a GPU where there is one.

        Raises:
            ProcessError: this machine has fewer GPUs than processes.
        """
        import torch

        torch.set_num_threads(self.threads)
        if self.device == "cpu" or (self.device == "auto" and not torch.cuda.is_available()):
            return torch.device("cpu")
        place = own_place()
        if place.processes == 1:
            return torch.device("cuda")
        if place.local_rank >= torch.cuda.device_count():
            raise ProcessError(
                f"Process {place.local_rank} of this machine has no GPU: there are {torch.cuda.device_count()}. Lower "
                'the number of processes, or set [compute] device = "cpu"'
            )
        torch.cuda.set_device(place.local_rank)
        return torch.device("cuda", place.local_rank)

    def torch_dtype(self) -> "torch.dtype":
        """The number type that is computed in; `auto` is bfloat16 on GPUs that have it, else float32."""
        import torch

        if self.dtype == "auto":
            on_gpu = self.device != "cpu" and torch.cuda.is_available()
            return torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float32
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.dtype]


def calm_threads() -> None:
    """Let waiting tensor threads sleep early instead of spinning; call before torch is imported.

    With the default of GNU OpenMP, a second busy program on the same cores makes small models several times slower.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def return_memory() -> None:
    """Let Arrow give freed memory back to the system; call before pyarrow is imported.

    Its own allocator keeps what it once needed: half as much again as the system's while a corpus is written.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def available_cores() -> int:
    """Cores this process may use (a container may see fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def gpu_count() -> int:
    """GPUs that torch sees on this machine; asking does not occupy them."""
    import torch

    return torch.cuda.device_count()


def seed_everything(seed: int, *, deterministic: bool = True, strict: bool = False) -> None:
    """Seed Python, numpy and torch. Float32 means float32: products in TF32, with their 10 bits, are off.

    Args:
        seed: of all random numbers.
        deterministic: ask torch for kernels that repeat bit for bit.
        strict: an operation without such a kernel is an error (some GPU kernels change for that alone).
    """
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("highest")
    if strict:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first product on a GPU
    torch.use_deterministic_algorithms(deterministic or strict, warn_only=not strict)


class Task(Protocol):
    """A running piece of work on the display."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Move on by `amount`; `note` is shown beside the bar."""


class _PlainTask:
    """Progress for logs and pipes: a line every ten seconds."""

    def __init__(self, title: str, total: float) -> None:
        self.title, self.total, self.done, self.last = title, total, 0.0, time.monotonic()
        self.first: tuple[float, float] | None = None  # when the first work was done, and how much: perhaps long ago

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        self.first = self.first or (now, self.done)
        if now - self.last >= PLAIN_LOG_SECONDS:
            self.last = now
            share = self.done / max(self.total, 1e-9)
            speed = (self.done - self.first[1]) / max(now - self.first[0], 1e-9)
            left = f"  {max(self.total - self.done, 0.0) / speed / 60:.0f} min left" if speed else ""
            print(f"  {self.title}: {100 * share:.0f} % {note}{left}", file=sys.stderr, flush=True)


class _RichTask:
    def __init__(self, title: str, total: float) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("  {task.description:<28}"), BarColumn(30), TextColumn("{task.percentage:>3.0f} %"))
        times = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self.progress = Progress(*columns, *times, transient=True)
        self.note = ""
        self.task = self.progress.add_task(title, total=total, note="")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.note = note or self.note
        self.progress.update(self.task, advance=amount, note=self.note)


class _SilentTask:
    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Show nothing."""


@contextmanager
def progress(title: str, total: float, runtime: Runtime) -> Iterator[Task]:
    """A live bar on a terminal, a line now and then in a log, nothing where it is switched off."""
    if not runtime.show_progress or own_place().rank:  # of several processes, the first speaks for all
        yield _SilentTask()
    elif sys.stderr.isatty() or sys.stdout.isatty():
        task = _RichTask(title, total)
        with task.progress:
            yield task
    else:
        yield _PlainTask(title, total)
