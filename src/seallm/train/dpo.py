"""Direct preference optimisation: pairs of answers in, a model that prefers the better ones out (paper, section 6).

    model/                    the model; without pairs, the model as it came
    metrics.jsonl             one row a step
    preference_accuracy.json  how often the better of two held-out answers is the more probable, before and after
    reference.<key>.npy       log-probabilities under the model before training, computed once

The key of the reference is a fingerprint of model, tokenizer and pairs. Accuracy compares log-probabilities per token,
so that a longer answer is not at a disadvantage.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext, timed
from seallm.base.files import atomic_writer, file_fingerprint, fingerprint, write_json
from seallm.base.interval import wilson
from seallm.base.records import read_preferences
from seallm.base.runtime import Runtime, own_place
from seallm.model.chat_format import ChatFormat
from seallm.recipe_training import Dpo
from seallm.train.adapters import tune
from seallm.train.device import micro_batch_tokens
from seallm.train.draws import random_generator
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.objectives import dpo_loss
from seallm.train.pairs import Pair, PairBatch, answer_log_probabilities, collate_pairs, encode_pairs
from seallm.train.processes import Share, barrier, from_first, sum_tensor
from seallm.train.reporting import METRICS
from seallm.train.sharding import computed_in
from seallm.train.start import MODEL, Start, check_positions, load_start
from seallm.train.step_log import StepLog


@dataclass(frozen=True, eq=False)
class PairBatches:
    """Batches of pairs by step: epoch after epoch, each in an order of its own; the last batch may be smaller.

    Attributes:
        reference: log-probabilities under the reference model, (2, all pairs).
    """

    pairs: Sequence[Pair]
    reference: NDArray[np.float32]
    settings: Dpo
    seed: int
    device: torch.device

    @property
    def steps(self) -> int:
        """Steps of all epochs."""
        return math.ceil(self._drawn / self.settings.batch_pairs)

    @property
    def _drawn(self) -> int:
        return max(1, round(self.settings.epochs * len(self.pairs)))

    def __call__(self, step: int) -> StepBatch[PairBatch]:
        """The batch of a step, from 0."""
        first = step * self.settings.batch_pairs
        draws = range(first, min(first + self.settings.batch_pairs, self._drawn))
        chosen = [self._pair(draw) for draw in draws]

        def parts(share: Share) -> Iterator[PairBatch]:
            return (self._part(own, 1 / len(chosen)) for own in own_parts(chosen, self.pairs, share))

        tokens = sum(self.pairs[i].tokens for i in chosen)
        targets = sum(len(self.pairs[i].chosen) + len(self.pairs[i].rejected) for i in chosen)
        return StepBatch(parts, tokens, {"tokens": tokens, "pairs": len(chosen)}, targets)

    def _part(self, numbers: Sequence[int], weight: float) -> PairBatch:
        """Pairs of these numbers; where there are none, the first pair without weight, as all must take part."""
        own, weight = (numbers, weight) if numbers else ([0], 0.0)
        reference = torch.from_numpy(self.reference[:, own])
        return collate_pairs([self.pairs[i] for i in own], reference, weight, self.device)

    def _pair(self, draw: int) -> int:
        epoch, place = divmod(draw, len(self.pairs))
        return int(_order(self.seed, epoch, len(self.pairs))[place])


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, num_pairs: int) -> NDArray[np.int64]:
    return random_generator(seed, "pairs", epoch).permutation(num_pairs)


def own_parts(numbers: Sequence[int], pairs: Sequence[Pair], share: Share) -> list[list[int]]:
    """A process's pairs in runs that are computed at once, those of similar length together.

    Every process gets as many runs; the last ones may be empty.
    """
    ordered = sorted(numbers, key=lambda i: (pairs[i].tokens, i))
    all_runs = [
        _runs(ordered[rank :: share.processes], pairs, share.micro_batch_tokens) for rank in range(share.processes)
    ]
    own = all_runs[share.rank]
    return own + [[] for _ in range(max(map(len, all_runs)) - len(own))]


def _runs(numbers: Sequence[int], pairs: Sequence[Pair], tokens: int) -> list[list[int]]:
    runs: list[list[int]] = []
    room = 0
    for number in numbers:
        if pairs[number].tokens > room:
            runs.append([])
            room = tokens
        runs[-1].append(number)
        room -= pairs[number].tokens
    return runs


def run(settings: Dpo, context: StageContext) -> None:
    """Train the newest model on the preference stage's pairs.

    Raises:
        ModelError: the model cannot be used, or training diverged.
        DataError: a pair is malformed.
    """
    start = load_start(context)
    check_positions({"[dpo] max_sequence_tokens": settings.max_sequence_tokens}, start.model)
    train_pairs, held_out = (_read(context, name, settings, start) for name in ("preferences", "held_out"))
    with timed(context.timings, "reference_seconds"):
        reference = _cached(context, start.model, "train", train_pairs)
        before = _cached(context, start.model, "held_out", held_out)
    tuned = tune(start, settings.adapter if train_pairs else None, context.seed)
    if train_pairs:
        batches = PairBatches(train_pairs, reference, settings, context.seed, start.model.device)

        def objective(model: PreTrainedModel, batch: PairBatch) -> torch.Tensor:
            losses = dpo_loss(answer_log_probabilities(model, batch), batch.reference, settings.beta)
            return losses.sum() * batch.weight

        phase = Phase("dpo", batches.steps, batches, objective, settings.optimiser, **tuned.rows)
        train(start.model, [phase], context, Periodic("preference tuning", settings.checkpoint_every_steps))
    else:
        StepLog(context.out / METRICS).keep_until(-1)
    after = log_probabilities_of(start.model, held_out, context.runtime) if train_pairs else before
    accuracy = compare_accuracy(held_out, before, after, trained=bool(train_pairs))
    write_json(context.out / "preference_accuracy.json", accuracy)
    tuned.finish(context)


def _read(context: StageContext, name: str, settings: Dpo, start: Start) -> list[Pair]:
    preferences = read_preferences(context.inputs["prefer"] / f"{name}.jsonl")
    pairs, left_out = encode_pairs(preferences, ChatFormat(start.tokenizer), settings.max_sequence_tokens)
    context.counts[name] = {"pairs": len(pairs), **{f"left out: {reason}": n for reason, n in left_out.items()}}
    return pairs


def _cached(context: StageContext, model: PreTrainedModel, name: str, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """Log-probabilities under the model as it came, (2, pairs); read from disk where they are of just these inputs."""
    folder = context.inputs["model"] / MODEL
    files = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json"))
    marks = [[p.name, file_fingerprint(p)] for p in files]
    kind = str(context.runtime.torch_dtype())
    key = fingerprint([marks, kind, [[p.prompt, p.chosen, p.rejected] for p in pairs]])
    path: Path = context.out / f"reference.{name}.{key[:16]}.npy"
    if not from_first(path.is_file):
        found = log_probabilities_of(model, pairs, context.runtime)
        if own_place().rank == 0:
            with atomic_writer(path) as file:
                np.save(file, found)
        barrier()
    cached: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return cached


@torch.no_grad()
def log_probabilities_of(model: PreTrainedModel, pairs: Sequence[Pair], runtime: Runtime) -> NDArray[np.float32]:
    """Log-probabilities of the chosen and the rejected answers in nats, (2, pairs).

    In the number type that training computes in, so that both round alike; each process does its share.
    """
    model.eval()
    place, device = own_place(), model.device
    found = torch.zeros(2, len(pairs), dtype=torch.float64, device=device)
    share = Share(place.rank, place.processes, micro_batch_tokens(model, runtime, place.processes))
    for own in own_parts(range(len(pairs)), pairs, share) if pairs else []:
        if own:
            batch = collate_pairs([pairs[i] for i in own], torch.zeros(2, len(own)), 0.0, device)
            with computed_in(model, runtime.torch_dtype()):
                values = answer_log_probabilities(model, batch)
            found[:, torch.tensor(own, device=device)] = values.double()
    return sum_tensor(found).float().cpu().numpy()


def compare_accuracy(
    pairs: Sequence[Pair], before: NDArray[np.float32], after: NDArray[np.float32], *, trained: bool
) -> dict[str, Any]:
    """Accuracies with 95 % Wilson intervals, and a sentence that says what they show and what not.

    Args:
        pairs: held-out pairs.
        before: log-probabilities of both answers before training, (2, pairs).
        after: the same after training.
        trained: False where there was nothing to train on.
    """
    lengths = np.array([[len(p.chosen) for p in pairs], [len(p.rejected) for p in pairs]]).reshape(2, -1)
    first, last = (_accuracy(values / lengths) for values in (before, after))
    improved = bool(pairs) and last["value"] > first["value"]
    return {"before": first, "after": last, "improved": improved, "sentence": _sentence(first, last, trained=trained)}


def _accuracy(per_token: NDArray[np.floating[Any]]) -> dict[str, Any]:
    n = per_token.shape[1]
    right = int((per_token[0] > per_token[1]).sum())
    low, high = wilson(right, n)
    return {"value": right / n if n else None, "n": n, "low": low, "high": high}


def _sentence(before: dict[str, Any], after: dict[str, Any], *, trained: bool) -> str:
    if not trained:
        return "There were no preference pairs to train on: the model is unchanged."
    if not before["n"]:
        return "There were no held-out preference pairs: whether training improved the model was not measured."
    change = f"from {before['value']:.2f} to {after['value']:.2f} on {before['n']} held-out pairs"
    if after["value"] <= before["value"]:
        return f"Preference training did not improve the accuracy on held-out pairs ({change})."
    if after["low"] <= before["value"]:
        return f"The accuracy rose {change}, which is within chance: its 95 % interval holds the accuracy before."
    return f"Preference training improved the accuracy {change}; its 95 % interval excludes the accuracy before."
