"""Measure the training stages.

    python -m benchmarks.training                the whole, on a quiet machine
    python -m benchmarks.training speed packing  some parts

    speed      pre-training, fine-tuning and DPO beside transformers' Trainer and TRL: same data, model, batch, losses
    packing    padding, cropped and cut documents of packers on ../shared/data/docs in ten languages
    stream     rows a second, and the first row after a resume
    ablation   what curriculum, isolation, new rows first and dynamic shares are worth, three seeds

Everything is printed and written to OUT/training.json. GPU rows come from scripts/check_gpu.py.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.training import ablation, packing, speed, stream

PARTS: dict[str, Callable[[], Any]] = {
    "speed": speed.run,
    "packing": packing.run,
    "stream": stream.run,
    "ablation": ablation.run,
}


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; absent: all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="folder of the results")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "command": sys.argv}
    for part in arguments.parts or PARTS:
        print(f"\n== {part}", flush=True)
        results[part] = PARTS[part]()
        (arguments.out / "training.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
