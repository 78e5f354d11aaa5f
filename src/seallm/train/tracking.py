"""Numbers by step in, curves in TensorBoard, Weights & Biases or trackio out; nothing where no tracker is asked for."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from seallm.base.errors import MissingExtra
from seallm.base.runtime import own_place


class Tracker(Protocol):
    """Where curves go."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step."""

    def close(self) -> None:
        """Have everything written."""


class _Nothing:
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Nothing to do."""


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        self._writer = _import("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder / "tensorboard"))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Run:
    """Weights & Biases, and trackio, which has the same functions."""

    def __init__(self, package: str, project: str, name: str) -> None:
        self._package = _import(package, package)
        self._run = self._package.init(project=project, name=name)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._package.log(dict(values), step=step)

    def close(self) -> None:
        self._package.finish()


def open_tracker(kind: str | None, out: Path, title: str) -> Tracker:
    """The tracker that the recipe asks for; in other processes than the first, none.

    Args:
        kind: `tensorboard`, `wandb` or `trackio`; None for none.
        out: the stage's folder; TensorBoard's files lie in it.
        title: names the run, after the run's folder.

    Raises:
        MissingExtra: its package is not installed.
    """
    if kind is None or own_place().rank:
        return _Nothing()
    if kind == "tensorboard":
        return _TensorBoard(out)
    return _Run(kind, "seallm", f"{out.parent.name} {title}")


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra(package, "track") from None
