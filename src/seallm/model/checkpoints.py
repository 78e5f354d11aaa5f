"""Model folders: read, check, write.

A model is an ordinary Hugging Face folder (config.json, *.safetensors, tokenizer.json, chat_template.jinja,
generation_config.json), so that transformers, vLLM and others load it as it is. Nothing is unpickled and no code from a
folder is run. Equal models give equal bytes.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from seallm.base.errors import DataError, ModelError
from seallm.base.files import read_json, write_json
from seallm.base.hub import download, is_hub_id
from seallm.base.runtime import Runtime
from seallm.recipe import Base

HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
SHARD_BYTES = 50 * 10**9
_ORIGIN = ("name_or_path", "is_local", "local_files_only")


def resolve_base(settings: Base, recipe_folder: Path) -> Path:
    """The local folder of the base model; one from the hub is downloaded first.

    Args:
        settings: the [base] section with a `model`.
        recipe_folder: where a relative path starts.

    Raises:
        ModelError: there is no such folder or hub model, or it lacks configuration, weights or tokenizer.
    """
    assert settings.model is not None, "a base that is trained here has no folder to resolve"
    path = Path(settings.model).expanduser()
    folder = path if path.is_absolute() else recipe_folder / path
    if not folder.is_dir():
        folder = _download(settings.model, settings.revision, folder)
    check_folder(folder)
    return folder


def _download(name: str, revision: str | None, tried: Path) -> Path:
    if not is_hub_id(name):
        raise ModelError(f"[base] model = {name!r}: there is no folder {tried}, and it is not a hub id (owner/name)")
    try:
        return download(name, HUB_FILES, revision)
    except DataError as reason:
        raise ModelError(
            f"[base] model = {name!r}: there is no folder {tried}, and the hub did not give it ({reason}). Check the "
            "name, your connection, and whether the model needs `hf auth login`"
        ) from None


def check_folder(folder: Path) -> None:
    """See that a model folder is complete, without loading it.

    Raises:
        ModelError: the folder, its configuration, its weights or its tokenizer is missing.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; expected a Hugging Face model folder")
    found = sorted(p.name for p in folder.iterdir())
    if "config.json" not in found:
        raise ModelError(f"{folder} has no config.json; it holds {_names(found)}. Expected a Hugging Face model folder")
    if not any(name.endswith(".safetensors") for name in found):
        pickled = [name for name in found if name.endswith((".bin", ".pt", ".pth"))]
        hint = (
            f"{pickled[0]} is pickled, which seallm never loads: convert it to safetensors" if pickled else "add them"
        )
        raise ModelError(f"{folder} has no weights (*.safetensors); it holds {_names(found)}; {hint}")
    _check_tokenizer(folder, found)


def _check_tokenizer(folder: Path, found: list[str]) -> None:
    if "tokenizer.json" not in found:
        hint = (
            "convert its tokenizer.model with transformers' AutoTokenizer and save_pretrained (needs sentencepiece)"
            if "tokenizer.model" in found
            else "copy the tokenizer files of the model into it"
        )
        raise ModelError(f"{folder} has no tokenizer.json; {hint}")


def _names(names: list[str], limit: int = 6) -> str:
    return (", ".join(names[:limit]) + (", ..." if len(names) > limit else "")) or "nothing"


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Read tokenizer.json and its settings, just as they are written.

    Raises:
        ModelError: there is no tokenizer, or it is damaged.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; expected one with a tokenizer.json")
    _check_tokenizer(folder, [p.name for p in folder.iterdir()])
    try:
        return PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise ModelError(f"{folder / 'tokenizer.json'} cannot be read: {_first_line(error)}") from error


def load_model(folder: Path, runtime: Runtime) -> PreTrainedModel:
    """Read a model in evaluation mode, on the runtime's device, in its number type.

    Raises:
        ModelError: files or weights are missing, or the architecture is unknown.
    """
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        check_folder(folder)
    try:
        with _no_progress_bars():
            model, report = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=runtime.torch_dtype(),
                attn_implementation="sdpa",
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:  # safetensors and transformers raise types of their own for damaged files
        raise ModelError(f"{folder} cannot be loaded: {_first_line(error)}") from error
    lacking = [*report["missing_keys"], *report["mismatched_keys"]]
    if lacking:
        raise ModelError(
            f"{folder} lacks weights that its config.json asks for, or has them in another shape: "
            f"{_names(sorted(map(str, lacking)))}. Copy the whole model again"
        )
    return model.to(runtime.torch_device()).eval()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def save_model(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, shard_bytes: int = SHARD_BYTES
) -> None:
    """Write a model with its tokenizer, chat template and generation settings; the folder appears whole or not at all.

    The model's end, beginning and padding ids are set to the tokenizer's.

    Args:
        folder: to write.
        model: with a row for every token.
        tokenizer: of the model.
        shard_bytes: largest weight file, in which one tensor has room.

    Raises:
        ModelError: the tokenizer has more tokens than the model has rows.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    largest = max(tokenizer.get_vocab().values())
    if largest >= rows:
        raise ModelError(
            f"The tokenizer has ids up to {largest}, the model only {rows} rows; extend the model before saving"
        )
    partial, old = (folder.with_name(f".{folder.name}.{end}") for end in ("partial", "old"))
    for leftover in (partial, old):
        if leftover.exists():
            shutil.rmtree(leftover)
    partial.mkdir(parents=True)
    _set_token_ids(model, tokenizer)
    with _no_progress_bars():
        model.save_pretrained(str(partial), max_shard_size=shard_bytes)
    tokenizer.save_pretrained(str(partial))
    _make_portable(partial)
    for path in partial.iterdir():
        _flush(path)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    if old.exists():
        shutil.rmtree(old)


def _set_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": pad}
    for name, value in ids.items():
        setattr(model.config, name, value)
    model.generation_config = GenerationConfig(**ids)


def _make_portable(folder: Path) -> None:
    """Drop where the tokenizer came from, and name the class that means: take tokenizer.json as it is.

    A class such as LlamaTokenizer rebuilds the tokenizer by its own rules and would lose an extended vocabulary's. For
    some model types (qwen2) transformers 5 takes such a class whatever is named, and a repaired regex is lost without a
    word; an empty `auto_map` is the one setting that makes it believe the name. It has a price: a caller who allows
    remote code gets an error, as there is none.
    """
    path = folder / "tokenizer_config.json"
    settings: dict[str, Any] = {k: v for k, v in read_json(path).items() if k not in (*_ORIGIN, "auto_map")}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_json(path, settings)
    if not _is_taken_as_it_is(folder):
        write_json(path, settings | {"auto_map": {"AutoTokenizer": [None, None]}})


def _is_taken_as_it_is(folder: Path) -> bool:
    """True where transformers' own choice of class cuts text as tokenizer.json says."""
    loaded = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    found = json.loads(loaded.backend_tokenizer.to_str())
    wanted = json.loads(Tokenizer.from_file(str(folder / "tokenizer.json")).to_str())
    return all(found[part] == wanted[part] for part in ("normalizer", "pre_tokenizer", "decoder"))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """The library's own bars would break the display of the run."""
    was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            transformers_logging.enable_progress_bar()


def new_llama(
    vocabulary_tokens: int,
    *,
    hidden_size: int,
    layers: int,
    heads: int,
    max_sequence_tokens: int,
    tie_embeddings: bool = True,
    seed: int = 0,
) -> LlamaForCausalLM:
    """A Llama with random weights, float32 on the CPU; equal arguments give equal weights.

    The inner width is 8/3 of `hidden_size`, rounded up to a multiple of 16, as in Llama.

    Raises:
        ModelError: `heads` does not divide `hidden_size`.
    """
    if hidden_size % heads:
        raise ModelError(f"heads = {heads} must divide hidden_size = {hidden_size}")
    config = LlamaConfig(
        vocab_size=vocabulary_tokens,
        hidden_size=hidden_size,
        intermediate_size=-(-hidden_size * 8 // 3 // 16) * 16,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=max_sequence_tokens,
        tie_word_embeddings=tie_embeddings,
        # "small init" (Nguyen and Salazar 2019): the usual 0.02 suits a width of 1,000 and holds a narrow model back
        initializer_range=math.sqrt(2 / (5 * hidden_size)),
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()
