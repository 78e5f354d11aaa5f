"""Logits and random numbers in, the next ids out: one number decides one id, by its place among the summed shares.

Shapes: B rows, V vocabulary.
"""

import numpy as np
import torch

from seallm.base.sampling import SamplingSettings

NUCLEUS_GUESS = 256  # the most probable tokens tried first, before a whole vocabulary is sorted


def draw(logits: torch.Tensor, settings: SamplingSettings, noise: torch.Tensor) -> torch.Tensor:
    """Ids (B) from logits (B, V) and one uniform number a row (B)."""
    if settings.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = (logits.float() / settings.temperature).softmax(dim=-1)
    if settings.top_p >= 1:
        return _invert(probabilities, noise)
    least = _nucleus_edge(probabilities, settings.top_p)
    return _invert(torch.where(probabilities >= least, probabilities, 0), noise)


def _nucleus_edge(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Probability (B, 1) of the least probable token of the nucleus of probabilities (B, V)."""
    if probabilities.shape[1] > 16 * NUCLEUS_GUESS:
        likely = probabilities.topk(NUCLEUS_GUESS, dim=1).values
        lacking = likely.sum(dim=1) < top_p
        if bool(lacking.any()):
            edges = _edge(likely, top_p)
            edges[lacking] = _edge(_descending(probabilities[lacking]), top_p)
            return edges
        return _edge(likely, top_p)
    return _edge(_descending(probabilities), top_p)


def _edge(likely: torch.Tensor, top_p: float) -> torch.Tensor:
    """The last of the values (B, N), falling, before which less than `top_p` has been summed."""
    inside = (likely.cumsum(dim=1) - likely < top_p).sum(dim=1, keepdim=True)
    return likely.gather(1, inside.clamp(min=1) - 1)


def _descending(values: torch.Tensor) -> torch.Tensor:
    """Each row (B, N) sorted, largest first; on a CPU numpy sorts values alone five times faster than torch."""
    if values.device.type == "cpu":
        return torch.from_numpy(-np.sort(-values.numpy(), axis=1))
    return values.sort(dim=1, descending=True).values


def _invert(weights: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The first column (B) where the running sum of weights (B, N) exceeds noise (B) times the whole sum."""
    running = weights.cumsum(dim=-1)
    wanted = noise.unsqueeze(1) * running[:, -1:]
    return torch.searchsorted(running, wanted, right=True).squeeze(1).clamp(max=weights.shape[-1] - 1)
