"""Continual pre-training: base model, extended tokenizer and tiered corpus in; a model that reads all languages out.

model/               ready for conversations: it already has the chat tokens
tokens/              the token store (the hybrid stage reads it too)
metrics.jsonl        one row a step
bits_per_byte.jsonl  held-out text by language: "base" = base model and tokenizer, 0 = extended, before training, ...
"""

from typing import Any, get_args

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import ModelError
from seallm.base.records import Tier
from seallm.model.checkpoints import load_tokenizer
from seallm.recipe_training import Mixture, Pretrain
from seallm.train.batches import TokenBatch, rows_per_step
from seallm.train.held_out import HeldOut, measure_bits_per_byte, read_held_out
from seallm.train.loop import Periodic, Phase, train
from seallm.train.mixture import TextBatches, TextRows, curriculum, open_store
from seallm.train.objectives import next_token_loss
from seallm.train.processes import from_first, in_turn
from seallm.train.start import MODEL, Start, check_positions, finish, load_start, load_weights_in_full, prepare_torch
from seallm.train.step_log import StepLog
from seallm.train.store import TokenStore

BITS_PER_BYTE, TOKENIZER = "bits_per_byte.jsonl", "tokenizer"


def run(settings: Pretrain, context: StageContext) -> None:
    """Train on the mixtures in order.

    Raises:
        ModelError: the base model or tokenizer cannot be used, or training diverged.
        DataError: the corpus has nothing to train on.
    """
    held_out = read_held_out(context.inputs["corpus"], context.languages)
    log = StepLog(context.out / BITS_PER_BYTE)
    prepare_torch(context)
    if not from_first(lambda: any(row["step"] == "base" for row in log.rows())):
        log.put("base", from_first(lambda: _measure_base(settings, context, held_out)))
    extended = context.inputs["vocab"] / TOKENIZER if "vocab" in context.inputs else None
    start = load_start(context, extended, settings.embedding_init)
    check_positions({"[pretrain] sequence_tokens": settings.sequence_tokens}, start.model)
    with in_turn():
        store = open_store(context, start.tokenizer, get_args(Tier))
    phases = _phases(settings, context, start, store)

    def measure(step: int, *, full: bool = False) -> float:
        is_full, length = full or not step, settings.sequence_tokens
        with timed(context.timings, "measuring_seconds"):
            rows = from_first(
                lambda: measure_bits_per_byte(start.model, start.tokenizer, held_out, length, full=is_full)
            )
        log.put(step, rows)
        return sum(row["bits_per_byte"] for row in rows) / max(len(rows), 1)

    periodic = Periodic(
        "pre-training", settings.checkpoint_every_steps, measure, settings.evaluate_every_steps, logs=[log]
    )
    train(start.model, phases, context, periodic)
    measure(sum(phase.steps for phase in phases), full=True)
    finish(context, start.model, start.tokenizer)


def _measure_base(settings: Pretrain, context: StageContext, held_out: HeldOut) -> list[dict[str, Any]]:
    """What the base model makes of the held-out documents with its own tokenizer."""
    folder = context.inputs["model"] / MODEL
    model, tokenizer = load_weights_in_full(folder, context), load_tokenizer(folder)
    return measure_bits_per_byte(model, tokenizer, held_out, settings.sequence_tokens, full=True)


def _phases(settings: Pretrain, context: StageContext, start: Start, store: TokenStore) -> list[Phase[TokenBatch]]:
    wanted = [m for m in settings.mixtures if m.trainable == "new-rows"]
    if wanted and not start.new_ids:
        raise ModelError(
            f"Mixture {wanted[0].name!r} trains new rows only, but the tokenizer has no new tokens. Set trainable = "
            '"all", or add a [vocab] section'
        )
    batch = (settings.sequence_tokens, settings.batch_tokens)
    rows = curriculum(settings.mixtures, store, context.languages[0], context.seed, *batch)
    context.counts["new_tokens"] = len(start.new_ids)
    context.counts["mixtures"] = {m.name: r.summary() for m, r in zip(settings.mixtures, rows, strict=True)}
    return [
        _phase(m, r, rows_per_step(settings.batch_tokens, settings.sequence_tokens), start)
        for m, r in zip(settings.mixtures, rows, strict=True)
    ]


def _phase(mixture: Mixture, rows: TextRows, per_step: int, start: Start) -> Phase[TokenBatch]:
    return Phase(
        name=mixture.name,
        steps=rows.stream.num_rows // per_step,
        batches=TextBatches(rows, per_step, start.model.device),
        objective=next_token_loss,
        optimiser=mixture.optimiser,
        trained_rows=start.new_ids if mixture.trainable == "new-rows" else None,
    )
