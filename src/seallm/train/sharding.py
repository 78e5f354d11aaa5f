"""A model in, the same model as it is trained out: split over processes (FSDP2), in bfloat16 where that is wanted.

With one process the model is trained as it is. With several, a twin that shares its weights is split by `fully_shard`,
block by block, over an explicit mesh; the model itself is emptied until `gather` fills it again, so that measuring and
saving see an ordinary Hugging Face model. Each device must hold the whole weights in float32 for that moment.

The loss is computed inside the root module's forward: only there are embeddings and head whole. Weights, gradients and
moments stay float32; bfloat16 is for computing.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from transformers import PreTrainedModel

from seallm.base.runtime import Runtime, own_place
from seallm.model.segment_attention import has_segment_kernel, segment_attention

Part = TypeVar("Part")
Objective = Callable[[PreTrainedModel, Part], torch.Tensor]


class _Root(torch.nn.Module):
    """Computes a loss inside its forward."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, objective: Objective[Part], part: Part) -> torch.Tensor:
        return objective(self.model, part)


class TrainedModel:
    """A model set up for gradients; `release` ends it.

    Which parameters require gradients must be settled before.

    Attributes:
        whole: the model that was handed over; without weights while several processes train.
        model: what is trained: `whole` itself, or its split twin with parameters of the same names.
    """

    def __init__(self, whole: PreTrainedModel, runtime: Runtime, *, split: bool | None = None) -> None:
        """`split` says whether `fully_shard` is used; by default where there are several processes."""
        self.whole = whole
        self.processes = own_place().processes
        self.is_split = self.processes > 1 if split is None else split
        self._type = runtime.torch_dtype()
        self._undo: list[Callable[[], object]] = []
        whole.train()
        if runtime.training.activation_checkpointing:
            self._undo.append(_compute_blocks_again(whole))
        if has_segment_kernel(whole.device, self._type):
            self._undo.append(segment_attention(whole))
        self.model = _twin(whole) if self.is_split else whole
        self._root = _Root(self.model)
        if runtime.training.compile:
            self._compile()
        if self.is_split:
            _shard(self._root, self._type)
            _empty(whole)

    def _compile(self) -> None:
        for block in blocks(self.model):
            block.compile()
            if not self.is_split:
                self._undo.append(lambda block=block: setattr(block, "_compiled_call_impl", None))  # type: ignore[misc]

    def loss(self, objective: Objective[Part], part: Part) -> torch.Tensor:
        """A part's share of the step's loss; its gradients sum over parts and processes."""
        with nullcontext() if self.is_split else computed_in(self.model, self._type):
            found: torch.Tensor = self._root(objective, part)
        return found

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a part; FSDP takes the mean over processes, so the loss counts that many times."""
        (loss * self.processes if self.processes > 1 else loss).backward()  # type: ignore[no-untyped-call]

    def gather(self, *, for_all: bool) -> None:
        """Fill the whole model with the weights as they are now, in all processes or in the first; all call it."""
        is_filled = for_all or own_place().rank == 0
        for mine, split in zip(self.whole.parameters(), self.model.parameters(), strict=True):
            if isinstance(split, DTensor):
                whole = split.full_tensor().detach()
                mine.data = whole if is_filled else mine.data

    def empty(self) -> None:
        """Free the whole model's weights again, where another copy is trained."""
        if self.is_split:
            _empty(self.whole)

    def release(self) -> None:
        """Leave the whole model filled, plain, and in evaluation mode."""
        self.gather(for_all=True)
        for undo in reversed(self._undo):
            undo()
        self.whole.eval()


def _compute_blocks_again(model: PreTrainedModel) -> Callable[[], object]:
    """Switch activation checkpointing on, under the name that this transformers has for it; returns what undoes it."""
    prefix = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    getattr(model, f"{prefix}_checkpointing_enable")({"use_reentrant": False})
    undo: Callable[[], object] = getattr(model, f"{prefix}_checkpointing_disable")
    return undo


@contextmanager
def computed_in(model: PreTrainedModel, number_type: torch.dtype) -> Iterator[None]:
    """Compute forwards of a float32 model in another number type, the sums between its blocks too."""
    if number_type is torch.float32:
        yield
        return
    hook = model.get_input_embeddings().register_forward_hook(lambda _, __, states: states.to(number_type))
    try:
        with torch.autocast(model.device.type, number_type):
            yield
    finally:
        hook.remove()


def blocks(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The transformer blocks of a model, in order."""
    names = set(model._no_split_modules or ())
    return [m for m in model.modules() if type(m).__name__ in names]


def _twin(model: PreTrainedModel) -> PreTrainedModel:
    """Another model of the same structure over the same tensors."""
    shared: dict[int, Any] = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)


def _empty(model: PreTrainedModel) -> None:
    for parameter in model.parameters():
        parameter.data = parameter.data.new_empty(0)


def _shard(root: _Root, compute_type: torch.dtype) -> None:
    mesh = init_device_mesh(root.model.device.type, (own_place().processes,), mesh_dim_names=("rows",))
    policy = MixedPrecisionPolicy()
    if compute_type is not torch.float32:
        policy = MixedPrecisionPolicy(param_dtype=compute_type, reduce_dtype=torch.float32)
    for block in blocks(root.model):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(root, mesh=mesh, mp_policy=policy)  # what is left: embeddings, last norm, head


def like_shards(mask: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A whole tensor laid out as a parameter is: split where that one is."""
    if not isinstance(parameter, DTensor):
        return mask
    return distribute_tensor(mask, parameter.device_mesh, [Shard(0)], src_data_rank=None)
