"""Measure the vocabulary stage.

    python -m benchmarks.vocab --data ../shared/data --tokenizers DIR

    ratios   Llama-2, Mistral-7B and SmolLM2 extended by 16,000 tokens: tokens for the same meaning, by language
    peers    the same text through continued BPE and parity-aware BPE in plain Python: ratios, time, English changed
    naive    the same tokens given to `add_tokens`: which of them no text produces, and what breaks
    scaling  time and peak memory of the learner at 10, 40 and 160 MB, and at 40 MB of scripts without spaces

DIR has `llama2/tokenizer.json`, `mistral-v1/tokenizer.model`, `cl100k_base.tiktoken` and a GGUF file of SmolLM2.
Learned is only from docs/ and from the train half of SIB-200; measured on SIB-200's dev half and on NTREX-128.
Everything is printed and written to OUT/results.json; plots are OUT/*.png. Nothing else should run on the machine
meanwhile.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.vocab.naive import measure_naive
from benchmarks.vocab.peers import measure_peers
from benchmarks.vocab.ratios import measure_ratios
from benchmarks.vocab.scaling import measure_scaling

PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "ratios": measure_ratios,
    "peers": measure_peers,
    "naive": measure_naive,
    "scaling": measure_scaling,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vocab", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; absent: all")
    parser.add_argument("--data", type=Path, required=True, help="folder with docs/ and parallel/")
    parser.add_argument("--tokenizers", type=Path, required=True, help="folder with the bases and the reference")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/vocab"), help="results and tokenizers")
    parser.add_argument("--new-tokens", type=int, default=16_000)
    parser.add_argument(
        "--bases", nargs="+", help="of `ratios`, of llama2, mistral, smollm2; absent: all that are there"
    )
    parser.add_argument("--peer-megabytes", type=float, default=20.0, help="text of each language in `peers`")
    parser.add_argument("--megabytes", type=float, nargs="+", default=[10, 40, 160], help="sizes of `scaling`")
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
