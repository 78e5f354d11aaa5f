"""A base model, an extended tokenizer and documents in; which start of the new rows learns fastest out.

The loss right after the rows are made says little about the loss a little later, so each way to start is trained for
the same few steps on the same batches, and measured in bits per byte before and after: the unit that does not depend on
the tokenizer. The base with its own tokenizer stands beside them.
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, ModelError, RecipeError
from seallm.base.files import atomic_writer, resolve_path
from seallm.base.runtime import Runtime, available_cores
from seallm.model.checkpoints import load_tokenizer, resolve_base
from seallm.model.embeddings import Method, extend_model
from seallm.recipe import Base
from seallm.recipe_training import Mixture, Optimiser, Pretrain
from seallm.train.batches import TokenBatch
from seallm.train.curriculum import Curriculum
from seallm.train.held_out import ALL_TIERS, HeldOut, measure_bits_per_byte, read_held_out
from seallm.train.loop import Periodic, Phase, train
from seallm.train.mixture import open_store
from seallm.train.objectives import next_token_loss
from seallm.train.pretrain import MixtureBatches
from seallm.train.start import MODEL, check_positions, load_weights_in_full, sample_texts
from seallm.vocab.tokenizer_places import STAGE_FOLDER
from seallm.vocab_inputs import is_corpus, recorded_languages, write_corpus

HELD_OUT_EVERY = 20  # of documents that are no corpus yet, one in so many is measured on
MEGABYTES = 2.0  # read of each language


@dataclass(frozen=True)
class Budget:
    """How long each way to start is trained.

    Attributes:
        steps: optimiser steps.
        sequence_tokens: length of the packed rows.
        batch_tokens: tokens a step.
        learning_rate: peak of the schedule.
        new_rows_only: train the rows of the new tokens alone.
        seed: of the batches.
    """

    steps: int = 50
    sequence_tokens: int = 256
    batch_tokens: int = 4_096
    learning_rate: float = 5e-4
    new_rows_only: bool = False
    seed: int = 0


def probe(
    base: str,
    tokenizer: Path,
    corpus: str,
    *,
    languages: Sequence[str] = (),
    methods: Sequence[Method] = get_args(Method),
    budget: Budget | None = None,
    runtime: Runtime | None = None,
) -> dict[str, Any]:
    """Train each way to start for a little while.

    Args:
        base: model folder or hub id.
        tokenizer: what `extend` or the vocab stage wrote.
        corpus: a corpus, or files of documents.
        languages: codes, the base language first; none: as the tokenizer's certificate says.
        methods: ways to start.
        budget: how long; absent: as `Budget` says.
        runtime: the machine; absent: all of it, with a GPU where there is one.

    Returns:
        `base`: bits per byte by language, of the base with its own tokenizer; `methods`: by name, `before` and `after`.

    Raises:
        ModelError: the base or the tokenizer cannot be used, or does not fit the other.
        DataError: the corpus has no documents of these languages, or nothing to measure on.
    """
    inner = tokenizer / STAGE_FOLDER if (tokenizer / STAGE_FOLDER).is_dir() else tokenizer
    codes = tuple(languages) or recorded_languages(tokenizer)
    with tempfile.TemporaryDirectory(prefix="seallm-probe-") as name:
        work = Path(name)
        place = _corpus_with_held_out(resolve_path(corpus, Path.cwd()), codes, work / "corpus")
        (work / "base").mkdir()
        (work / "base" / MODEL).symlink_to(resolve_base(Base(model=base), Path.cwd()).resolve())
        inputs = {"model": work / "base", "corpus": place}
        budget, cores = budget or Budget(), available_cores()
        machine = Runtime(workers=cores, threads=cores, device="auto")
        context = StageContext(work / "out", inputs, codes, budget.seed, runtime or machine, Path.cwd())
        return _compare(context, inner, methods, budget)


def chosen_methods(names: str | None) -> tuple[Method, ...]:
    """The ways to start that `names`, divided by commas, names; none: all.

    Raises:
        RecipeError: one is not known.
    """
    wanted = [name.strip() for name in names.split(",")] if names else list(get_args(Method))
    unknown = [name for name in wanted if name not in get_args(Method)]
    if unknown:
        raise RecipeError(f"--methods {unknown[0]}: known ways to start are {', '.join(get_args(Method))}")
    return tuple(name for name in get_args(Method) if name in wanted)


def _corpus_with_held_out(place: Path, languages: Sequence[str], folder: Path) -> Path:
    """A corpus with documents to measure on: the place itself, or one made of its files, some of them held out."""
    found = write_corpus(place, languages, MEGABYTES, folder)
    if is_corpus(place):
        return found
    for code in languages:
        path = folder / "documents" / f"{code}.high.parquet"
        table = pq.read_table(path) if path.is_file() else None
        if table is not None and table.num_rows > 1:
            numbers = range(table.num_rows)
            _write(table.take([n for n in numbers if n % HELD_OUT_EVERY]), path)
            _write(table.take([n for n in numbers if not n % HELD_OUT_EVERY]), folder / "held_out" / f"{code}.parquet")
    return found


def _write(table: pa.Table, path: Path) -> None:
    with atomic_writer(path) as file:
        pq.write_table(table, file, compression="zstd")


def _compare(context: StageContext, extended: Path, methods: Sequence[Method], budget: Budget) -> dict[str, Any]:
    folder = context.inputs["model"] / MODEL
    held_out = read_held_out(context.inputs["corpus"], context.languages)
    if not held_out.documents:
        raise DataError(f"{context.inputs['corpus']} holds no documents to measure on (held_out/)")
    old, new = load_tokenizer(folder), load_tokenizer(extended)
    model = load_weights_in_full(folder, context)
    check_positions({"--sequence-tokens": budget.sequence_tokens}, model)
    figures: dict[str, Any] = {
        "base": _measured(model, old, held_out, budget),
        "languages": list(held_out.documents),
        "budget": dataclasses.asdict(budget),
        "methods": {},
    }
    del model
    curriculum = _curriculum(context, new, budget)
    texts = sample_texts(context.inputs["corpus"], context.languages)
    for method in methods:
        model = load_weights_in_full(folder, context)
        new_ids = extend_model(model, old, new, method, texts=texts)
        if not new_ids:
            raise ModelError(f"{extended} has no tokens that {folder.resolve()} lacks: there is nothing to compare")
        before = _measured(model, new, held_out, budget)
        _train(model, curriculum, dataclasses.replace(context, out=context.out / method), budget, new_ids)
        figures["methods"][method] = {"before": before, "after": _measured(model, new, held_out, budget)}
        del model
    return figures


def _curriculum(context: StageContext, tokenizer: Any, budget: Budget) -> Curriculum:
    """The same batches for all."""
    settings = Pretrain(
        sequence_tokens=budget.sequence_tokens,
        batch_tokens=budget.batch_tokens,
        mixtures=[Mixture(name="probe", tiers=["high", "low"], tokens=budget.steps * budget.batch_tokens)],
    )
    store = open_store(context, tokenizer, ("high", "low"))
    return Curriculum(settings, store, context.languages, context.seed, context.out)


def _train(model: Any, curriculum: Curriculum, context: StageContext, budget: Budget, new_ids: Sequence[int]) -> None:
    phase: Phase[TokenBatch] = Phase(
        name="probe",
        steps=budget.steps,
        batches=MixtureBatches(curriculum, 0, model.device),
        objective=next_token_loss,
        optimiser=Optimiser(learning_rate=budget.learning_rate),
        trained_rows=new_ids if budget.new_rows_only else None,
    )
    train(model, [phase], context, Periodic(context.out.name, budget.steps + 1))


def _measured(model: Any, tokenizer: Any, held_out: HeldOut, budget: Budget) -> dict[str, float]:
    """Bits per byte by language, on a sample of the held-out documents."""
    rows = measure_bits_per_byte(model, tokenizer, held_out, budget.sequence_tokens, full=False)
    return {row["language"]: round(row["bits_per_byte"], 4) for row in rows if row["tier"] == ALL_TIERS}
