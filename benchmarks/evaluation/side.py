"""One engine in a process of its own: orders as lines of JSON in, its scores, seconds and peak memory as lines out.

    python -m benchmarks.evaluation.side seallm|lm-eval|float64 --model FOLDER --data DIR --batch N --threads N

`float64` is the harness's engine in double precision. All engines answer the same tasks, made by the same code, through
lm_eval's `evaluate`: what is timed is the whole of it, from building the prompts to the scores.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lm_eval.evaluator import evaluate

from seallm.base.runtime import Runtime, seed_everything
from seallm.evaluate.harness import offline
from seallm.evaluate.task_loading import read_tasks
from seallm.model.checkpoints import load_model, load_tokenizer


def engine(side: str, folder: Path, batch: int) -> Any:
    """The engine of a side on the model's float32 weights; `batch` sequences at once on each."""
    model, tokenizer = load_model(folder, Runtime(threads=torch.get_num_threads())), load_tokenizer(folder)
    if side == "seallm":
        from seallm.evaluate.engine import Engine

        return Engine(model, tokenizer, batch)
    from lm_eval.models.huggingface import HFLM

    return HFLM(
        pretrained=model.double() if side == "float64" else model, tokenizer=tokenizer, device="cpu", batch_size=batch
    )


def answer(lm: Any, name: str, task: Any, numbers: list[int]) -> dict[str, Any]:
    """What an engine makes of some examples of a task."""
    task.set_fewshot_seed(0)
    wall, processor = time.perf_counter(), time.process_time()
    found = evaluate(
        lm=lm, task_dict={"tasks": {name: task}}, samples={name: numbers}, bootstrap_iters=0, log_samples=True
    )
    seconds, processor_seconds = time.perf_counter() - wall, time.process_time() - processor
    samples = found["samples"][name]
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "values": {metric: [sample[metric] for sample in samples] for metric in task.aggregation()},
        "responses": [[response[0] for response in sample["resps"]] for sample in samples],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("seallm", "lm-eval", "float64"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seed_everything(0)
    lm = engine(arguments.side, arguments.model, arguments.batch)
    tasks: dict[str, Any] = {}
    with offline():
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            key = json.dumps([order["task"], order["shots"]])
            if key not in tasks:
                loaded = read_tasks([order["task"]], [], arguments.data / order["folder"], None, order["shots"])
                tasks[key] = next(iter(loaded.tasks.items()))
            name, task = tasks[key]
            numbers = [number for number in order["numbers"] if number < len(task.eval_docs)]
            print(json.dumps(answer(lm, name, task, numbers)), flush=True)


if __name__ == "__main__":
    main()
