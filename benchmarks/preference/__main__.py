"""Measure self-preferencing.

    python -m benchmarks.preference                              a tiny model, made here
    python -m benchmarks.preference --model SmolLM2-135M-Instruct    a Hugging Face folder
    python -m benchmarks.preference speed judges                 some parts

    speed      sampling and judging beside transformers' generate and written verdicts
    judges     how often each judge is right on pairs whose better answer is known
    learning   DPO on such pairs: held-out preference accuracy before and after

Everything is printed and written to OUT/preference.<model>.json.
"""

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.preference import judges, learning, speed
from benchmarks.preference.known_pairs import known_pairs
from benchmarks.preference.models import stage_of
from seallm.base.runtime import calm_threads
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_tokenizer

PARTS = ("speed", "judges", "learning")


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preference", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; absent: all")
    parser.add_argument("--model", type=Path, help="Hugging Face folder of a chat model; absent: a tiny one")
    parser.add_argument("--test", type=int, default=8, help="questions a language to test on")
    parser.add_argument("--train", type=int, default=12, help="questions a language to learn from")
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=learning.TAUGHT,
        default=learning.TAUGHT,
        help="of pairs to learn from; absent: all",
    )
    parser.add_argument("--blocks", type=int, default=2, help="prompts a language that are answered for speed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="folder of the results")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    calm_threads()
    with tempfile.TemporaryDirectory() as name:
        measure(arguments, Path(name))


def measure(arguments: Any, folder: Path) -> None:
    """Run the parts in turn; results are written after each."""
    name, stage = stage_of(arguments.model, folder, arguments.threads)
    chat = ChatFormat(load_tokenizer(stage / "model"))
    train, test = known_pairs(lambda text: len(chat.encode_text(text)), arguments.train, arguments.test)
    results: dict[str, Any] = {
        "model": name,
        "machine": platform.processor() or platform.machine(),
        "command": sys.argv,
    }
    parts = {
        "speed": lambda: speed.run(name, stage, arguments.blocks, arguments.threads),
        "judges": lambda: judges.run(name, stage, test, arguments.threads),
        "learning": lambda: learning.run(
            name, stage, (train, test), arguments.kinds, folder / "learning", arguments.threads
        ),
    }
    for part in arguments.parts or PARTS:
        print(f"\n== {part}", flush=True)
        results[part] = parts[part]()
        text = json.dumps(results, indent=1)
        (arguments.out / f"preference.{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
