"""Losses that never hold the logits of a whole batch.

The head of a small model with a large vocabulary is most of a step. `cross_entropy_sum` computes logits only where a
target is, a few hundred positions at a time, and takes the gradient in the same pass, while a chunk's logits are still
in the cache: three matrix products instead of four, and memory for one chunk. `log_probabilities` serves losses that
are not a plain sum over tokens (DPO): it computes the chunk's logits again in the backward pass.

Shapes: N positions, H hidden size, V vocabulary.
"""

from typing import Any

import torch
from transformers import PreTrainedModel

from seallm.base.errors import ModelError
from seallm.model.segment_attention import attends_by_segments, segment_arguments
from seallm.train.batches import TokenBatch

CHUNK_POSITIONS = 512  # logits held at once: at 4,500 tokens 9 MB; 256 to 1,024 measure alike on a CPU
GPU_CHUNK_LOGITS = 2**28  # on a GPU each chunk reads and writes the weight's gradient: few large ones, 1 GiB in float32


def chunk_positions(weight: torch.Tensor) -> int:
    """Positions whose logits are held at once, for an output embedding (V, H)."""
    return CHUNK_POSITIONS if weight.device.type == "cpu" else max(CHUNK_POSITIONS, GPU_CHUNK_LOGITS // len(weight))


def _compute_type(hidden: torch.Tensor) -> torch.dtype:
    """The number type of the products: autocast's, which does not reach into our own gradients, or the states' own."""
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


class _CrossEntropySum(torch.autograd.Function):
    """Sum over positions of -log softmax(hidden @ weight.T)[target]; its gradient is computed in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        kind = _compute_type(hidden)
        states, head = hidden.to(kind), weight.to(kind)
        hidden_gradient = torch.empty_like(states)  # (N, H)
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None  # (V, H)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        size = chunk_positions(weight)
        for start in range(0, len(targets), size):
            part = slice(start, start + size)
            inputs, wanted = states[part], targets[part]
            logits = (inputs @ head.T).float()  # (C, V), overwritten by exp(logits - top)
            top = logits.amax(dim=1, keepdim=True)
            wanted_logits = logits.gather(1, wanted[:, None]) - top
            sums = logits.sub_(top).exp_().sum(dim=1, keepdim=True)
            total += (sums.log() - wanted_logits).sum()
            # softmax = exp / sums: dividing the narrow side (C, H) saves a pass over (C, V)
            powers = logits.to(kind)
            hidden_gradient[part] = (powers @ head).float() / sums - head[wanted].float()
            if weight_gradient is not None:
                _add_product(weight_gradient, powers, (inputs.float() / sums).to(kind))
        if weight_gradient is not None:
            weight_gradient.index_add_(0, targets, states.float(), alpha=-1)
            weight_gradient = weight_gradient.to(weight.dtype)
        ctx.save_for_backward(hidden_gradient.to(hidden.dtype), weight_gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        (scale,) = gradients
        return (
            hidden_gradient * scale.to(hidden_gradient.dtype),
            None if weight_gradient is None else weight_gradient * scale.to(weight_gradient.dtype),
            None,
        )


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Add left (C, V).T @ right (C, H) to total (V, H), summed in total's precision."""
    if total.dtype == left.dtype:
        total.addmm_(left.T, right)
    else:
        total += (left.T @ right).float()


class _LogProbabilities(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target] at each position."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        kind = _compute_type(hidden)
        states, head = hidden.to(kind), weight.to(kind)
        found = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        normaliser = torch.empty_like(found)
        size = chunk_positions(weight)
        for start in range(0, len(targets), size):
            part = slice(start, start + size)
            logits = (states[part] @ head.T).float()
            normaliser[part] = logits.logsumexp(dim=1)
            found[part] = logits.gather(1, targets[part, None]).squeeze(1) - normaliser[part]
        ctx.save_for_backward(states, head, targets, normaliser)
        ctx.types = (hidden.dtype, weight.dtype)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        hidden, weight, targets, normaliser = ctx.saved_tensors
        (scale,) = gradients
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        size = chunk_positions(weight)
        for start in range(0, len(targets), size):
            part = slice(start, start + size)
            logits = (hidden[part] @ weight.T).float()
            slope = logits.sub_(normaliser[part, None]).exp_().mul_(-scale[part, None])  # (C, V)
            slope[torch.arange(len(slope), device=slope.device), targets[part]] += scale[part]
            slope = slope.to(hidden.dtype)
            hidden_gradient[part] = slope @ weight
            if weight_gradient is not None:
                _add_product(weight_gradient, slope, hidden[part])
        of_hidden, of_weight = ctx.types
        return hidden_gradient.to(of_hidden), None if weight_gradient is None else weight_gradient.to(of_weight), None


def cross_entropy_sum(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum of the cross-entropies of next tokens, in nats.

    Args:
        hidden: last hidden states at the supervised positions, (N, H).
        weight: output embedding, (V, H).
        targets: the tokens to predict, (N,).
    """
    total: torch.Tensor = _CrossEntropySum.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]
    return total


def log_probabilities(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of next tokens in nats, (N,); arguments as in `cross_entropy_sum`."""
    found: torch.Tensor = _LogProbabilities.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]
    return found


def next_token_loss(model: PreTrainedModel, batch: TokenBatch) -> torch.Tensor:
    """This batch's part of the step's mean cross-entropy over supervised tokens, in nats.

    Segments are isolated by `position_ids`, which transformers honours only without mask and cache, or by their ends.
    """
    segments = segment_arguments(batch.ends, batch.longest_segment) if attends_by_segments(model) else {}
    hidden = model.base_model(
        input_ids=batch.input_ids, position_ids=batch.position_ids, attention_mask=None, use_cache=False, **segments
    ).last_hidden_state  # (B, T, H)
    states, targets = hidden.flatten(0, 1)[batch.places], batch.targets.flatten()[batch.places]
    return cross_entropy_sum(states, model.get_output_embeddings().weight, targets) / max(batch.loss_tokens, 1)


@torch.no_grad()
def check_head(model: PreTrainedModel) -> None:
    """See that the model's logits are its last hidden states times its output embedding, which the losses rely on.

    Raises:
        ModelError: they are not (some architectures scale or cap their logits).
    """
    head = model.get_output_embeddings()
    ids = torch.arange(8, device=head.weight.device)[None] % head.weight.shape[0]
    logits = model(input_ids=ids, use_cache=False).logits
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    if not torch.allclose(logits, hidden @ head.weight.T, rtol=1e-2, atol=1e-2 * float(logits.abs().max())):
        raise ModelError(
            f"Models of type {model.config.model_type!r} change their logits after the output embedding (a bias, a "
            "scale or a cap), which seallm's losses do not do. Llama, Mistral, Qwen2, Qwen3 and Gemma 1 work"
        )
