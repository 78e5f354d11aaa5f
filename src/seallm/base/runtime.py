"""Where and how a process computes: seed, workers, threads, device, number type; and its progress display.

`Runtime` is a value that stages receive, so that nothing about the machine hides in globals. None of it changes a
result: the same seed gives the same bytes for any number of workers.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import torch

PLAIN_LOG_SECONDS = 10.0


@dataclass(frozen=True)
class Runtime:
    """The machine as a stage sees it."""

    workers: int = 1
    threads: int = 1
    device: str = "cpu"
    dtype: str = "float32"
    show_progress: bool = True
    engine: Literal["local", "ray"] = "local"

    def torch_device(self) -> "torch.device":
        """Seat torch on this runtime's threads, and return the device; `auto` takes a GPU where there is one."""
        import torch

        torch.set_num_threads(self.threads)
        name = self.device if self.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(name)

    def torch_dtype(self) -> "torch.dtype":
        """The number type of weights and activations."""
        import torch

        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.dtype]


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


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch; ask torch for its deterministic kernels."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


class Task(Protocol):
    """A running piece of work on the display."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Move on by `amount`; `note` is shown beside the bar."""


class _PlainTask:
    """Progress for logs and pipes: a line every ten seconds."""

    def __init__(self, title: str, total: float) -> None:
        self.title, self.total, self.done, self.last = title, total, 0.0, time.monotonic()

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= PLAIN_LOG_SECONDS:
            self.last = now
            print(
                f"  {self.title}: {100 * self.done / max(self.total, 1e-9):.0f} % {note}", file=sys.stderr, flush=True
            )


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
    if not runtime.show_progress:
        yield _SilentTask()
    elif sys.stderr.isatty() or sys.stdout.isatty():
        task = _RichTask(title, total)
        with task.progress:
            yield task
    else:
        yield _PlainTask(title, total)
