"""Does this machine train right, and how fast? Losses, gradients, checkpoints and speed on a GPU, as one JSON.

    python scripts/check_gpu.py --out gpu.json              a few minutes on one GPU
    python scripts/check_gpu.py --device cpu --out cpu.json the same checks at toy sizes

Every check compares with something plainer: a CPU in float32, forwards of single documents, an undisturbed run,
transformers' own loss and Trainer. One that fails prints why, and the others go on.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seallm.base.artifacts import StageContext
from seallm.base.runtime import Runtime, Training
from seallm.model.checkpoints import new_llama
from seallm.model.segment_attention import segment_attention
from seallm.recipe_training import Dpo, Optimiser
from seallm.train.batches import TokenBatch, collate, step_batch
from seallm.train.device import peak_flops
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.objectives import next_token_loss
from seallm.train.pairs import Pair, answer_log_probabilities, collate_pairs
from seallm.train.processes import ALONE
from seallm.train.segments import IGNORED, Segment
from seallm.train.sharding import TrainedModel

VOCABULARY = 48_000
STEADY = Optimiser(learning_rate=3e-4, warmup_share=0.0, final_learning_rate_share=1.0)


class Stopped(BaseException):
    """Stands for a kill."""


@dataclass
class Machine:
    """What is checked, and at which sizes."""

    device: torch.device
    is_small: bool
    folder: Path
    started: float = field(default_factory=time.monotonic)
    seconds: float = 280.0
    runs: int = 0

    @property
    def big(self) -> dict[str, int]:
        """Shape of the model whose speed is measured: 0.9 B parameters."""
        if self.is_small:
            return {"hidden_size": 64, "layers": 2, "heads": 2, "max_sequence_tokens": 512}
        return {"hidden_size": 2048, "layers": 16, "heads": 16, "max_sequence_tokens": 4096}

    @property
    def row_tokens(self) -> int:
        """Length of a row."""
        return 256 if self.is_small else 4096

    @property
    def rows(self) -> int:
        """Rows of a step whose speed is measured."""
        return 4 if self.is_small else 16

    @property
    def vocabulary(self) -> int:
        """Tokens that the big model knows."""
        return 500 if self.is_small else VOCABULARY

    def context(self, dtype: str = "bfloat16", device: str | None = None, **training: Any) -> StageContext:
        """A fresh folder, and how to compute."""
        self.runs += 1
        out = self.folder / f"run{self.runs}"
        out.mkdir()
        name = device or self.device.type
        settings = {"micro_batch_tokens": 2 * self.row_tokens, **training}
        runtime = Runtime(2, 8 if name == "cuda" else 2, name, dtype, False, training=Training(**settings))
        return StageContext(out, {}, ("en",), 3, runtime, out)

    def model(self, **changes: int) -> Any:
        """The big model with random weights, on the device."""
        shape = {**self.big, **changes}
        return new_llama(self.vocabulary, **shape, seed=1).to(self.device)

    def small_model(self, device: torch.device | None = None) -> Any:
        """A model that a CPU trains in seconds too."""
        width, layers = (64, 2) if self.is_small else (256, 4)
        shape = {"hidden_size": width, "layers": layers, "heads": 4, "max_sequence_tokens": 512}
        return new_llama(1_000, **shape, seed=1).to(device or self.device)


def documents(count: int, vocabulary: int, longest: int, seed: int) -> list[np.ndarray]:
    """Documents that a model can learn: each counts on in steps of its own; lengths as on the web (lognormal)."""
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(math.log(longest / 8), 1.0, count), 2, longest).astype(int)
    starts, strides = generator.integers(0, vocabulary, count), generator.integers(1, 7, count)
    return [(s + d * np.arange(n)) % vocabulary for s, d, n in zip(starts, strides, lengths, strict=True)]


def segment(ids: np.ndarray, supervised_share: float = 1.0) -> Segment:
    """A document with its first part as a prompt without loss."""
    targets = np.append(ids[1:], IGNORED)
    targets[: int(len(ids) * (1 - supervised_share))] = IGNORED
    return Segment(ids, targets, "en")


def rows_of(number: int, row_tokens: int, vocabulary: int, seed: int, share: float = 1.0) -> list[list[Segment]]:
    """Rows filled with documents, the last one of each cut."""
    found = []
    for row in range(number):
        left, segments = row_tokens, []
        for ids in documents(400, vocabulary, row_tokens, 1_000 * seed + row):
            if left:
                segments.append(segment(ids[:left], share))
                left -= len(segments[-1].ids)
        found.append(segments)
    return found


def phase_of(machine: Machine, steps: int, rows: int, row_tokens: int, vocabulary: int, **changes: Any) -> Phase[Any]:
    """Steps over rows of their own; `share` of the tokens supervised, `stop_at` a step to be killed at."""
    share, stop_at, device = changes.get("share", 1.0), changes.get("stop_at"), changes.get("device", machine.device)

    def batches(step: int) -> StepBatch[TokenBatch]:
        if step == stop_at:
            raise Stopped
        return step_batch(rows_of(rows, row_tokens, vocabulary, step, share), row_tokens, device)

    return Phase("check", steps, batches, changes.get("objective", next_token_loss), STEADY)


def losses_of(context: StageContext) -> list[float]:
    """The losses of a run, step by step."""
    return [json.loads(line)["loss"] for line in (context.out / "metrics.jsonl").read_text().splitlines()]


def small_run(machine: Machine, context: StageContext, steps: int = 10, **changes: Any) -> tuple[list[float], Any]:
    """Train the small model; returns losses and the model."""
    device = context.runtime.torch_device()
    model = machine.small_model(device)
    phase = phase_of(machine, steps, 2 if machine.is_small else 8, 256, 1_000, device=device, **changes)
    train(model, [phase], context, Periodic("check", 4))
    return losses_of(context), model


def largest_difference(left: list[float], right: list[float]) -> float:
    """Of two lists, item by item."""
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference, as a share of the expected one's."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


# ---------------------------------------------------------------------------------------------------------- is it right


def check_environment(machine: Machine) -> dict[str, Any]:
    """Versions, the device, and the products it makes in a second."""
    import inspect

    import transformers
    from torch.nn.attention import varlen

    found: dict[str, Any] = {"torch": torch.__version__, "transformers": transformers.__version__}
    found["varlen_attn"] = list(inspect.signature(varlen.varlen_attn).parameters)
    if machine.device.type == "cuda":
        found["device"] = torch.cuda.get_device_name()
        found["memory_gib"] = round(torch.cuda.mem_get_info()[1] / 2**30, 1)
        found["peak_tflops_table"] = (peak_flops(machine.device) or 0) / 1e12
        left, right = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        seconds = _seconds(lambda: left @ right, machine.device, 20)
        found["matmul_tflops"] = round(2 * 8192**3 / seconds / 1e12)
    return found


def _seconds(action: Callable[[], object], device: torch.device, times: int) -> float:
    for _ in range(3):
        action()
    _wait(device)
    started = time.perf_counter()
    for _ in range(times):
        action()
    _wait(device)
    return (time.perf_counter() - started) / times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def check_losses(machine: Machine) -> dict[str, Any]:
    """Ten steps of a small model: CPU float32 against the device in float32 and bfloat16."""
    expected, _ = small_run(machine, machine.context("float32", "cpu"))
    exact, _ = small_run(machine, machine.context("float32"))
    coarse, _ = small_run(machine, machine.context("bfloat16"))
    found = {
        "first_and_last": [expected[0], expected[-1]],
        "float32_difference": largest_difference(exact, expected),
        "bfloat16_difference": largest_difference(coarse, expected),
    }
    assert found["float32_difference"] < 2e-4, found
    assert found["bfloat16_difference"] < 3e-2, found
    return found


def check_isolation(machine: Machine) -> dict[str, Any]:
    """Loss and gradients of packed rows: by segments and by mask, against forwards of single documents."""
    model = machine.model(layers=2)
    model.train()
    kind = torch.bfloat16 if machine.device.type == "cuda" else torch.float32
    rows = rows_of(4, machine.row_tokens, machine.vocabulary, 5)
    loss_tokens = sum(int((s.targets != IGNORED).sum()) for row in rows for s in row)

    def gradients(parts: list[list[list[Segment]]], width: int | None = None) -> tuple[float, torch.Tensor]:
        model.zero_grad()
        total = 0.0
        for part in parts:
            batch = collate(part, width or len(part[0][0].ids), loss_tokens, machine.device)
            with torch.autocast(machine.device.type, torch.bfloat16, enabled=kind is torch.bfloat16):
                loss = next_token_loss(model, batch)
            loss.backward()
            total += float(loss.detach())
        return total, torch.cat([p.grad.flatten().cpu() for p in model.parameters()])

    expected, wanted = gradients([[[s]] for row in rows for s in row])
    explicit, by_mask = gradients([rows], machine.row_tokens)
    found = {
        "documents": sum(map(len, rows)),
        "loss": expected,
        "mask_loss_difference": abs(explicit - expected),
        "mask_gradient_difference": relative(by_mask, wanted),
    }
    if machine.device.type == "cuda":
        undo = segment_attention(model)
        loss, by_segments = gradients([rows], machine.row_tokens)
        undo()
        found |= {
            "segments_loss_difference": abs(loss - expected),
            "segments_gradient_difference": relative(by_segments, wanted),
        }
        assert found["segments_loss_difference"] < 2e-3, found
        assert found["segments_gradient_difference"] < 3e-2, found
    assert found["mask_gradient_difference"] < (3e-2 if kind is torch.bfloat16 else 1e-4), found
    return found


def check_activation_checkpointing(machine: Machine) -> dict[str, Any]:
    """Blocks computed again give the same losses."""
    return _against_plain(machine, activation_checkpointing=True)


def check_compile(machine: Machine) -> dict[str, Any]:
    """Compiled blocks give the same losses."""
    return _against_plain(machine, compile=True)


def _against_plain(machine: Machine, **training: Any) -> dict[str, Any]:
    dtype = "bfloat16" if machine.device.type == "cuda" else "float32"
    plain, _ = small_run(machine, machine.context(dtype), 4)
    changed, _ = small_run(machine, machine.context(dtype, **training), 4)
    found = {"loss_difference": largest_difference(plain, changed)}
    assert found["loss_difference"] < 1e-2, found
    return found


def check_resume(machine: Machine) -> dict[str, Any]:
    """Killed after step 9, with checkpoints every 4 steps (in the background on a GPU), and run again."""
    dtype = "bfloat16" if machine.device.type == "cuda" else "float32"
    found: dict[str, Any] = {}
    for deterministic in (True, False):
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        expected, calm = small_run(machine, machine.context(dtype, deterministic=deterministic), 12)
        context = machine.context(dtype, deterministic=deterministic)
        try:
            small_run(machine, context, 12, stop_at=9)
        except Stopped:
            found["checkpoint_after_kill"] = sorted(p.name for p in (context.out / "checkpoint").iterdir())
        resumed, model = small_run(machine, context, 12)
        name = "deterministic" if deterministic else "default"
        found[f"{name}_loss_difference"] = largest_difference(expected, resumed)
        found[f"{name}_weights_equal"] = all(
            torch.equal(a, b) for a, b in zip(model.parameters(), calm.parameters(), strict=True)
        )
    torch.use_deterministic_algorithms(False)
    assert found["default_loss_difference"] < 1e-2, found
    assert found["deterministic_weights_equal"] or machine.device.type == "cuda", found
    return found


def check_new_rows(machine: Machine) -> dict[str, Any]:
    """Only the wanted rows move."""
    context = machine.context()
    model, before = machine.small_model(), machine.small_model()
    phase = replace(phase_of(machine, 3, 4, 256, 1_000), trained_rows=[990, 991, 992])
    train(model, [phase], context, Periodic("check", 10))
    moved = (model.get_input_embeddings().weight != before.get_input_embeddings().weight).any(dim=1).nonzero().flatten()
    others = all(
        torch.equal(a, b)
        for (n, a), b in zip(model.named_parameters(), before.parameters(), strict=True)
        if "embed" not in n
    )
    assert others, "other weights moved"
    assert set(moved.tolist()) <= {990, 991, 992}, moved
    return {"rows_moved": moved.tolist()}


def check_dpo(machine: Machine) -> dict[str, Any]:
    """Shared prompts against separate rows, in the number type of training; the loss before training is ln 2."""
    from seallm.train.dpo import PairBatches, log_probabilities_of
    from seallm.train.objectives import dpo_loss

    generator = np.random.default_rng(0)
    lengths = [(int(p), int(a), int(b)) for p, a, b in zip(*(generator.integers(20, 80, (3, 12))), strict=True)]
    pairs = [Pair(*(generator.integers(0, 1_000, n).tolist() for n in sizes)) for sizes in lengths]
    context, model = machine.context("auto"), machine.small_model()
    reference = log_probabilities_of(model, pairs, context.runtime)
    plain = machine.small_model()
    with torch.no_grad():
        separate = [
            [answer_log_probabilities(plain, collate_pairs([p], torch.zeros(2, 1), 1.0, machine.device))[0].item()]
            for p in pairs
        ]
    batches = PairBatches(pairs, reference, Dpo(batch_pairs=12), 0, machine.device)
    trained = TrainedModel(model, context.runtime)
    loss = sum(
        float(
            trained.loss(
                lambda m, b: dpo_loss(answer_log_probabilities(m, b), b.reference, 0.1).sum() * b.weight, part
            ).detach()
        )
        for part in batches(0).parts(ALONE)
    )
    trained.release()
    found = {
        "first_loss_less_ln2": loss - math.log(2),
        "chosen_difference_per_token": max(
            abs(reference[0, i] - separate[i][0]) / len(p.chosen) for i, p in enumerate(pairs)
        ),
    }
    assert abs(found["first_loss_less_ln2"]) < 2e-2, found
    return {k: float(v) for k, v in found.items()}


def check_split(machine: Machine) -> dict[str, Any]:
    """One process split by FSDP2 against the same process unsplit: losses of four forwards and backwards, and time."""
    import torch.distributed as dist

    backend = "cpu:gloo,cuda:nccl" if machine.device.type == "cuda" else "gloo"
    kind = "bfloat16" if machine.device.type == "cuda" else "float32"
    store = dist.FileStore(str(machine.folder / "store"), 1)
    dist.init_process_group(backend, store=store, rank=0, world_size=1)
    found: dict[str, Any] = {}
    try:
        rows = rows_of(2, machine.row_tokens, machine.vocabulary, 5)
        for split in (False, True):
            trained = TrainedModel(machine.model(), machine.context(kind).runtime, split=split)
            whole = step_batch(rows, machine.row_tokens, machine.device)
            part = next(iter(whole.parts(replace(ALONE, micro_batch_tokens=10**9))))
            seconds, losses = [], []
            _forget_memory(machine)
            for _ in range(4):
                _wait(machine.device)
                started = time.perf_counter()
                loss = trained.loss(next_token_loss, part)
                trained.backward(loss)
                _wait(machine.device)
                seconds.append(time.perf_counter() - started)
                losses.append(float(loss.detach()))
            name = "split" if split else "plain"
            found |= {f"{name}_loss": losses[-1], f"{name}_seconds": round(min(seconds), 4), **_memory(machine, name)}
            found[f"{name}_gradient_norm"] = math.sqrt(
                sum(float(_whole(p.grad).double().norm()) ** 2 for p in trained.model.parameters())
            )
            trained.release()
            del trained
    finally:
        dist.destroy_process_group()
    assert abs(found["split_loss"] - found["plain_loss"]) < 1e-2, found
    return found


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[no-any-return]


def _memory(machine: Machine, name: str) -> dict[str, float]:
    if machine.device.type != "cuda":
        return {}
    return {f"{name}_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)}


def _forget_memory(machine: Machine) -> None:
    if machine.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


# ---------------------------------------------------------------------------------------------------------- is it fast


def speed(machine: Machine, steps: int = 6, share: float = 1.0, **training: Any) -> dict[str, Any]:
    """Train the big model; median over the steps after the first two."""
    dtype = "bfloat16" if machine.device.type == "cuda" else "float32"
    context, model = machine.context(dtype, **training), machine.model()
    _forget_memory(machine)
    phase = phase_of(machine, steps, machine.rows, machine.row_tokens, machine.vocabulary, share=share)
    phase = _prepared(phase)
    train(model, [phase], context, Periodic("check", 10**9))
    rows = [json.loads(line) for line in (context.out / "timings.jsonl").read_text().splitlines()][2:]
    found: dict[str, Any] = {
        "tokens_per_second": round(statistics.median(r["tokens_per_second"] for r in rows)),
        "losses": [round(x, 4) for x in losses_of(context)],
        **_memory(machine, "peak"),
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

    seconds = _seconds(once, machine.device, 3)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if machine.device.type == "cuda" else [])]
    with profile(activities=activities) as recorded:
        once()
        _wait(machine.device)
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
            _forget_memory(machine)

            def both() -> None:
                with torch.autocast(machine.device.type, torch.bfloat16):
                    objectives.cross_entropy_sum(hidden, weight, targets).backward()

            seconds = _seconds(both, machine.device, 3)
            found[f"2^{int(math.log2(logits))}"] = round(seconds, 4)
            found |= _memory(machine, f"2^{int(math.log2(logits))}")
    finally:
        objectives.GPU_CHUNK_LOGITS = usual
    return found


def check_transformers_loop(machine: Machine) -> dict[str, Any]:
    """The loss of transformers (`labels=`) in a plain loop over the same rows, sdpa with its mask, fused AdamW."""
    model = machine.model().train()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-4, (0.9, 0.95), weight_decay=0.0, fused=True)
    _forget_memory(machine)
    losses, speeds = [], []
    for step in range(5):
        batch = step_batch(
            rows_of(machine.rows, machine.row_tokens, machine.vocabulary, step), machine.row_tokens, machine.device
        )
        parts = batch.parts(replace(ALONE, micro_batch_tokens=2 * machine.row_tokens))
        _wait(machine.device)
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
        _wait(machine.device)
        losses.append(round(total, 4))
        speeds.append(batch.tokens / (time.perf_counter() - started))
    return {"tokens_per_second": round(statistics.median(speeds[2:])), "losses": losses, **_memory(machine, "peak")}


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
            _wait(machine.device)
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
    _forget_memory(machine)
    trainer = Trainer(machine.model(), arguments, default_data_collator, examples, callbacks=[Clock()])
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(
        examples
    )  # the same rows in the same order
    trainer.train()
    tokens = machine.rows * machine.row_tokens
    speeds = [tokens / (b - a) for a, b in itertools.pairwise(ends[1:])]
    losses = [round(row["loss"], 4) for row in trainer.state.log_history if "loss" in row]
    return {"tokens_per_second": round(statistics.median(speeds)), "losses": losses, **_memory(machine, "peak")}


CHECKS: tuple[Callable[[Machine], dict[str, Any]], ...] = (
    check_environment,
    check_losses,
    check_isolation,
    check_resume,
    check_new_rows,
    check_dpo,
    check_activation_checkpointing,
    check_speed,
    check_transformers_loop,
    check_transformers_trainer,
    check_split,
    check_speed_masked_prompts,
    check_speed_activation_checkpointing,
    check_head,
    check_compile,
    check_profile,
    check_speed_compiled,
    check_speed_compiled_large_parts,
)


@contextmanager
def _timed(found: dict[str, Any]) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        found["seconds"] = round(time.monotonic() - started, 1)


def run_checks(machine: Machine, names: list[str]) -> dict[str, Any]:
    """All checks, or those named; what is not begun in time is left out."""
    results: dict[str, Any] = {}
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        if names and name not in names:
            continue
        if time.monotonic() - machine.started > machine.seconds:
            results[name] = {"state": "left out: no time"}
            continue
        found: dict[str, Any] = {}
        with _timed(found):
            try:
                found |= {"state": "ok", **check(machine)}
            except Exception as error:
                traceback.print_exc()
                found |= {"state": "FAILED", "error": f"{type(error).__name__}: {error}"[:600]}
        results[name] = found
        print(f"{name:<34} {json.dumps(found, default=str)}", flush=True)
    return results


def main() -> None:
    """Run the checks, write the JSON, say what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("check_gpu.json"))
    parser.add_argument("--minutes", type=float, default=4.6, help="no check is begun after these")
    parser.add_argument("--only", nargs="*", default=[], help="names of checks")
    arguments = parser.parse_args()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS does not repeat bit for bit
    device = torch.device(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(device, device.type == "cpu", Path(folder), seconds=60 * arguments.minutes)
        results = run_checks(machine, arguments.only)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1, default=str) + "\n")
    failed = [name for name, found in results.items() if found["state"] == "FAILED"]
    print(
        f"{len(results) - len(failed)} of {len(results)} checks without fault"
        + (f"; failed: {failed}" if failed else "")
    )


if __name__ == "__main__":
    main()
