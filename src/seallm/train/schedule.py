"""Learning rates over the steps of a stage, and AdamW with decay where it belongs."""

import math
from collections.abc import Iterable

import torch
from torch.distributed.tensor import DTensor

from seallm.recipe_training import Optimiser

BETAS = (0.9, 0.95)  # the usual choice for language models since GPT-3
EPSILON = 1e-8


def learning_rate(settings: Optimiser, step: int, steps: int) -> float:
    """Linear warm-up to the peak, then down to its final share: by a cosine all the way, or late by a root (WSD).

    WSD (warm-up, stable, decay) stays at the peak until the last `decay_share` of the steps, and falls there as
    1 - sqrt, the form that Hägele et al. (2024, arXiv 2405.18392) found best.

    Args:
        settings: peak, schedule and its shares.
        step: the step about to be made, from 0.
        steps: all steps; the last one gets the final learning rate.
    """
    warmup = round(settings.warmup_share * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    lowest = settings.final_learning_rate_share
    if settings.schedule == "cosine":
        done = (step - warmup + 1) / max(steps - warmup, 1)
        return settings.learning_rate * (lowest + (1 - lowest) * (1 + math.cos(math.pi * done)) / 2)
    decay = min(round(settings.decay_share * steps), steps - warmup)
    done = max(0, step + 1 - (steps - decay)) / max(decay, 1)
    return settings.learning_rate * (lowest + (1 - lowest) * (1 - math.sqrt(done)))


def make_optimiser(model: torch.nn.Module, settings: Optimiser) -> torch.optim.AdamW:
    """AdamW (fused) over the parameters that require gradients; matrices decay, vectors and embeddings do not."""
    embeddings = {p for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
    head = model.get_output_embeddings()  # type: ignore[operator]
    trained = [p for p in model.parameters() if p.requires_grad]
    spared = [p for p in trained if p.dim() < 2 or p in embeddings or p is head.weight]
    decayed = [p for p in trained if not any(p is s for s in spared)]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=settings.learning_rate, betas=BETAS, eps=EPSILON, fused=True
    )


def clip_gradients(parameters: Iterable[torch.nn.Parameter], max_norm: float) -> float:
    """Scale all gradients down where their norm is beyond `max_norm`; returns the norm before.

    The norm is that of the whole gradient, over all processes.
    """
    trained = [p for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in trained])  # type: ignore[misc]
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    torch.nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
    return float(norm)
