"""Texts as token ids in, a small auxiliary embedding of their tokens out: tokens with like neighbours lie close.

FOCUS (Dobler and de Melo 2023) makes a new row of old ones that an auxiliary embedding finds similar, and trains
fastText for it. Ours needs no training and no other package: counts of neighbours within a few tokens, weighted by
positive pointwise mutual information, brought to a few dimensions by a truncated singular value decomposition.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

WINDOW_TOKENS = 4
CONTEXT_TOKENS = 2_000  # the most frequent tokens are the neighbours that count
DIMENSIONS = 64
MIN_COUNT = 3  # rarer tokens get no place
NEIGHBOURS, TEMPERATURE = 32, 0.1  # of the convex combinations; a choice of ours, not tuned


def auxiliary_embedding(texts: Sequence[NDArray[np.int64]], num_tokens: int, seed: int = 0) -> torch.Tensor:
    """Place the tokens of some texts.

    Args:
        texts: ids of each text.
        num_tokens: V, number of ids.
        seed: of the decomposition.

    Returns:
        (V, D) float32 rows of length 1; tokens that are too rare have rows of zeros.
    """
    counts = np.bincount(np.concatenate([*texts, np.zeros(0, np.int64)]), minlength=num_tokens)
    contexts = np.argsort(-counts, kind="stable")[: min(CONTEXT_TOKENS, int((counts > 0).sum()))]
    column = np.full(num_tokens, -1, np.int64)
    column[contexts] = np.arange(contexts.size)
    kept = counts >= MIN_COUNT
    keys = [_neighbours(ids, shift, kept, column, contexts.size) for ids in texts for shift in _shifts()]
    places, together = np.unique(np.concatenate([*keys, np.zeros(0, np.int64)]), return_counts=True)
    if not places.size:
        return torch.zeros(num_tokens, 1)
    rows, columns = places // contexts.size, places % contexts.size
    of_row = np.bincount(rows, together, num_tokens)
    of_column = np.bincount(columns, together, contexts.size)
    information = np.log(together * together.sum() / (of_row[rows] * of_column[columns]))
    positive = information > 0
    matrix = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([rows[positive], columns[positive]])),
        torch.from_numpy(information[positive].astype(np.float32)),
        (num_tokens, contexts.size),
        check_invariants=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        left, values, _ = torch.svd_lowrank(matrix, q=min(DIMENSIONS, contexts.size, num_tokens), niter=4)
    placed = left * values.sqrt()
    placed[torch.from_numpy(~kept)] = 0
    return torch.nn.functional.normalize(placed, dim=1)


def _shifts() -> list[int]:
    return [shift for shift in range(-WINDOW_TOKENS, WINDOW_TOKENS + 1) if shift]


def _neighbours(
    ids: NDArray[np.int64], shift: int, kept: NDArray[np.bool_], column: NDArray[np.int64], num_contexts: int
) -> NDArray[np.int64]:
    """Keys row * contexts + column of each token and its neighbour `shift` tokens later."""
    left, right = (ids[:-shift], ids[shift:]) if shift > 0 else (ids[-shift:], ids[:shift])
    known = kept[left] & (column[right] >= 0)
    keys: NDArray[np.int64] = left[known] * num_contexts + column[right[known]]
    return keys


def similar_tokens(
    placed: torch.Tensor, wanted: Sequence[int], candidates: Sequence[int]
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """For each wanted token the candidates that resemble it, as a sparse convex combination.

    Args:
        placed: (V, D) auxiliary embedding.
        wanted: ids to describe.
        candidates: ids to describe them by.

    Returns:
        By wanted id: (n,) ids, nearest first, and (n,) weights above 0 that sum to 1. Ids without a place are left out.
    """
    usable = [token_id for token_id in candidates if bool(placed[token_id].any())]
    known = [token_id for token_id in wanted if bool(placed[token_id].any())]
    if not usable or not known:
        return {}
    pool = torch.tensor(usable)
    found = {}
    for start in range(0, len(known), 1_024):
        some = known[start : start + 1_024]
        likeness = placed[torch.tensor(some)] @ placed[pool].T  # (chunk, candidates)
        best = likeness.topk(min(NEIGHBOURS, len(usable)), dim=1)
        weights = sparsemax(best.values / TEMPERATURE)
        for token_id, row, places in zip(some, weights, best.indices, strict=True):
            taken = row > 0
            found[token_id] = (pool[places[taken]], row[taken])
    return found


def sparsemax(scores: torch.Tensor) -> torch.Tensor:
    """The point of the simplex that lies nearest to each row of scores (Martins and Astudillo 2016).

    Args:
        scores: (B, N).

    Returns:
        (B, N) weights, most of them 0, that sum to 1 in each row.
    """
    ordered = scores.sort(dim=1, descending=True).values
    running = ordered.cumsum(dim=1) - 1
    place = torch.arange(1, scores.shape[1] + 1, device=scores.device)
    inside = (place * ordered > running).sum(dim=1, keepdim=True)
    threshold = running.gather(1, inside - 1) / inside
    return (scores - threshold).clamp(min=0)
