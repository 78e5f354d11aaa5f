"""Measure the server.

    python -m benchmarks.serving --model FOLDER             speed and turns, on a quiet machine (about 10 minutes)
    python -m benchmarks.serving speed turns --model FOLDER
    python -m benchmarks.serving soak                       2,000 requests of all kinds, good and bad (a tiny model)

    speed   tokens a second at 1, 4, 8 and 16 streams, time to first token, memory; beside `transformers serve`, with
            and without its continuous batching, and a plain loop of transformers' generate; equal answers are counted
    turns   time to first token of a second turn after 1,000 tokens, with and without reuse; beside the same
    soak    clients that hang up, send garbage and exceed limits: memory, stuck requests, unanswered requests

FOLDER is a chat model in Hugging Face's layout, such as SmolLM2-135M-Instruct. Everything is printed and written to
OUT/serving.json.
"""

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks.serving import soak, speed, turns

PARTS = ("speed", "turns", "soak")


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; absent: speed and turns")
    parser.add_argument("--model", type=Path, help="folder of a chat model")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="float32 or bfloat16")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="folder of the results")
    parser.add_argument("--tokens", type=int, default=48, help="longest answer")
    parser.add_argument("--streams", default="1,4,8,16", metavar="N,...", help="requests at once")
    parser.add_argument("--conversations", type=int, default=5, help="of the second turns")
    parser.add_argument("--requests", type=int, default=2_000, help="of the soak")
    arguments = parser.parse_args()
    parts = arguments.parts or ["speed", "turns"]
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    if arguments.model is None and set(parts) != {"soak"}:
        parser.error("speed and turns need --model FOLDER")
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "command": sys.argv}
    for part in parts:
        print(f"\n== {part}", flush=True)
        if part == "speed":
            results[part] = speed.run(
                arguments.model, arguments.device, arguments.tokens, [int(n) for n in arguments.streams.split(",")]
            )
        elif part == "turns":
            results[part] = turns.run(arguments.model, arguments.device, arguments.conversations)
        else:
            results[part] = soak.run(arguments.requests)
        (arguments.out / "serving.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
