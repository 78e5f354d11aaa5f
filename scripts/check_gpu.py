"""Does this machine train right, and how fast? Losses, gradients, checkpoints and speed on a GPU, as one JSON.

    python scripts/check_gpu.py --out gpu.json              a few minutes on one GPU
    python scripts/check_gpu.py --device cpu --out cpu.json the same checks at toy sizes

Every check compares with something plainer: a CPU in float32, forwards of single documents, an undisturbed run,
transformers' own loss and Trainer. One that fails prints why, and the others go on.
"""

import argparse
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from gpu_parts.fast import (
    check_head,
    check_profile,
    check_speed,
    check_speed_activation_checkpointing,
    check_speed_compiled,
    check_speed_compiled_large_parts,
    check_speed_masked_prompts,
    check_transformers_loop,
    check_transformers_trainer,
)
from gpu_parts.machine import Machine
from gpu_parts.right import (
    check_activation_checkpointing,
    check_compile,
    check_dpo,
    check_environment,
    check_isolation,
    check_losses,
    check_new_rows,
    check_resume,
    check_split,
)

CHECKS: tuple[Callable[[Machine], dict[str, Any]], ...] = (
    check_environment,
    check_losses,
    check_isolation,
    check_resume,
    check_new_rows,
    check_dpo,
    check_activation_checkpointing,
    check_speed,
    check_transformers_loop,
    check_transformers_trainer,
    check_split,
    check_speed_masked_prompts,
    check_speed_activation_checkpointing,
    check_head,
    check_compile,
    check_profile,
    check_speed_compiled,
    check_speed_compiled_large_parts,
)


@contextmanager
def _timed(found: dict[str, Any]) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        found["seconds"] = round(time.monotonic() - started, 1)


def run_checks(machine: Machine, names: list[str]) -> dict[str, Any]:
    """All checks, or those named; what is not begun in time is left out."""
    results: dict[str, Any] = {}
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        if names and name not in names:
            continue
        if time.monotonic() - machine.started > machine.seconds:
            results[name] = {"state": "left out: no time"}
            continue
        found: dict[str, Any] = {}
        with _timed(found):
            try:
                found |= {"state": "ok", **check(machine)}
            except Exception as error:
                traceback.print_exc()
                found |= {"state": "FAILED", "error": f"{type(error).__name__}: {error}"[:600]}
        results[name] = found
        print(f"{name:<34} {json.dumps(found, default=str)}", flush=True)
    return results


def main() -> None:
    """Run the checks, write the JSON, say what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("check_gpu.json"))
    parser.add_argument("--minutes", type=float, default=4.6, help="no check is begun after these")
    parser.add_argument("--only", nargs="*", default=[], help="names of checks")
    arguments = parser.parse_args()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS does not repeat bit for bit
    device = torch.device(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(device, device.type == "cpu", Path(folder), seconds=60 * arguments.minutes)
        results = run_checks(machine, arguments.only)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1, default=str) + "\n")
    failed = [name for name, found in results.items() if found["state"] == "FAILED"]
    print(
        f"{len(results) - len(failed)} of {len(results)} checks without fault"
        + (f"; failed: {failed}" if failed else "")
    )


if __name__ == "__main__":
    main()
