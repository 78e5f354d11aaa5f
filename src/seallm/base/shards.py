"""Run one function over many shards: here, in a pool of processes, or on a Ray cluster.

A shard's result is a file. A shard whose file is already there is skipped, so a killed run continues where it stopped;
what it holds depends on the shard alone, so results do not depend on the number of workers or the engine.

Workers are forked from a server process that holds nothing but what it was told to load beforehand: a child of this
process itself would inherit the locks of torch's and Arrow's threads, and a new interpreter would load everything anew.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Literal, TypeVar

from seallm.base.processes import end_with_parent
from seallm.base.ray_shards import run_on_ray
from seallm.base.runtime import Runtime, progress

Engine = Literal["local", "ray"]
Shard = TypeVar("Shard")


def map_shards(
    function: Callable[[Shard, Path], None],
    shards: Sequence[Shard],
    results: Sequence[Path],
    title: str,
    runtime: Runtime,
    engine: Engine = "local",
    preload: str | None = None,
) -> None:
    """Call `function(shard, result)` for every shard whose result is missing.

    Args:
        function: importable (not a lambda); writes its result atomically.
        shards: what to work on; must pickle.
        results: the file each shard ends in.
        title: shown on the display.
        runtime: `workers` processes are used; 1 works in this process.
        engine: `ray` runs the shards on a cluster, whose nodes see the same files under the same paths.
        preload: module that the server imports before it forks workers; the first call of a process counts.

    Raises:
        MissingExtra: the engine is `ray`, and Ray is not installed.
        Exception: the first error of any shard; the others' finished results stay.
    """
    missing = [(s, r) for s, r in zip(shards, results, strict=True) if not r.exists()]
    with progress(title, len(shards), runtime) as task:
        task.advance(len(shards) - len(missing))
        if engine == "ray":
            if missing:
                run_on_ray(function, missing, task)
            return
        if runtime.workers == 1 or len(missing) <= 1:
            for shard, result in missing:
                function(shard, result)
                task.advance()
            return
        workers = min(runtime.workers, len(missing))
        pool = ProcessPoolExecutor(workers, _context(preload), _begin_worker, (dict(os.environ),))
        with pool:
            futures = [pool.submit(function, shard, result) for shard, result in missing]
            try:
                for future in as_completed(futures):
                    future.result()
                    task.advance()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _context(preload: str | None) -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    if preload:
        context.set_forkserver_preload([preload])
    return context


def _begin_worker(environment: dict[str, str]) -> None:
    """Take the parent's environment, as the server keeps the one it started with; end when the parent is killed."""
    os.environ.clear()
    os.environ.update(environment)
    end_with_parent()  # a pool's workers would wait for work for ever
