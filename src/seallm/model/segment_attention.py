"""Attention of packed rows without a mask: every segment attends to itself alone, in torch's own flash kernel.

A row of 4,096 tokens that holds nine documents costs nine small triangles instead of one square, and no mask is made.
transformers finds the function under the name SEGMENTS; it is used where a forward is given the ends of its segments
(`cu_seq_lens_q`), and is plain `sdpa` everywhere else. For bfloat16 on CUDA; float32 and CPUs keep the explicit mask.
"""

import functools
import importlib
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

SEGMENTS = "seallm-segments"
KERNEL = "torch.nn.attention.varlen"  # torch 2.10 brought it


def has_segment_kernel(device: torch.device, number_type: torch.dtype) -> bool:
    """True where the kernel can be used; elsewhere packed rows get their explicit mask."""
    is_half = number_type in (torch.bfloat16, torch.float16)
    return device.type == "cuda" and is_half and importlib.util.find_spec(KERNEL) is not None


def segment_attention(model: PreTrainedModel) -> Callable[[], object]:
    """Have a model attend by segments from now on; returns what undoes it."""
    AttentionInterface.register(SEGMENTS, _attend)
    AttentionMaskInterface.register(SEGMENTS, _no_mask)
    before = model.config._attn_implementation
    model.set_attn_implementation(SEGMENTS)
    return lambda: model.set_attn_implementation(before)


def attends_by_segments(model: PreTrainedModel) -> bool:
    """True where forwards must be given the ends of their segments."""
    return bool(model.config._attn_implementation == SEGMENTS)


def segment_arguments(ends: torch.Tensor, longest: int) -> dict[str, Any]:
    """What a forward is given beside its tokens.

    Args:
        ends: where the segments of all rows, one after another, end; 0 first; int32, (segments + 1,).
        longest: tokens of the longest segment.
    """
    return {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}


def _no_mask(*_: Any, **__: Any) -> None:
    """Without segments attention is causal, which needs no mask; a mask that is given is never asked for here."""


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Attention output (B, T, heads, D) of query (B, heads, T, D), key and value (B, key heads, T, D)."""
    ends = settings.get("cu_seq_lens_q")
    if ends is None:
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return found
    rows, _, tokens, _ = query.shape
    # (B * T, heads, D); a norm of queries and keys may have left them in float32
    queries, keys, values = (t.to(value.dtype).transpose(1, 2).flatten(0, 1) for t in (query, key, value))
    output = flash(queries, keys, values, ends, settings["max_length_q"], settings.get("scaling"))
    return output.view(rows, tokens, *output.shape[1:]), None


def flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: torch.Tensor,
    longest: int,
    scale: float | None,
) -> torch.Tensor:
    """Causal attention within segments by torch's flash kernel, whose arguments differ between versions of torch.

    Args:
        query: (tokens, heads, D).
        key: (tokens, key heads, D).
        value: as key.
        ends: where segments end, 0 first, int32.
        longest: tokens of the longest segment.
        scale: of the products; None: 1 / sqrt(D).
    """
    known = _known_arguments()
    wanted: dict[str, Any] = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
    if "enable_gqa" in known:
        wanted["enable_gqa"] = query.shape[1] != key.shape[1]
    if "scale" in known:
        wanted["scale"] = scale
    attend: Any = importlib.import_module(KERNEL).varlen_attn
    found: torch.Tensor = attend(query, key, value, ends, ends, longest, longest, **wanted)
    return found


@functools.cache
def _known_arguments() -> frozenset[str]:
    return frozenset(inspect.signature(importlib.import_module(KERNEL).varlen_attn).parameters)
