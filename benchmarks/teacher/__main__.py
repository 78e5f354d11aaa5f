"""Measure the makers of instruction data, and the client of model servers.

    python -m benchmarks.teacher --data ../shared/data

    novelty   ROUGE-L of new instructions to a pool: pairs a second beside rouge-score, and the largest difference
    checks    translations by people (NTREX-128) through the checks of `translate`: how many good ones are refused, and
              how many planted faults are found, by language
    calls     a server that answers in 50 ms and fails a tenth of the calls: calls a second, at several numbers at once

Everything is printed and written to OUT/results.json. Evaluation data is measured here and trained on nowhere.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.teacher.calls import measure_calls
from benchmarks.teacher.checks import measure_checks
from benchmarks.teacher.novelty import measure_novelty

PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "novelty": measure_novelty,
    "checks": measure_checks,
    "calls": measure_calls,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teacher", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; absent: all")
    parser.add_argument("--data", type=Path, required=True, help="folder with chat/ and parallel/ntrex/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/teacher"), help="results")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "results.json"
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    results |= {"machine": platform.processor() or platform.machine(), "command": sys.argv}
    for part in arguments.parts or PARTS:
        print(f"\n== {part}", flush=True)
        results[part] = PARTS[part](arguments)
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
