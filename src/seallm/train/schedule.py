"""Learning rates over the steps of a stage, and AdamW with decay where it belongs."""

import math

import torch

from seallm.recipe_training import Optimiser

BETAS = (0.9, 0.95)  # the usual choice for language models since GPT-3
EPSILON = 1e-8


def learning_rate(settings: Optimiser, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine from the peak to its final share.

    Args:
        settings: peak, final share and warm-up share.
        step: the step about to be made, from 0.
        steps: all steps; the last one gets the final learning rate.
    """
    warmup = round(settings.warmup_share * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup + 1) / max(steps - warmup, 1)
    lowest = settings.final_learning_rate_share
    return settings.learning_rate * (lowest + (1 - lowest) * (1 + math.cos(math.pi * done)) / 2)


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
