"""seallm's engine beside lm-evaluation-harness's own (`HFLM`): same model, tasks, examples, prompts, batch size.

    python -m benchmarks.evaluation --model models/SmolLM2-135M-Instruct
    python -m benchmarks.evaluation --model models/SmolLM2-135M-Instruct choices --examples 40

    choices      3-shot multiple choice: letters and answer texts of exams, topics, causes; examples/s
    generation   translation (4 examples) and questions on paragraphs (1 example) up to a stop string; answers/s
    rounding     log-likelihoods of both engines beside a float64 model's: whose rounding is it where they differ?
    baselines    the model's own figures on XCOPA, Global-MMLU-Lite, SIB-200, XQuAD and NTREX, with intervals
    planted      models that are known beforehand: random choice, an oracle, shuffled labels; no network is computed

Each side is a process of its own; they take turns on the same examples, so that a busy machine slows both. Everything
is printed and written to OUT/evaluation.json. Data: ../shared/data, or --data.
"""

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks.evaluation import baselines, planted, rounding
from benchmarks.evaluation.pairs import Workload, measure

PARTS = {
    "choices": [
        Workload("global_mmlu_lite_en", "bench", 3),
        Workload("global_mmlu_lite_vi", "bench", 3),
        Workload("global_mmlu_lite_text_en", "bench", 3),
        Workload("xcopa_id", "bench", 3),
        Workload("sib200_en", "parallel", 3),
        Workload("sib200_id", "parallel", 3),
    ],
    "generation": [
        Workload("ntrex_en_id", "parallel", 4),
        Workload("ntrex_vi_en", "parallel", 4),
        Workload("xquad_en", "bench", 1),
    ],
}
ROUNDED = [Workload("global_mmlu_lite_text_en", "bench", 3), Workload("global_mmlu_lite_en", "bench", 3)]
NAMES = (*PARTS, "rounding", "planted", "baselines")
WANTED_SPEED_UP = {"choices": 5.0, "generation": 1.5}
EXAMPLES = {"choices": 48, "generation": 48, "rounding": 12}


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(NAMES)}; absent: all")
    parser.add_argument("--model", type=Path, help="Hugging Face folder of SmolLM2-135M-Instruct")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of bench/ and parallel/")
    parser.add_argument("--examples", type=int, help="of each task; absent: 48, of rounding 12")
    parser.add_argument("--rounds", type=int, default=2, help="turns that the examples of a task are cut into")
    parser.add_argument("--batch", type=int, default=8, help="sequences at once, on both sides")
    parser.add_argument("--threads", type=int, default=1, help="threads of each side")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="folder of the results")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(NAMES):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    if arguments.model is None and list(arguments.parts) != ["planted"]:
        parser.error("give --model; the part `planted` alone needs none")
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "command": sys.argv}
    for part in arguments.parts or NAMES:
        if part == "planted":
            results[part] = planted.measure(arguments.data)
        elif part == "baselines":
            place = arguments.out / "baselines"
            results[part] = baselines.measure(arguments.model, arguments.data, place, arguments.threads)
        elif part == "rounding":
            results[part] = rounding.measure(ROUNDED, arguments, arguments.examples or EXAMPLES[part])
        else:
            examples = arguments.examples or EXAMPLES[part]
            results[part] = measure(part, PARTS[part], arguments, examples, WANTED_SPEED_UP[part])
        (arguments.out / "evaluation.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
