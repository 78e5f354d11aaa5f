"""Is it fast: tokens a second and memory of a model of 0.9 billion parameters, beside transformers."""

import itertools
import json
import math
import statistics
import time
from dataclasses import replace
from typing import Any

import torch

from gpu_parts.machine import Machine, forget_memory, losses_of, memory_of, phase_of, rows_of, seconds_of, wait_for
from seallm.train.batches import collate, step_batch
from seallm.train.loop import Periodic, Phase, train
from seallm.train.objectives import next_token_loss
from seallm.train.processes import ALONE
from seallm.train.segments import IGNORED
from seallm.train.sharding import TrainedModel


def speed(machine: Machine, steps: int = 6, share: float = 1.0, **training: Any) -> dict[str, Any]:
    """Train the big model; median over the steps after the first two."""
    dtype = "bfloat16" if machine.device.type == "cuda" else "float32"
    context, model = machine.context(dtype, **training), machine.model()
    forget_memory(machine)
    phase = phase_of(machine, steps, machine.rows, machine.row_tokens, machine.vocabulary, share=share)
    phase = _prepared(phase)
    train(model, [phase], context, Periodic("check", 10**9))
    rows = [json.loads(line) for line in (context.out / "timings.jsonl").read_text().splitlines()][2:]
    found: dict[str, Any] = {
        "tokens_per_second": round(statistics.median(r["tokens_per_second"] for r in rows)),
        "losses": [round(x, 4) for x in losses_of(context)],
        **memory_of(machine, "peak"),
    }
    if "peak_share" in rows[0]:
        found["peak_share"] = round(statistics.median(r["peak_share"] for r in rows), 3)
    return found


def _prepared(phase: Phase[Any]) -> Phase[Any]:
    """With its batches made before the clock runs: this measures the device, not how a test makes up documents."""
    made = {step: phase.batches(step) for step in range(phase.steps)}
    return replace(phase, batches=lambda step: made[step])


def check_speed(machine: Machine) -> dict[str, Any]:
    """Every token supervised."""
    return speed(machine)


def check_speed_masked_prompts(machine: Machine) -> dict[str, Any]:
    """A quarter of the tokens supervised."""
    return speed(machine, share=0.25)


def check_speed_activation_checkpointing(machine: Machine) -> dict[str, Any]:
    """Blocks computed again."""
    return speed(machine, activation_checkpointing=True)


def check_speed_compiled(machine: Machine) -> dict[str, Any]:
    """Blocks compiled."""
    return speed(machine, steps=8, compile=True)


def check_speed_compiled_large_parts(machine: Machine) -> dict[str, Any]:
    """Blocks compiled, four rows at once."""
    return speed(machine, steps=8, compile=True, micro_batch_tokens=4 * machine.row_tokens)


def check_profile(machine: Machine) -> dict[str, Any]:
    """What a forward and backward of two rows spends its time on: kernels, longest first, and the CPU's own time."""
    from torch.profiler import ProfilerActivity, profile

    kind = "bfloat16" if machine.device.type == "cuda" else "float32"
    trained = TrainedModel(machine.model(), machine.context(kind).runtime)
    whole = step_batch(rows_of(2, machine.row_tokens, machine.vocabulary, 5), machine.row_tokens, machine.device)
    part = next(iter(whole.parts(replace(ALONE, micro_batch_tokens=10**9))))

    def once() -> None:
        trained.backward(trained.loss(next_token_loss, part))

    seconds = seconds_of(once, machine.device, 3)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if machine.device.type == "cuda" else [])]
    with profile(activities=activities) as recorded:
        once()
        wait_for(machine.device)
    of_kernels = "self_device_time_total" if machine.device.type == "cuda" else "self_cpu_time_total"
    events = sorted(recorded.key_averages(), key=lambda e: -getattr(e, of_kernels))[:18]
    trained.release()
    return {
        "seconds_each": round(seconds, 4),
        "longest": [[e.key[:60], e.count, round(getattr(e, of_kernels) / 1e3, 2)] for e in events],
        "cpu_milliseconds": round(sum(e.self_cpu_time_total for e in recorded.key_averages()) / 1e3, 1),
    }


def check_head(machine: Machine) -> dict[str, Any]:
    """Seconds of the fused loss forward and backward, by the positions whose logits are held at once."""
    from seallm.train import objectives

    hidden = torch.randn(4 * machine.row_tokens, machine.big["hidden_size"], device=machine.device).bfloat16()
    weight = torch.randn(machine.vocabulary, machine.big["hidden_size"], device=machine.device)
    targets = torch.randint(machine.vocabulary, (len(hidden),), device=machine.device)
    hidden.requires_grad_()
    weight.requires_grad_()
    found: dict[str, Any] = {}
    usual = objectives.GPU_CHUNK_LOGITS
    try:
        for logits in (2**26, 2**27, 2**28, 2**29):
            objectives.GPU_CHUNK_LOGITS = logits
            forget_memory(machine)

            def both() -> None:
                with torch.autocast(machine.device.type, torch.bfloat16):
                    objectives.cross_entropy_sum(hidden, weight, targets).backward()

            seconds = seconds_of(both, machine.device, 3)
            found[f"2^{int(math.log2(logits))}"] = round(seconds, 4)
            found |= memory_of(machine, f"2^{int(math.log2(logits))}")
    finally:
        objectives.GPU_CHUNK_LOGITS = usual
    return found


def check_transformers_loop(machine: Machine) -> dict[str, Any]:
    """The loss of transformers (`labels=`) in a plain loop over the same rows, sdpa with its mask, fused AdamW."""
    model = machine.model().train()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-4, (0.9, 0.95), weight_decay=0.0, fused=True)
    forget_memory(machine)
    losses, speeds = [], []
    for step in range(5):
        batch = step_batch(
            rows_of(machine.rows, machine.row_tokens, machine.vocabulary, step), machine.row_tokens, machine.device
        )
        parts = batch.parts(replace(ALONE, micro_batch_tokens=2 * machine.row_tokens))
        wait_for(machine.device)
        started = time.perf_counter()
        total = 0.0
        for part in parts:
            labels = torch.full_like(part.targets, IGNORED)
            labels[:, 1:] = part.targets[:, :-1]
            with torch.autocast(machine.device.type, torch.bfloat16, enabled=machine.device.type == "cuda"):
                found = model(part.input_ids, position_ids=part.position_ids, labels=labels, use_cache=False)
            share = (labels != IGNORED).sum() / part.loss_tokens
            (found.loss * share).backward()
            total += float(found.loss.detach() * share)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        wait_for(machine.device)
        losses.append(round(total, 4))
        speeds.append(batch.tokens / (time.perf_counter() - started))
    return {"tokens_per_second": round(statistics.median(speeds[2:])), "losses": losses, **memory_of(machine, "peak")}


def check_transformers_trainer(machine: Machine) -> dict[str, Any]:
    """The Trainer of transformers on the same rows and settings."""
    from transformers import Trainer, TrainerCallback, TrainingArguments, default_data_collator

    per_step = machine.rows // 2
    examples = []
    for step in range(5):
        batch = collate(
            rows_of(machine.rows, machine.row_tokens, machine.vocabulary, step),
            machine.row_tokens,
            1,
            torch.device("cpu"),
        )
        labels = torch.full_like(batch.targets, IGNORED)
        labels[:, 1:] = batch.targets[:, :-1]
        for row in range(machine.rows):
            examples.append(
                {"input_ids": batch.input_ids[row], "position_ids": batch.position_ids[row], "labels": labels[row]}
            )
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait_for(machine.device)
            ends.append(time.perf_counter())

    arguments = TrainingArguments(
        output_dir=str(machine.folder / "trainer"),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=per_step,
        max_steps=5,
        learning_rate=3e-4,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        weight_decay=0.0,
        optim="adamw_torch_fused",
        bf16=machine.device.type == "cuda",
        use_cpu=machine.device.type == "cpu",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    forget_memory(machine)
    trainer = Trainer(machine.model(), arguments, default_data_collator, examples, callbacks=[Clock()])
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(
        examples
    )  # the same rows in the same order
    trainer.train()
    tokens = machine.rows * machine.row_tokens
    speeds = [tokens / (b - a) for a, b in itertools.pairwise(ends[1:])]
    losses = [round(row["loss"], 4) for row in trainer.state.log_history if "loss" in row]
    return {"tokens_per_second": round(statistics.median(speeds)), "losses": losses, **memory_of(machine, "peak")}
