"""A MODEL and how to run it -> an engine.

own        transformers and our continuous batch, on a CPU or a GPU
vllm       vLLM's engine (`seallm[vllm]`), for large models and many users
llama.cpp  quantised weights in a GGUF file (`seallm[llama-cpp]`), fast on a CPU
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from seallm.base.errors import ModelError
from seallm.base.files import read_json
from seallm.base.runtime import Runtime, available_cores
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.model.continuous import ContinuousBatch
from seallm.model.jobs import Batch
from seallm.model.places import ModelPlace, find_model
from seallm.model.prompt_format import PromptFormat
from seallm.model.rows import TransformersRows
from seallm.serve.engine import Engine, logger

if TYPE_CHECKING:
    from seallm.serve.llama_cpp_rows import LlamaCppRows

EngineKind = Literal["own", "vllm", "llama.cpp"]
Device = Literal["cpu", "cuda"]
NumberType = Literal["float32", "bfloat16"]
GIB = 2**30
ALL_LAYERS = 999


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
    max_rows = settings.max_rows or (64 if _device(settings) == "cuda" else 16)
    batch, max_sequence_tokens = _BATCHES[settings.kind](found, settings, max_rows)
    return Engine(
        batch,
        prompt_format,
        found.name,
        max_sequence_tokens=max_sequence_tokens,
        max_rows=max_rows,
        max_waiting=settings.max_waiting,
    )


def _device(settings: EngineSettings) -> str:
    """The device that is meant.

    Raises:
        ModelError: there is no such device.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ModelError("--device cuda: torch finds no GPU here. Use --device cpu")
    return settings.device or ("cuda" if torch.cuda.is_available() else "cpu")


def serving_runtime(settings: EngineSettings) -> Runtime:
    """All cores; or a GPU, in bfloat16, where there is one, unless the settings say otherwise."""
    device = _device(settings)
    number_type = settings.number_type or ("float32" if device == "cpu" else "bfloat16")
    return Runtime(1, available_cores(), device, number_type, False)


def _own_batch(found: ModelPlace, settings: EngineSettings, max_rows: int) -> tuple[Batch, int]:
    """Our own batch, and the model's positions."""
    runtime = serving_runtime(settings)
    model = load_model(found.folder, runtime)
    if runtime.device == "cpu":
        cache, prefixes, step_tokens = 2 * GIB, GIB, 128
    else:
        free, _ = torch.cuda.mem_get_info(runtime.torch_device())
        cache, prefixes, step_tokens = int(0.4 * free), int(0.2 * free), 1024
    rows = TransformersRows(model, _bytes(settings.cache_gib, cache), _bytes(settings.prefix_gib, prefixes))
    _tell_where_the_cache_is_short(found, rows)
    return ContinuousBatch(rows, max_rows, step_tokens), rows.max_sequence_tokens


def _llama_cpp_batch(found: ModelPlace, settings: EngineSettings, max_rows: int) -> tuple[Batch, int]:
    """Our batch over llama.cpp's network."""
    from seallm.serve.llama_cpp_rows import LlamaCppRows, find_gguf

    cache = _bytes(settings.cache_gib, 2 * GIB) + _bytes(settings.prefix_gib, GIB)
    layers = ALL_LAYERS if _device(settings) == "cuda" else 0
    rows = LlamaCppRows(find_gguf(found.folder), max_rows, cache, step_tokens=128, gpu_layers=layers)
    _tell_where_the_cache_is_short(found, rows)
    return ContinuousBatch(rows, max_rows, 128), rows.max_sequence_tokens


def _tell_where_the_cache_is_short(found: ModelPlace, rows: "TransformersRows | LlamaCppRows") -> None:
    if rows.max_sequence_tokens < rows.model_positions:
        logger.warning(
            f"{found.name}: the cache holds {rows.max_sequence_tokens:,} of the model's {rows.model_positions:,} "
            "positions for one conversation; `seallm serve --cache-gib` gives more"
        )


def _vllm_batch(found: ModelPlace, settings: EngineSettings, max_rows: int) -> tuple[Batch, int]:
    """The batch of vLLM."""
    from seallm.serve.vllm_batch import VllmBatch

    batch = VllmBatch(found.folder, settings.number_type, max_rows)
    return batch, batch.max_sequence_tokens


_BATCHES: dict[EngineKind, Callable[[ModelPlace, EngineSettings, int], tuple[Batch, int]]] = {
    "own": _own_batch,
    "llama.cpp": _llama_cpp_batch,
    "vllm": _vllm_batch,
}


def _bytes(gib: float | None, default: int) -> int:
    return default if gib is None else int(gib * GIB)


def _named_ends(found: ModelPlace) -> list[int]:
    """Ids that the model's makers name as ends of an answer."""
    file = found.folder / "generation_config.json"
    named: Any = read_json(file).get("eos_token_id") if file.is_file() else None
    return [named] if isinstance(named, int) else list(named or ())
