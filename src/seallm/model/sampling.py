"""Logits to the next token: penalties, temperature, top-k, top-p, min-p, and one random number a token.

Every row of a batch has settings of its own. Its random numbers come from a generator seeded by the request alone, and
one number decides one token by its place in the cumulative distribution: the same answer in any batch, up to rounding.
The order is that of transformers: penalties, temperature, top-k, top-p, min-p.

Shapes: B rows, V vocabulary.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from seallm.base.sampling import SamplingSettings

LEAST_TEMPERATURE = 1e-6  # logits divided by less overflow; here already the likeliest token has all the probability
NUCLEUS_GUESS = 256  # the most probable tokens tried first, before a whole vocabulary is sorted


def noise_source(seed: int, prompt: int = 0, answer: int = 0) -> np.random.Generator:
    """The generator of one answer's random numbers; an answer depends on nothing else that is random."""
    return np.random.default_rng((seed % 2**64, prompt, answer))


@dataclass
class History:
    """What a row has read and said, for the penalties.

    Attributes:
        prompt: ids of the prompt.
        answer: how often each id stands in the answer.
    """

    prompt: frozenset[int]
    answer: Counter[int] = field(default_factory=Counter)


def adjusted(logits: torch.Tensor, settings: SamplingSettings, history: History) -> torch.Tensor:
    """One row of logits (V) with penalties and biases, as a new tensor."""
    row = logits.float().clone()
    if settings.repetition_penalty != 1:
        seen = torch.tensor(sorted(history.prompt | set(history.answer)), device=row.device)
        found = row[seen]
        row[seen] = torch.where(found > 0, found / settings.repetition_penalty, found * settings.repetition_penalty)
    if history.answer and (settings.frequency_penalty or settings.presence_penalty):
        ids = torch.tensor(list(history.answer), device=row.device)
        times = torch.tensor(list(history.answer.values()), device=row.device, dtype=row.dtype)
        row[ids] -= settings.frequency_penalty * times + settings.presence_penalty
    for token_id, bias in settings.logit_bias:
        row[token_id] += bias
    return row


def draw(logits: torch.Tensor, settings: Sequence[SamplingSettings], noise: Sequence[float]) -> torch.Tensor:
    """The next id of each row.

    Args:
        logits: (B, V), penalties included.
        settings: of each row.
        noise: a number in [0, 1) for each row; not used where the temperature is 0.

    Returns:
        Ids (B), on the device of the logits.
    """
    warm = [row for row, s in enumerate(settings) if s.temperature > 0]
    if len(warm) == len(settings):
        return _sample(logits, settings, noise)
    ids = logits.argmax(dim=-1)
    if warm:
        ids[warm] = _sample(logits[warm], [settings[row] for row in warm], [noise[row] for row in warm])
    return ids


def _sample(logits: torch.Tensor, settings: Sequence[SamplingSettings], noise: Sequence[float]) -> torch.Tensor:
    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, device=logits.device, dtype=torch.float32).unsqueeze(1)  # (B, 1)

    weights = (logits.float() / column([max(s.temperature, LEAST_TEMPERATURE) for s in settings])).softmax(dim=-1)
    vocabulary = weights.shape[1]
    if any(s.top_k is not None and s.top_k < vocabulary for s in settings):
        wanted = [min(s.top_k or vocabulary, vocabulary) for s in settings]
        likely = weights.topk(max(k for k in wanted if k < vocabulary), dim=1).values
        # a row without a limit keeps everything: its edge is below all of its probabilities
        edges = [likely[row, k - 1] if k < vocabulary else likely.new_zeros(()) for row, k in enumerate(wanted)]
        weights = torch.where(weights >= torch.stack(edges).unsqueeze(1), weights, 0)
        weights = weights / weights.sum(dim=1, keepdim=True)
    least = torch.zeros_like(weights[:, :1])
    if any(s.top_p < 1 for s in settings):
        least = nucleus_edge(weights, column([s.top_p for s in settings]))
    if any(s.min_p > 0 for s in settings):
        least = torch.maximum(least, weights.amax(dim=1, keepdim=True) * column([s.min_p for s in settings]))
    return _invert(torch.where(weights >= least, weights, 0), column(noise))


def nucleus_edge(probabilities: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Probability (B, 1) of the least probable token of the nucleus (B, 1) of probabilities (B, V)."""
    if probabilities.shape[1] > 16 * NUCLEUS_GUESS:
        likely = probabilities.topk(NUCLEUS_GUESS, dim=1).values
        edges = torch.where(top_p >= 1, 0, _edge(likely, top_p))
        lacking = (likely.sum(dim=1) < top_p[:, 0]) & (top_p[:, 0] < 1)
        if bool(lacking.any()):
            edges[lacking] = _edge(_descending(probabilities[lacking]), top_p[lacking])
        return edges
    return torch.where(top_p >= 1, 0, _edge(_descending(probabilities), top_p))


def _edge(likely: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """The last of the values (B, N), falling, before which less than `top_p` has been summed."""
    inside = (likely.cumsum(dim=1) - likely < top_p).sum(dim=1, keepdim=True)
    return likely.gather(1, inside.clamp(min=1) - 1)


def _descending(values: torch.Tensor) -> torch.Tensor:
    """Each row (B, N) sorted, largest first; on a CPU numpy sorts values alone five times faster than torch."""
    if values.device.type == "cpu":
        return torch.from_numpy(-np.sort(-values.numpy(), axis=1))
    return values.sort(dim=1, descending=True).values


def _invert(weights: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The first column (B) where the running sum of weights (B, N) exceeds noise (B, 1) times the whole sum."""
    running = weights.cumsum(dim=-1)
    found = torch.searchsorted(running, noise * running[:, -1:], right=True).squeeze(1)
    return found.clamp(max=weights.shape[-1] - 1)
