"""One side of a comparison in a process of its own: seconds a step, peak memory and losses as one line of JSON.

    python -m benchmarks.training.sides SIDE --steps 8      SIDE is one of SIDES

All sides of a job train the same weights (a Llama of 17 M parameters with 48,000 tokens, or of 5 M with 8,192 for DPO)
on the same documents in the same batches with the same AdamW, on one thread. The first two steps are not timed.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seallm.base.artifacts import StageContext
from seallm.base.runtime import Runtime
from seallm.model.checkpoints import new_llama
from seallm.recipe_training import Dpo, Optimiser
from seallm.train.segments import IGNORED, Segment

VOCABULARY, SMALL_VOCABULARY = 48_000, 8_192
ROWS, ROW_TOKENS, DOCUMENT_TOKENS = 4, 512, 128
PAIRS, PROMPT_TOKENS, ANSWER_TOKENS = 4, 384, 64
END = 2  # DPOTrainer puts it after each answer
RATE = 1e-4
UNTIMED_STEPS = 2
STEADY = Optimiser(learning_rate=RATE, warmup_share=0.0, final_learning_rate_share=1.0, weight_decay=0.0)


class Clock:
    """Wall and processor time at the end of every step."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def tick(self) -> None:
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())

    def seconds(self, times: Sequence[float]) -> float:
        return float(np.median(np.diff(times[UNTIMED_STEPS:])))


def documents(steps: int) -> np.ndarray:
    """Token ids, (steps, rows, documents a row, DOCUMENT_TOKENS): documents that count on, so that losses fall."""
    generator = np.random.default_rng(0)
    shape = (steps, ROWS, ROW_TOKENS // DOCUMENT_TOKENS, 1)
    starts = generator.integers(3, VOCABULARY // 2, shape)
    return starts + generator.integers(1, 5, shape) * np.arange(DOCUMENT_TOKENS)


def labels_of(ids: np.ndarray, supervised_share: float) -> np.ndarray:
    """Labels as transformers wants them (it shifts them itself): a document's first and all of the prompt masked."""
    labels = ids.copy()
    labels[..., : max(1, round(DOCUMENT_TOKENS * (1 - supervised_share)))] = IGNORED
    return labels


def large_model() -> Any:
    return new_llama(VOCABULARY, hidden_size=256, layers=6, heads=8, max_sequence_tokens=2_048, seed=0)


def small_model() -> Any:
    return new_llama(SMALL_VOCABULARY, hidden_size=256, layers=4, heads=8, max_sequence_tokens=2_048, seed=0)


# --------------------------------------------------------------------------------------------------------------- seallm


def seallm_text(steps: int, share: float, clock: Clock) -> list[float]:
    from seallm.train.batches import step_batch
    from seallm.train.loop import Phase, StepBatch
    from seallm.train.objectives import next_token_loss

    data = documents(steps)

    def batches(step: int) -> StepBatch[Any]:
        if step:
            clock.tick()
        rows = []
        for row in data[step]:
            segments = []
            for ids, labels in zip(row, labels_of(row, share), strict=True):
                segments.append(Segment(ids, np.append(labels[1:], IGNORED), "en"))
            rows.append(segments)
        return step_batch(rows, ROW_TOKENS, torch.device("cpu"))

    return _seallm(large_model(), Phase("text", steps, batches, next_token_loss, STEADY), clock)


def _seallm(model: Any, phase: Any, clock: Clock) -> list[float]:
    from seallm.train.loop import Periodic, train
    from seallm.train.start import prepare_torch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = StageContext(folder, {}, ("en",), 0, Runtime(device="cpu", show_progress=False), folder)
        prepare_torch(context)
        train(model, [phase], context, Periodic("benchmark", 10**9))
        return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def pairs(steps: int) -> np.ndarray:
    """Token ids, (steps * PAIRS, prompt and both answers)."""
    length = PROMPT_TOKENS + 2 * ANSWER_TOKENS
    return np.random.default_rng(1).integers(3, SMALL_VOCABULARY, (steps * PAIRS, length))


def seallm_dpo(steps: int, clock: Clock) -> list[float]:
    from seallm.train.dpo import PairBatches
    from seallm.train.loop import Phase, StepBatch
    from seallm.train.pairs import Pair
    from seallm.train.reference import log_probabilities_of

    cuts = (PROMPT_TOKENS, PROMPT_TOKENS + ANSWER_TOKENS)
    parts = [[part.tolist() for part in np.split(ids, cuts)] for ids in pairs(steps)]
    found = [Pair(prompt, [*chosen, END], [*rejected, END]) for prompt, chosen, rejected in parts]
    model = small_model()
    reference = log_probabilities_of(model, found, Runtime(device="cpu"))
    inner = PairBatches(found, reference, Dpo(batch_pairs=PAIRS), 0, torch.device("cpu"))
    object.__setattr__(inner, "_pair", lambda draw: draw)  # the other side reads them in this order

    def batches(step: int) -> StepBatch[Any]:
        if step:
            clock.tick()
        return inner(step)

    losses = _seallm(model, Phase("dpo", steps, batches, inner.objective, STEADY), clock)
    print(json.dumps({"log_probabilities": reference[:, :PAIRS].tolist()}))
    return losses


# -------------------------------------------------------------------------------------------------- the other trainers


def _arguments(kind: Any, folder: str, steps: int, batch: int, **more: Any) -> Any:
    return kind(
        output_dir=folder,
        per_device_train_batch_size=batch,
        max_steps=steps,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        weight_decay=0.0,
        optim="adamw_torch_fused",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=0,
        **more,
    )


def _ticking(clock: Clock) -> Any:
    from transformers import TrainerCallback

    class Ticking(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

    return Ticking()


def _train(trainer: Any, data: Any) -> list[float]:
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(data)  # the order of the other side
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def transformers_text(steps: int, share: float, clock: Clock) -> list[float]:
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments, default_data_collator

    ids = documents(steps)
    shape = (steps * ROWS, ROW_TOKENS)
    columns = {"input_ids": ids.reshape(shape), "labels": labels_of(ids, share).reshape(shape)}
    columns["position_ids"] = np.broadcast_to(np.arange(ROW_TOKENS) % DOCUMENT_TOKENS, shape)
    data = Dataset.from_dict({name: values.tolist() for name, values in columns.items()})
    with tempfile.TemporaryDirectory() as folder:
        arguments = _arguments(TrainingArguments, folder, steps, ROWS)
        trainer = Trainer(large_model(), arguments, default_data_collator, data, callbacks=[_ticking(clock)])
        return _train(trainer, data)


def trl_text(steps: int, share: float, clock: Clock) -> list[float]:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    ids = documents(steps).reshape(-1, DOCUMENT_TOKENS)
    data = Dataset.from_dict({"input_ids": ids.tolist(), "labels": labels_of(ids, share).tolist()})
    with tempfile.TemporaryDirectory() as folder:
        more = {"max_length": ROW_TOKENS, "packing": True, "packing_strategy": "bfd", "dataset_num_proc": None}
        arguments = _arguments(SFTConfig, folder, steps, ROWS, **more)
        trainer = SFTTrainer(
            large_model(),
            args=arguments,
            train_dataset=data,
            processing_class=word_tokenizer(VOCABULARY),
            callbacks=[_ticking(clock)],
        )
        return _train(trainer, trainer.train_dataset)


def word_tokenizer(vocabulary: int) -> Any:
    """A tokenizer for which `w17` is token 17."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, vocabulary)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w3"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def trl_dpo(steps: int, clock: Clock) -> list[float]:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    cuts = (PROMPT_TOKENS, PROMPT_TOKENS + ANSWER_TOKENS)
    texts = [[" ".join(f"w{i}" for i in part) for part in np.split(ids, cuts)] for ids in pairs(steps)]
    data = Dataset.from_dict({name: [t[n] for t in texts] for n, name in enumerate(("prompt", "chosen", "rejected"))})
    data = data.map(lambda row: {"chosen": " " + row["chosen"], "rejected": " " + row["rejected"]})
    with tempfile.TemporaryDirectory() as folder:
        more = {"max_length": 1_024, "precompute_ref_log_probs": True, "beta": 0.1}
        arguments = _arguments(DPOConfig, folder, steps, PAIRS, **more)
        trainer = DPOTrainer(
            small_model(),
            args=arguments,
            train_dataset=data,
            processing_class=word_tokenizer(SMALL_VOCABULARY),
            callbacks=[_ticking(clock)],
        )
        losses = _train(trainer, trainer.train_dataset)
        first = trainer.train_dataset[:PAIRS]
        print(json.dumps({"log_probabilities": [first["ref_chosen_logps"], first["ref_rejected_logps"]]}))
        return losses


SIDES: dict[str, Callable[[int, Clock], list[float]]] = {
    "pretrain-seallm": lambda steps, clock: seallm_text(steps, 1.0, clock),
    "pretrain-transformers": lambda steps, clock: transformers_text(steps, 1.0, clock),
    "sft-seallm": lambda steps, clock: seallm_text(steps, 0.25, clock),
    "sft-transformers": lambda steps, clock: transformers_text(steps, 0.25, clock),
    "sft-trl": lambda steps, clock: trl_text(steps, 0.25, clock),
    "dpo-seallm": seallm_dpo,
    "dpo-trl": trl_dpo,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clock = Clock()
    losses = SIDES[arguments.side](arguments.steps, clock)
    found = {
        "seconds": clock.seconds(clock.wall),
        "processor_seconds": clock.seconds(clock.processor),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "losses": losses,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
