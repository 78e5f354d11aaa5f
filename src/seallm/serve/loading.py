"""A MODEL and how to run it -> an engine.

own        transformers and our continuous batch, on a CPU or a GPU
vllm       vLLM's engine (`seallm[vllm]`), for large models and many users
llama.cpp  quantised weights in a GGUF file (`seallm[llama-cpp]`), fast on a CPU
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from seallm.base.errors import ModelError
from seallm.base.files import read_json
from seallm.base.runtime import Runtime, available_cores
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.model.continuous import ContinuousBatch
from seallm.model.jobs import Batch, BatchSettings
from seallm.model.places import ModelPlace, find_model
from seallm.model.prompt_format import PromptFormat
from seallm.serve.engine import Engine

EngineKind = Literal["own", "vllm", "llama.cpp"]
Device = Literal["cpu", "cuda"]
NumberType = Literal["float32", "bfloat16"]
GIB = 2**30


@dataclass(frozen=True)
class EngineSettings:
    """How a model is run.

    Attributes:
        kind: which program computes.
        device: None: a GPU where there is one.
        number_type: of weights and cache; None: float32 on a CPU, bfloat16 on a GPU.
        max_rows: answers made at once; None: 16 on a CPU, 64 on a GPU.
        cache_gib: memory for keys and values of these; None: 2 on a CPU, 40 % of what is free on a GPU.
        prefix_gib: memory for keys and values kept for later requests; None: 1 on a CPU, 20 % on a GPU; 0 keeps none.
        max_waiting: requests that may wait.
    """

    kind: EngineKind = "own"
    device: Device | None = None
    number_type: NumberType | None = None
    max_rows: int | None = None
    cache_gib: float | None = None
    prefix_gib: float | None = None
    max_waiting: int = 64


def load_engine(place: Path, settings: EngineSettings | None = None) -> Engine:
    """Load the model that `place` stands for (`places.find_model`).

    Raises:
        ModelError: there is no finished model, it is damaged, or it was not made for conversations.
        MissingExtra: what computes is not installed.
    """
    settings = settings or EngineSettings()
    found = find_model(place)
    prompt_format = PromptFormat(
        load_tokenizer(found.folder), _named_ends(found)
    )  # before the weights: it fails sooner
    runtime = serving_runtime(settings)
    max_rows = settings.max_rows or (16 if runtime.device == "cpu" else 64)
    batch: Batch
    if settings.kind == "own":
        own = ContinuousBatch(load_model(found.folder, runtime), batch_settings(settings, runtime, max_rows))
        batch, max_sequence_tokens = own, own.max_sequence_tokens
    else:
        raise NotImplementedError(settings.kind)
    return Engine(
        batch,
        prompt_format,
        found.name,
        max_sequence_tokens=max_sequence_tokens,
        max_rows=max_rows,
        max_waiting=settings.max_waiting,
    )


def serving_runtime(settings: EngineSettings) -> Runtime:
    """All cores; or a GPU where there is one, unless the settings say otherwise.

    Raises:
        ModelError: there is no such device.
    """
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"--device {device}: torch finds no GPU here. Use --device cpu")
    number_type = settings.number_type or ("float32" if device == "cpu" else "bfloat16")
    return Runtime(1, available_cores(), device, number_type, False)


def batch_settings(settings: EngineSettings, runtime: Runtime, max_rows: int) -> BatchSettings:
    """Bounds for our own batch, after the weights were loaded."""
    if runtime.device == "cpu":
        cache, prefixes, step_tokens = 2 * GIB, GIB, 128
    else:
        free, _ = torch.cuda.mem_get_info(runtime.torch_device())
        cache, prefixes, step_tokens = int(0.4 * free), int(0.2 * free), 1024
    if settings.cache_gib is not None:
        cache = int(settings.cache_gib * GIB)
    if settings.prefix_gib is not None:
        prefixes = int(settings.prefix_gib * GIB)
    return BatchSettings(max_rows, cache, prefixes, step_tokens)


def _named_ends(found: ModelPlace) -> list[int]:
    """Ids that the model's makers name as ends of an answer."""
    file = found.folder / "generation_config.json"
    named: Any = read_json(file).get("eos_token_id") if file.is_file() else None
    return [named] if isinstance(named, int) else list(named or ())
