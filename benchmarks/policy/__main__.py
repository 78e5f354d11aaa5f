"""Measure policy packs.

    python -m benchmarks.policy            the whole
    python -m benchmarks.policy rules      one part

    rules     the rules that tell refusals, on answers written for it and on those of ../shared/data/safety
    tuning    the quickstart's model before fine-tuning, after it, and after it with the default pack:
              refusal, unsafe and over-refusal rates on prompts that none of them was trained on
    judge     a judge of your choice (--judge MODEL) on answers of which people said whether they are harmful

Everything is printed and written to OUT/policy.json. `tuning` runs the quickstart's stages up to fine-tuning in
OUT/policy first, about five minutes on a quiet machine; what is finished there is used again.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.policy import judging, rules, tuning

PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "rules": rules.run,
    "tuning": tuning.run,
    "judge": judging.run,
}


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; absent: all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="folder of the results")
    parser.add_argument(
        "--judge", metavar="MODEL", help="of the part judge: a folder, vllm:FOLDER or http://SERVER/v1#NAME"
    )
    parser.add_argument("--limit", type=int, default=50, help="answers a language that are judged")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "command": sys.argv}
    for part in arguments.parts or PARTS:
        print(f"\n== {part}", flush=True)
        results[part] = PARTS[part](arguments)
        (arguments.out / "policy.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
