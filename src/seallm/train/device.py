"""What a device can do: its peak of floating-point operations, its memory, and the tokens that fit it at once."""

from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from seallm.base.runtime import Runtime

CPU_MICRO_BATCH_TOKENS = 4_096  # of one forward: its activations stay near the cache
STATE_BYTES = 16  # a trained parameter: float32 weight, gradient and two moments
USED_SHARE = 0.6  # of the free memory, for activations
# dense bfloat16 operations a second by the makers' data sheets, by a part of the device's name, longer names first
PEAK_FLOPS = {
    "GB200": 2.5e15,
    "B200": 2.25e15,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H800": 989e12,
    "A100": 312e12,
    "A800": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "A10": 125e12,
    "L4": 121e12,
    "RTX 5090": 210e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
    "MI250": 362e12,
}


def peak_flops(device: torch.device) -> float | None:
    """Operations a second of the device in bfloat16; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)


def matrix_parameters(model: PreTrainedModel) -> tuple[int, int]:
    """Weights that every token is multiplied by (body), and those that only supervised tokens are (head)."""
    head = model.get_output_embeddings().weight
    inputs = {id(model.get_input_embeddings().weight), id(head)}
    body = sum(p.numel() for p in model.parameters() if p.dim() >= 2 and id(p) not in inputs)
    return body, head.numel()


def step_flops(parameters: tuple[int, int], tokens: int, targets: int) -> float:
    """Operations of forward and backward: six for each weight and token. Attention itself is not counted."""
    body, head = parameters
    return 6.0 * (body * tokens + head * targets)


def memory_bytes(device: torch.device) -> int | None:
    """The most memory that tensors took on a GPU so far; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def micro_batch_tokens(model: PreTrainedModel, runtime: Runtime, processes: int) -> int:
    """Tokens of one forward: the recipe's wish, else a size that the device is quick with and that fits it."""
    if runtime.training.micro_batch_tokens is not None:
        return runtime.training.micro_batch_tokens
    if model.device.type != "cuda":
        return CPU_MICRO_BATCH_TOKENS
    free, _ = torch.cuda.mem_get_info(model.device)
    states = STATE_BYTES * _count(p for p in model.parameters() if p.requires_grad) // processes
    room = USED_SHARE * max(0, free - states)
    return max(256, int(room // _activation_bytes(model, runtime)))


def _count(parameters: Iterable[torch.Tensor]) -> int:
    return sum(p.numel() for p in parameters)


def _activation_bytes(model: PreTrainedModel, runtime: Runtime) -> float:
    """About what a token of a Llama-like model leaves for the backward pass.

    80 bytes a block and unit of width, 4 where blocks are computed again (and once 80 while one is).
    """
    config = model.config.get_text_config(decoder=True)
    width = config.hidden_size * (2 if runtime.torch_dtype() is torch.float32 else 1)
    block: float = 80.0 * width
    if runtime.training.activation_checkpointing:
        return float(4.0 * width * config.num_hidden_layers + block)
    return float(block * config.num_hidden_layers)
