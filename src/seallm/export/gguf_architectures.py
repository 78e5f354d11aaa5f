"""A model's config.json in; its GGUF architecture, settings and tensor names out, or what is in the way.

llama.cpp computes rotary positions of the architecture `llama` on neighbouring numbers, transformers on the two halves
of a head: rows of Q and K are put side by side for it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from seallm.base.errors import ModelError

# model_type of config.json -> GGUF architecture
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_SIDE_BY_SIDE = frozenset({"llama"})
ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True)
class Architecture:
    """What a GGUF file says of a network.

    Attributes:
        config: of transformers.
        name: GGUF's.
        layers: number of blocks.
        head_size: numbers of one attention head.
    """

    config: Any
    name: str
    layers: int
    head_size: int

    @property
    def is_tied(self) -> bool:
        """True where the output layer is the embedding."""
        return bool(self.config.tie_word_embeddings)

    def arranged(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of transformers as llama.cpp wants it; same shape."""
        part = name.rsplit(".", 2)[-2]
        if self.name not in _SIDE_BY_SIDE or part not in ("q_proj", "k_proj"):
            return tensor
        heads = self.config.num_attention_heads if part == "q_proj" else self.config.num_key_value_heads
        halves = tensor.reshape(heads, 2, self.head_size // 2, *tensor.shape[1:])
        return halves.transpose(1, 2).reshape(tensor.shape)

    def rope_factors(self) -> torch.Tensor | None:
        """Llama-3's long-context factors: by what each frequency is divided, (head_size / 2,); None for other kinds."""
        rope = self.config.rope_parameters
        if rope["rope_type"] != "llama3":
            return None
        waves = 2 * math.pi * rope["rope_theta"] ** (torch.arange(0, self.head_size, 2).float() / self.head_size)
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        turns = rope["original_max_position_embeddings"] / waves  # of a frequency within the first context
        smooth = ((turns - low) / (high - low)).clamp(0, 1)
        factors: torch.Tensor = 1 / ((1 - smooth) / rope["factor"] + smooth)
        return factors


def read_architecture(folder: Path) -> Architecture:
    """See what a model folder's network is in GGUF.

    Raises:
        ModelError: it is one that is not supported, or uses what llama.cpp has no name for.
    """
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (ValueError, OSError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {str(error).strip().splitlines()[0]}") from None
    kind = config.model_type
    if kind not in ARCHITECTURES:
        raise ModelError(
            f"{folder}: the architecture {kind!r} cannot be exported to GGUF; expected one of "
            f"{', '.join(ARCHITECTURES)}. Use --to hf, and llama.cpp's own converter"
        )
    _refuse_unknown(folder, config)
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Architecture(config, ARCHITECTURES[kind], config.num_hidden_layers, head_size)


def _refuse_unknown(folder: Path, config: Any) -> None:
    def needs(what: str) -> ModelError:
        return ModelError(f"{folder}: {what} cannot be exported to GGUF. Use --to hf, and llama.cpp's own converter")

    if config.hidden_act != "silu":
        raise needs(f"hidden_act = {config.hidden_act!r} (expected 'silu')")
    rope = config.rope_parameters
    if rope["rope_type"] not in ("default", "linear", "llama3"):
        raise needs(f"rope_type = {rope['rope_type']!r} (expected default, linear or llama3)")
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise needs(f"partial_rotary_factor = {rope['partial_rotary_factor']}")
    window = getattr(config, "sliding_window", None)
    if window and window < config.max_position_embeddings and getattr(config, "use_sliding_window", True):
        raise needs(f"sliding_window = {window} below max_position_embeddings = {config.max_position_embeddings}")


def add_settings(writer: Any, architecture: Architecture) -> None:
    """Give a GGUF writer what the network's kernels need to know."""
    config, rope = architecture.config, architecture.config.rope_parameters
    writer.add_block_count(architecture.layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(architecture.head_size)
    writer.add_value_length(architecture.head_size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_rope_dimension_count(architecture.head_size)
    if rope["rope_type"] == "linear":
        from gguf import RopeScalingType

        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    writer.add_vocab_size(config.vocab_size)


def tensor_names(architecture: Architecture, names: Iterable[str]) -> Mapping[str, str]:
    """GGUF's name of each tensor that the file needs.

    Raises:
        ModelError: a tensor has no place in the architecture.
    """
    import gguf

    kind = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture.name)
    known = gguf.get_tensor_name_map(kind, architecture.layers)
    found: dict[str, str] = {}
    for name in names:
        if name.endswith("rotary_emb.inv_freq") or (architecture.is_tied and name == "lm_head.weight"):
            continue
        theirs = known.get_name(name, try_suffixes=(".weight", ".bias"))
        if theirs is None:
            raise ModelError(f"The tensor {name} has no place in a GGUF file of the architecture {architecture.name}")
        found[name] = theirs
    return found
