"""The same function in several workers of a Ray cluster, one GPU each where there are any (Ray Train, `seallm[ray]`).

Ray places the workers, tells each its rank and forms the torch process group; what they run is what our own launcher
and torchrun run. seallm must be installed on every node, and the workspace must lie on storage that all of them see.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seallm.base.errors import MissingExtra, ProcessError, SeallmError
from seallm.base.runtime import PLACE_VARIABLES, gpu_count


def run_on_ray(function: Callable[..., Any], arguments: Sequence[Any], count: int) -> Any:
    """Call `function(*arguments)` in `count` workers at once; returns what process 0 returned.

    Raises:
        MissingExtra: Ray Train is not installed.
        ProcessError: a worker ended by an error that is not ours, or was lost.
        SeallmError: what a worker raised.
    """
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError:
        raise MissingExtra("ray[train]", "ray") from None
    is_ours = not ray.is_initialized()
    if is_ours:
        ray.init(log_to_driver=True, include_dashboard=False)
    config = {"function": function, "arguments": tuple(arguments), "folder": str(Path.cwd())}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            trainer = TorchTrainer(
                _worker,
                train_loop_config=config,
                scaling_config=ScalingConfig(num_workers=count, use_gpu=gpu_count() > 0),
                run_config=RunConfig(name="seallm", storage_path=scratch),
            )
            return _outcome(trainer)
    finally:
        if is_ours:
            ray.shutdown()


def _outcome(trainer: Any) -> Any:
    try:
        result = trainer.fit()
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, SeallmError):
            cause = cause.__cause__ or getattr(cause, "cause", None)
        if isinstance(cause, SeallmError):
            raise cause from error
        reason = str(error).strip().splitlines()
        raise ProcessError(f"A Ray worker failed: {reason[-1] if reason else type(error).__name__}") from error
    return result.return_value


def _worker(config: dict[str, Any]) -> Any:
    """On a node: take Ray's place as ours, and work in the driver's folder; Ray passes on what process 0 returns."""
    from ray import train

    place = train.get_context()
    numbers = (place.get_world_rank(), place.get_world_size(), place.get_local_rank())
    os.environ.update({name: str(number) for name, number in zip(PLACE_VARIABLES, numbers, strict=True)})
    os.chdir(config["folder"])
    return config["function"](*config["arguments"])
