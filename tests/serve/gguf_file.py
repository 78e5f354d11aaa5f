"""A tiny Llama as a GGUF file, written by hand: what llama.cpp needs to compute it, without its tokenizer."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaForCausalLM


def write_gguf(file: Path, model: LlamaForCausalLM) -> None:
    """Float32 tensors under llama.cpp's names, with rotary pairs side by side as it wants them."""
    import gguf

    config: Any = model.config
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj.weight": config.num_attention_heads, "k_proj.weight": config.num_key_value_heads}
    for name, tensor in model.state_dict().items():
        if config.tie_word_embeddings and name == "lm_head.weight":
            continue
        rotated = next((count for end, count in heads.items() if name.endswith(end)), None)
        writer.add_tensor(
            names.get_name(name, try_suffixes=(".weight",)), _side_by_side(tensor, rotated).astype(np.float32)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _side_by_side(tensor: torch.Tensor, heads: int | None) -> np.ndarray[Any, Any]:
    if heads is None:
        return np.ascontiguousarray(tensor.float().numpy())
    halves = tensor.float().reshape(heads, 2, -1, tensor.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape).numpy())
