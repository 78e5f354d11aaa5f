"""Preference optimisation: pairs of answers in, a model that prefers the better ones out (paper, section 6).

model/                    the model; without pairs, the model as it came
metrics.jsonl             one row a step: loss, rewards, margin, accuracy, gains and KL, of all and by language
held_out.jsonl            every `evaluate_every_steps`: accuracy and gains of held-out pairs, by language
preference_accuracy.json  how often the better of two held-out answers is the more probable, before and after
quarantine.jsonl          rows of `preferences` that could not be read, with the reason
reference.<key>.npy       log-probabilities under the model before training, computed once
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

from seallm.base.artifacts import INSTRUCTIONS, StageContext, timed
from seallm.base.errors import DataError, ModelError
from seallm.base.files import write_json, write_json_lines
from seallm.base.records import Preference, is_held_out, read_preferences
from seallm.base.runtime import own_place
from seallm.model.chat_format import ChatFormat
from seallm.recipe_training import Dpo
from seallm.train.adapters import tune
from seallm.train.draws import random_generator
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.pairs import Pair, PairBatch, answer_log_probabilities, collate_pairs, encode_pairs, own_parts
from seallm.train.preference_figures import compare_accuracy, fall_sentence, held_out_row
from seallm.train.preference_losses import StepTally, preference_losses
from seallm.train.processes import Share, from_first
from seallm.train.reference import cached_log_probabilities, log_probabilities_of
from seallm.train.reporting import METRICS
from seallm.train.start import check_positions, load_start
from seallm.train.step_log import StepLog

HELD_OUT = "held_out.jsonl"
SAMPLE_PAIRS = 256  # held-out pairs that are measured while training


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

    @functools.cached_property
    def languages(self) -> list[str]:
        """Of all pairs."""
        return sorted({pair.language for pair in self.pairs})

    def __call__(self, step: int) -> StepBatch[PairBatch]:
        """The batch of a step, from 0."""
        first = step * self.settings.batch_pairs
        draws = range(first, min(first + self.settings.batch_pairs, self._drawn))
        chosen = [self._pair(draw) for draw in draws]
        tally = StepTally(self.languages, self.settings, self.device)

        def parts(share: Share) -> Iterator[PairBatch]:
            return (self._part(own, 1 / len(chosen), tally) for own in own_parts(chosen, self.pairs, share))

        tokens = sum(self.pairs[i].tokens for i in chosen)
        targets = sum(len(self.pairs[i].chosen) + len(self.pairs[i].rejected) for i in chosen)
        return StepBatch(parts, tokens, {"tokens": tokens}, targets, tally.measured)

    def _part(self, numbers: Sequence[int], weight: float, tally: StepTally) -> PairBatch:
        """Pairs of these numbers; where there are none, the first pair without weight, as all must take part."""
        own, weight = (numbers, weight) if numbers else ([0], 0.0)
        reference = torch.from_numpy(self.reference[:, own])
        return collate_pairs([self.pairs[i] for i in own], reference, weight, self.device, tally.add)

    def _pair(self, draw: int) -> int:
        epoch, place = divmod(draw, len(self.pairs))
        return int(_order(self.seed, epoch, len(self.pairs))[place])

    def objective(self, model: PreTrainedModel, batch: PairBatch) -> torch.Tensor:
        """A part's share of the step's loss."""
        policy = answer_log_probabilities(model, batch)
        if batch.tally:
            batch.tally(policy, batch)
        return preference_losses(policy, batch.reference, batch.lengths, self.settings).sum() * batch.weight


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, num_pairs: int) -> NDArray[np.int64]:
    return random_generator(seed, "pairs", epoch).permutation(num_pairs)


def run(settings: Dpo, context: StageContext) -> None:
    """Train the newest model on the pairs of the preference stage, of [instructions], and of `preferences`.

    Raises:
        ModelError: the model cannot be used, training diverged, or chosen answers became too unlikely.
        DataError: none of the rows of `preferences` can be used, or there are no pairs of any origin.
    """
    start = load_start(context)
    check_positions({"[dpo] max_sequence_tokens": settings.max_sequence_tokens}, start.model)
    halves = read_halves(settings, context)
    chat = ChatFormat(start.tokenizer)
    train_pairs, held_out = (_encode(context, name, half, settings, chat) for name, half in halves.items())
    with timed(context.timings, "reference_seconds"):
        reference = cached_log_probabilities(context, start.model, "train", train_pairs)
        before = cached_log_probabilities(context, start.model, "held_out", held_out)
    tuned = tune(start, settings.adapter if train_pairs else None, context.seed)
    if train_pairs:
        batches = PairBatches(train_pairs, reference, settings, context.seed, start.model.device)
        phase = Phase("dpo", batches.steps, batches, batches.objective, settings.optimiser, **tuned.rows)
        measuring = Measuring(settings, context, start.model, held_out[:SAMPLE_PAIRS], before[:, :SAMPLE_PAIRS])
        train(start.model, [phase], context, measuring.periodic())
    else:
        StepLog(context.out / METRICS).keep_until(-1)
    after = log_probabilities_of(start.model, held_out, context.runtime) if train_pairs else before
    accuracy = compare_accuracy(held_out, before, after, trained=bool(train_pairs))
    fell = fall_sentence(accuracy["gained"], settings)
    accuracy["sentence"] += f" {fell}." if fell else ""
    if own_place().rank == 0:
        write_json(context.out / "preference_accuracy.json", accuracy)
    tuned.finish(context)


@dataclass(frozen=True)
class Measuring:
    """Held-out pairs while a model is trained: a row of held_out.jsonl each time, and the guard of chosen answers."""

    settings: Dpo
    context: StageContext
    model: PreTrainedModel
    pairs: Sequence[Pair]
    before: NDArray[np.float32]

    def periodic(self) -> Periodic:
        """What the loop does now and then."""
        every = self.settings.checkpoint_every_steps
        if not self.pairs:
            return Periodic("preference tuning", every)
        return Periodic("preference tuning", every, self._measure, self.settings.evaluate_every_steps, logs=[self._log])

    @property
    def _log(self) -> StepLog:
        return StepLog(self.context.out / HELD_OUT)

    def _measure(self, step: int) -> None:
        row = from_first(lambda: self._row(step))  # in between only the first process has the weights
        self._log.put(step, [row])
        fell = fall_sentence(row["gained"], self.settings)
        if fell and self.settings.on_chosen_fall == "stop":
            raise ModelError(f"Preference tuning stopped after step {step}: {fell}")

    def _row(self, step: int) -> dict[str, Any]:
        now = log_probabilities_of(self.model, self.pairs, self.context.runtime, alone=True) if step else self.before
        return held_out_row(self.pairs, self.before, now)


def read_halves(settings: Dpo, context: StageContext) -> dict[str, list[Preference]]:
    """Preferences to train on and held-out ones: those of the preference stage, then imported ones and named files.

    Of the latter a prompt is held out by a hash of its words, so all its pairs are; one that the preference stage has
    stays on its side.

    Raises:
        DataError: no row of `preferences` can be used, or there is no pair at all to come.
    """
    halves: dict[str, list[Preference]] = {"preferences": [], "held_out": []}
    folders = [context.inputs["prefer"]] if "prefer" in context.inputs else []
    for name, half in halves.items():
        for folder in folders:
            half += read_preferences(folder / f"{name}.jsonl")[0]
    sides = {_question(pair): name for name, half in halves.items() for pair in half}
    imported = _imported(settings, context)
    named = _named(settings, context)
    if not folders and not imported and not named:
        raise DataError(
            f"[dpo] has no pair to train on: [instructions] imported none (see {context.inputs[INSTRUCTIONS]}/"
            "preferences_dropped.jsonl), and there is no [prefer]. Name files in `dpo.preferences`, or add [prefer]"
        )
    for pair in (*imported, *named):
        question = _question(pair)
        is_apart = is_held_out(question, settings.held_out_share, context.seed)
        halves[sides.get(question, "held_out" if is_apart else "preferences")].append(pair)
    return halves


def _question(preference: Preference) -> str:
    return preference.prompt[-1].content


def _imported(settings: Dpo, context: StageContext) -> list[Preference]:
    """What the stage `instructions` imported and checked, if it is wanted."""
    if not settings.imported or INSTRUCTIONS not in context.inputs:
        return []
    found, _ = read_preferences(context.inputs[INSTRUCTIONS] / "preferences.jsonl")
    context.counts["imported"] = len(found)
    return found


def _named(settings: Dpo, context: StageContext) -> list[Preference]:
    """The pairs of the files that the section names; bad rows go to quarantine.jsonl.

    Raises:
        DataError: there is none.
    """
    good, bad = [], []
    for path in context.files(settings.preferences):
        found, broken = read_preferences(path)
        good += found
        bad += [_quarantine_row(path, line) for line in broken]
    if own_place().rank == 0:
        write_json_lines(context.out / "quarantine.jsonl", bad)
    if settings.preferences:
        context.counts["rows"] = {"read": len(good), "quarantined": len(bad)}
        if not good:
            raise DataError(
                f"[dpo] preferences ({settings.preferences[0]}, ...) holds no usable pair: {len(bad)} bad rows"
                f"{', the first: ' + bad[0]['where'] + ': ' + bad[0]['reason'] if bad else ''}. Expected rows with "
                "prompt, chosen and rejected"
            )
    return good


def _quarantine_row(path: Path, line: str) -> dict[str, str]:
    number, _, reason = line.removeprefix(f"{path}:").partition(": ")
    return {"where": f"{path.name}:{number}", "reason": reason}


def _encode(
    context: StageContext, name: str, preferences: Sequence[Preference], settings: Dpo, chat: ChatFormat
) -> list[Pair]:
    pairs, left_out = encode_pairs(preferences, chat, settings.max_sequence_tokens)
    context.counts[name] = {"pairs": len(pairs), **{f"left out: {reason}": n for reason, n in left_out.items()}}
    return pairs
