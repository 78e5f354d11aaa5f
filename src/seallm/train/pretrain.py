"""Continual pre-training: base model, extended tokenizer and tiered corpus in; a model that reads all languages out.

model/               ready for conversations: it already has the chat tokens
tokens/              the token store (the hybrid stage reads it too)
metrics.jsonl        one row a step
bits_per_byte.jsonl  held-out text by language: "base" = base model and tokenizer, 0 = extended, before training, ...
decisions.jsonl      what dynamic mixtures decided (`curriculum`)
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import DataError, ModelError
from seallm.base.records import Tier
from seallm.model.checkpoints import load_tokenizer
from seallm.recipe_training import Mixture, Pretrain
from seallm.train.batches import TokenBatch, step_batch
from seallm.train.controller import Measured
from seallm.train.curriculum import Curriculum
from seallm.train.held_out import HeldOut, measure_bits_per_byte, read_held_out, sample_figures
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.mixture import TOKENS, open_store
from seallm.train.objectives import next_token_loss
from seallm.train.processes import from_first, in_turn
from seallm.train.sentence_pairs import SOURCE, write_pair_documents
from seallm.train.start import MODEL, Start, check_positions, finish, load_start, load_weights_in_full, prepare_torch
from seallm.train.step_log import StepLog

BITS_PER_BYTE, TOKENIZER, PAIRS_FILE = "bits_per_byte.jsonl", "tokenizer", "pairs.parquet"


def run(settings: Pretrain, context: StageContext) -> None:
    """Train on the mixtures in order.

    Raises:
        ModelError: the base model or tokenizer cannot be used, or training diverged.
        DataError: the corpus has nothing to train on.
    """
    prepare_torch(context)
    measuring = _Measuring(settings, context)
    measuring.base()
    extended = context.inputs["vocab"] / TOKENIZER if "vocab" in context.inputs else None
    start = load_start(context, extended, settings.embedding_init)
    check_positions({"[pretrain] sequence_tokens": settings.sequence_tokens}, start.model)
    with in_turn():
        store = open_store(context, start.tokenizer, get_args(Tier), pair_documents(settings, context))
    curriculum = Curriculum(settings, store, context.languages, context.seed, context.out)
    phases = _phases(settings, context, start, curriculum)

    def measure(step: int, *, full: bool = False) -> float:
        figures = measuring.measure(step, start, full=full or not step)
        curriculum.decide(step, figures)
        return sum(figures.now.values()) / max(len(figures.now), 1)

    periodic = Periodic(
        "pre-training",
        settings.checkpoint_every_steps,
        measure,
        settings.evaluate_every_steps,
        logs=[measuring.log, *([curriculum.log] if any(m.dynamic for m in settings.mixtures) else [])],
    )
    train(start.model, phases, context, periodic)
    measure(sum(phase.steps for phase in phases), full=True)
    context.counts["mixtures"] = {m.name: curriculum.summary(n) for n, m in enumerate(settings.mixtures)}
    finish(context, start.model, start.tokenizer)


def pair_documents(settings: Pretrain, context: StageContext) -> dict[str, Path]:
    """The Parquet file of sentence pairs, written where it is missing; nothing where the recipe names none."""
    if settings.parallel is None:
        return {}
    path = context.out / TOKENS / PAIRS_FILE
    if not path.is_file():
        write_pair_documents(context.resolve(settings.parallel), context.languages, path)
    return {SOURCE: path}


@dataclass
class _Measuring:
    """Held-out bits per byte, measured and written down."""

    settings: Pretrain
    context: StageContext
    held_out: HeldOut = field(init=False)
    log: StepLog = field(init=False)
    figures: dict[str | int, dict[str, float]] = field(init=False)

    def __post_init__(self) -> None:
        self.held_out = read_held_out(self.context.inputs["corpus"], self.context.languages)
        self.log = StepLog(self.context.out / BITS_PER_BYTE)
        self.figures = sample_figures(self.log.rows())
        if not self.held_out.documents and any(m.dynamic for m in self.settings.mixtures):
            raise DataError(
                f"{self.context.inputs['corpus'] / 'held_out'} has no documents, and a dynamic mixture follows their "
                "bits per byte. Set corpus.held_out_share, or take `dynamic` out"
            )

    def base(self) -> None:
        """What the base model makes of the documents with its own tokenizer, measured once."""
        if from_first(lambda: "base" not in self.figures):
            self._put("base", from_first(self._base_rows))

    def measure(self, step: int, start: Start, *, full: bool) -> Measured:
        """What the model makes of them after a step."""
        with timed(self.context.timings, "measuring_seconds"):
            self._put(step, from_first(lambda: self._rows(start.model, start.tokenizer, full=full)))
        return Measured(self.figures[step], self.figures[0], self.figures["base"])

    def _base_rows(self) -> list[dict[str, Any]]:
        folder = self.context.inputs["model"] / MODEL
        return self._rows(load_weights_in_full(folder, self.context), load_tokenizer(folder), full=True)

    def _rows(self, model: Any, tokenizer: PreTrainedTokenizerFast, *, full: bool) -> list[dict[str, Any]]:
        return measure_bits_per_byte(model, tokenizer, self.held_out, self.settings.sequence_tokens, full=full)

    def _put(self, step: int | str, rows: list[dict[str, Any]]) -> None:
        self.log.put(step, rows)
        self.figures[step] = sample_figures([{"step": step, **row} for row in rows]).get(step, {})


def _phases(settings: Pretrain, context: StageContext, start: Start, curriculum: Curriculum) -> list[Phase[TokenBatch]]:
    wanted = [m for m in settings.mixtures if m.trainable == "new-rows"]
    if wanted and not start.new_ids:
        raise ModelError(
            f"Mixture {wanted[0].name!r} trains new rows only, but the tokenizer has no new tokens. Set trainable = "
            '"all", or add a [vocab] section'
        )
    context.counts["new_tokens"] = len(start.new_ids)
    return [_phase(number, mixture, start, curriculum) for number, mixture in enumerate(settings.mixtures)]


def _phase(number: int, mixture: Mixture, start: Start, curriculum: Curriculum) -> Phase[TokenBatch]:
    return Phase(
        name=mixture.name,
        steps=curriculum.steps[number],
        batches=MixtureBatches(curriculum, number, start.model.device),
        objective=next_token_loss,
        optimiser=mixture.optimiser,
        trained_rows=start.new_ids if mixture.trainable == "new-rows" else None,
        left_out=steps_left_out(curriculum.settings.skip_steps, curriculum.steps, number),
    )


def steps_left_out(skip_steps: list[int], steps: list[int], number: int) -> frozenset[int]:
    """The steps of one phase, from 0, that the recipe skips by their number in the stage, from 1."""
    before = sum(steps[:number])
    return frozenset(step - before - 1 for step in skip_steps if 0 <= step - before - 1 < steps[number])


@dataclass(frozen=True, eq=False)
class MixtureBatches:
    """Batches of one mixture by step."""

    curriculum: Curriculum
    number: int
    device: torch.device

    def __call__(self, step: int) -> StepBatch[TokenBatch]:
        """The batch of a step of the mixture, from 0."""
        self.curriculum.store.check_files()
        rows, numbers = self.curriculum.rows(self.number, step)
        return step_batch([rows.row(n) for n in numbers], rows.stream.row_tokens, self.device)
