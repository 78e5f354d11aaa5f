"""What every training stage begins with: the model and tokenizer of the stage before, checked before use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext
from seallm.base.errors import ModelError
from seallm.base.files import read_json
from seallm.base.records import Tier
from seallm.base.runtime import Runtime, own_place, seed_everything
from seallm.model.chat_format import add_chat_tokens
from seallm.model.checkpoints import load_model, load_tokenizer, save_model
from seallm.model.embeddings import Method, extend_model
from seallm.train.checkpoint import Kept, end_checkpoints
from seallm.train.objectives import check_head
from seallm.train.processes import barrier, join

MODEL = "model"
SAMPLE_CHARACTERS = 1_000_000  # of each language, to find out which tokens are alike


@dataclass
class Start:
    """A model about to be trained, its tokenizer, and the ids that it got rows for here."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    new_ids: list[int]


def prepare_torch(context: StageContext) -> torch.device:
    """Meet the other processes, if any; seat torch on the runtime's threads and device, seeded.

    Raises:
        ProcessError: the others were not there in time, or there are more processes than GPUs.
    """
    join(context.runtime)
    device = context.runtime.torch_device()
    on_cpu = device.type == "cpu"
    seed_everything(context.seed, deterministic=on_cpu, strict=not on_cpu and context.runtime.training.deterministic)
    # a check for bugs that costs a tenth of a step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return device


def load_weights_in_full(folder: Path, context: StageContext) -> PreTrainedModel:
    """Load a model for training: float32 weights whatever the runtime computes in (bfloat16 would lose small updates).

    Raises:
        ModelError: the model cannot be loaded, its logits are computed unusually, or a weight is not finite.
    """
    prepare_torch(context)
    runtime: Runtime = replace(context.runtime, dtype="float32")
    model = load_model(folder, runtime)
    check_finite(model, folder)
    check_head(model)
    return model


def load_start(context: StageContext, extended: Path | None = None, method: Method = "mean") -> Start:
    """Load the newest model; give it the chat tokens and the rows of an extended tokenizer where it lacks them.

    Args:
        context: `inputs["model"]` is the stage folder.
        extended: folder of a tokenizer that extends the model's own.
        method: how new rows are made.

    Raises:
        ModelError: see `load_weights_in_full`; or the tokenizer does not extend the model's.
    """
    folder = context.inputs["model"] / MODEL
    model = load_weights_in_full(folder, context)
    old = load_tokenizer(folder)
    tokenizer = load_tokenizer(extended or folder)
    add_chat_tokens(tokenizer)
    texts = sample_texts(context.inputs["corpus"], context.languages) if method == "similarity" else []
    new_ids = extend_model(model, old, tokenizer, method, texts=texts, row_multiple=_row_multiple(extended))
    return Start(model, tokenizer, new_ids)


def _row_multiple(extended: Path | None) -> int:
    """What the certificate of an extended tokenizer says; 1 without one."""
    certificate = extended.parent / "certificate.json" if extended else None
    return int(read_json(certificate)["row_multiple"]) if certificate and certificate.is_file() else 1


def sample_texts(corpus: Path, languages: Sequence[str]) -> list[str]:
    """The first documents of each language of a corpus, high tier first, about SAMPLE_CHARACTERS of them."""
    texts = []
    for code in languages:
        size = 0
        for path in (corpus / "documents" / f"{code}.{tier}.parquet" for tier in get_args(Tier)):
            for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]) if path.is_file() else ():
                for text in batch.column("text").to_pylist():
                    if size < SAMPLE_CHARACTERS:
                        texts.append(text)
                        size += len(text)
    return texts


def check_finite(model: PreTrainedModel, folder: Path) -> None:
    """See that all weights are numbers.

    Raises:
        ModelError: one is NaN or infinite.
    """
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise ModelError(f"{folder}: weight {name} holds NaN or infinite numbers. Copy or train the model again")


def check_positions(settings: Mapping[str, int], model: PreTrainedModel) -> None:
    """See that the model has positions for the sequences.

    Args:
        settings: lengths in tokens by the name of their setting.
        model: the model.

    Raises:
        ModelError: a sequence is longer.
    """
    longest = getattr(model.config, "max_position_embeddings", None)
    for name, tokens in settings.items():
        if longest is not None and tokens > longest:
            raise ModelError(f"{name} = {tokens} is more than the model's {longest} positions; lower it in the recipe")


def finish(context: StageContext, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the model folder; then the checkpoints have done their work, but for those that shall stay.

    Raises:
        ModelError: a weight is not a finite number.
    """
    check_finite(model, context.out)
    barrier()
    if own_place().rank == 0:
        save_model(context.out / MODEL, model, tokenizer)
        settings = context.runtime.training
        end_checkpoints(context.out, Kept(settings.keep_checkpoints, settings.keep_best_checkpoint))
    barrier()
