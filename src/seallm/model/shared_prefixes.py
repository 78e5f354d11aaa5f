"""Token sequences in, runs of them that begin alike out: what many prompts have in common is computed once.

Few-shot examples, instructions and system prompts stand before thousands of questions. A run is a list of sequences and
the number of first tokens that all of them share; its cache is one row, which every sequence of the run reads.
"""

import itertools
from collections.abc import Sequence

import torch
from transformers import Cache, PreTrainedModel

from seallm.model.kv_cache import new_cache

THRESHOLDS = tuple(2**power for power in range(3, 14))
# a run of its own must spare this many tokens to be worth its extra forwards, which on a GPU cost far more tokens' time
RUN_COST_TOKENS, CPU_RUN_COST_TOKENS = 512, 96

Tokens = tuple[int, ...]
Run = tuple[list[int], int]


def run_cost_tokens(device: torch.device) -> int:
    """Tokens that could be computed in the time of the two forwards that a run of its own needs."""
    return CPU_RUN_COST_TOKENS if device.type == "cpu" else RUN_COST_TOKENS


def shared_runs(sequences: Sequence[Tokens], cost_tokens: int) -> list[Run]:
    """Cut sequences into runs, each with the number of first tokens that all of it share.

    Sequences are cut apart where neighbours in sorted order share fewer tokens than a threshold; of a few thresholds
    the one that spares most tokens is taken. What spares nothing is put together, without sharing.

    Args:
        sequences: token ids; the last one of each is never shared, for its logits are read.
        cost_tokens: what a run of its own costs.

    Returns:
        Runs (numbers of sequences, shared tokens), every number in one of them.
    """
    order = sorted(range(len(sequences)), key=lambda number: sequences[number])
    common = [_common(sequences[a], sequences[b]) for a, b in itertools.pairwise(order)]
    cuts = [_cut(sequences, order, common, least) for least in THRESHOLDS]
    best = max(cuts, key=lambda runs: sum(_spared(run, cost_tokens) for run in runs))
    kept = [run for run in best if _spared(run, cost_tokens)]
    alone = [number for run in best if not _spared(run, cost_tokens) for number in run[0]]
    return [*kept, (alone, 0)] if alone else kept


def _spared(run: Run, cost_tokens: int) -> int:
    """Tokens that a run spares by sharing, less what its own forwards cost."""
    numbers, shared = run
    return max(0, (len(numbers) - 1) * shared - cost_tokens)


def _cut(sequences: Sequence[Tokens], order: Sequence[int], common: Sequence[int], least: int) -> list[Run]:
    edges = [0, *(place for place, tokens in enumerate(common, 1) if tokens < least), len(order)]
    runs = []
    for start, end in itertools.pairwise(edges):
        numbers = list(order[start:end])
        shared = min([*common[start : end - 1], *(len(sequences[n]) - 1 for n in numbers)], default=0)
        runs.append((numbers, shared))
    return runs


def _common(first: Tokens, second: Tokens) -> int:
    """Number of equal first tokens, by bisection: slices are compared much faster than items."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def has_short_window(model: PreTrainedModel, longest_tokens: int) -> bool:
    """True where sliding-window attention would cut a sequence; nothing is shared then: our masks know no windows."""
    window = getattr(model.config.get_text_config(decoder=True), "sliding_window", None)
    return window is not None and longest_tokens > window


@torch.inference_mode()
def prefix_cache(model: PreTrainedModel, prefix: Sequence[int]) -> Cache:
    """The one-row cache of the tokens that a run shares."""
    cache = new_cache(model)
    model.base_model(torch.tensor([prefix], device=model.device), past_key_values=cache, use_cache=True)
    return cache
