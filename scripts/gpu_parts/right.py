"""Is it right: losses, isolation, resume, new rows, DPO, and options that must change nothing."""

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from gpu_parts.machine import (
    Machine,
    Stopped,
    forget_memory,
    largest_difference,
    memory_of,
    phase_of,
    relative,
    rows_of,
    seconds_of,
    small_run,
    wait_for,
)
from seallm.model.segment_attention import segment_attention
from seallm.recipe_training import Dpo
from seallm.train.batches import collate, step_batch
from seallm.train.device import peak_flops
from seallm.train.loop import Periodic, train
from seallm.train.objectives import next_token_loss
from seallm.train.pairs import Pair, answer_log_probabilities, collate_pairs
from seallm.train.processes import ALONE
from seallm.train.segments import IGNORED, Segment
from seallm.train.sharding import TrainedModel


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
        seconds = seconds_of(lambda: left @ right, machine.device, 20)
        found["matmul_tflops"] = round(2 * 8192**3 / seconds / 1e12)
    return found


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
    from seallm.train.dpo import PairBatches
    from seallm.train.reference import log_probabilities_of

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
    loss = sum(float(trained.loss(batches.objective, part).detach()) for part in batches(0).parts(ALONE))
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
            forget_memory(machine)
            for _ in range(4):
                wait_for(machine.device)
                started = time.perf_counter()
                loss = trained.loss(next_token_loss, part)
                trained.backward(loss)
                wait_for(machine.device)
                seconds.append(time.perf_counter() - started)
                losses.append(float(loss.detach()))
            name = "split" if split else "plain"
            found |= {f"{name}_loss": losses[-1], f"{name}_seconds": round(min(seconds), 4), **memory_of(machine, name)}
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
