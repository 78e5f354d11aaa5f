"""Low-rank adapters in place of all weights (LoRA, Hu et al. 2021, arXiv 2106.09685), by peft: `seallm[adapters]`.

    adapter/                       what peft reads: adapter_config.json and adapter_model.safetensors
    adapter/new_rows.safetensors   rows of tokens that the model got in this stage: `ids`, `inputs`, and `outputs` where
                                   the head has rows of its own
    model/                         the model with both merged into its weights: an ordinary folder, as ever

Such rows are trained whole, and saved alone: an adapter stays a few megabytes, whatever the vocabulary. The model
without its adapter is the one that came, so a cached reference (DPO) holds for it.
"""

import importlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext
from seallm.base.errors import MissingExtra, RecipeError
from seallm.base.runtime import own_place
from seallm.recipe_training import Adapter
from seallm.train.sharding import blocks
from seallm.train.start import Start, finish, load_start

ADAPTER, NEW_ROWS = "adapter", "new_rows.safetensors"


@dataclass(frozen=True)
class Tuned:
    """What a stage tunes: the model whole, or an adapter on it.

    Attributes:
        start: the model; with an adapter its blocks hold it, and all else is frozen.
        wrapped: peft's model around it; None without an adapter.
        is_four_bit: True where the blocks' own weights are in four bits.
    """

    start: Start
    wrapped: Any | None = None
    is_four_bit: bool = False

    @property
    def rows(self) -> dict[str, Any]:
        """For the phase: the rows that are trained beside the adapter."""
        if self.wrapped is None or not self.start.new_ids:
            return {}
        return {"trained_rows": self.start.new_ids, "rows_too": True}

    def finish(self, context: StageContext) -> None:
        """Write `model/`, and `adapter/` where there is one; the checkpoints have done their work then."""
        if self.wrapped is not None and own_place().rank == 0:
            save_adapter(context.out / ADAPTER, self.wrapped, self.start.new_ids)
        finish(context, self.merged(context), self.start.tokenizer)

    def merged(self, context: StageContext) -> PreTrainedModel:
        """The model with the adapter in its weights: those that came, where training held them in four bits."""
        if self.wrapped is None:
            return self.start.model
        if not self.is_four_bit:
            merged: PreTrainedModel = self.wrapped.merge_and_unload()
            return merged
        with tempfile.TemporaryDirectory() as folder:
            save_adapter(Path(folder) / ADAPTER, self.wrapped, self.start.new_ids)
            return load_adapter(Path(folder) / ADAPTER, load_start(context).model)


def tune(start: Start, adapter: Adapter | None, seed: int) -> Tuned:
    """Put an adapter on the model where the recipe asks for one; it computes nothing until it is trained.

    Raises:
        MissingExtra: peft is not installed, or bitsandbytes where four bits are wanted.
        RecipeError: four bits are wanted, and several processes train.
    """
    if adapter is None:
        return Tuned(start)
    peft = _import("peft", "adapters")
    if adapter.four_bit:
        _hold_in_four_bits(start.model)
    settings = peft.LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules="all-linear",  # but the head
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    with _calm():
        return Tuned(start, peft.get_peft_model(start.model, settings), adapter.four_bit)


def save_adapter(folder: Path, wrapped: Any, new_ids: Sequence[int]) -> None:
    """Write an adapter and the rows of new tokens; the folder appears whole or not at all."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    wrapped.save_pretrained(str(partial), save_embedding_layers=False)
    (partial / "README.md").unlink(missing_ok=True)  # a form to fill in, with the place of the base on this machine
    if new_ids:
        inputs, outputs = _embeddings(wrapped)
        rows = {"inputs": inputs} if outputs is inputs else {"inputs": inputs, "outputs": outputs}
        ids = torch.tensor(new_ids)
        tensors = {name: weight.detach()[ids.to(weight.device)].cpu().contiguous() for name, weight in rows.items()}
        save_file({"ids": ids, **tensors}, partial / NEW_ROWS)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def load_adapter(folder: Path, model: PreTrainedModel) -> PreTrainedModel:
    """The model with a saved adapter merged into it.

    Args:
        folder: what `save_adapter` wrote.
        model: what it was trained on, with rows for the new tokens.

    Raises:
        MissingExtra: peft is not installed.
    """
    peft = _import("peft", "adapters")
    with _calm():
        wrapped = peft.PeftModel.from_pretrained(model, str(folder))
    path = folder / NEW_ROWS
    if path.is_file():
        found = load_file(path)
        inputs, outputs = _embeddings(wrapped)
        with torch.no_grad():
            for name, weight in {"inputs": inputs, "outputs": outputs}.items():
                if name in found:
                    weight[found["ids"]] = found[name].to(weight)
    merged: PreTrainedModel = wrapped.merge_and_unload()
    return merged


def _embeddings(wrapped: Any) -> tuple[torch.Tensor, torch.Tensor]:
    model = wrapped.get_base_model()
    return model.get_input_embeddings().weight, model.get_output_embeddings().weight


@contextmanager
def _calm() -> Iterator[None]:
    """Without what peft makes transformers say about names to come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _hold_in_four_bits(model: PreTrainedModel) -> None:
    """Replace the linear layers of the blocks by ones of four bits a weight (NF4, Dettmers et al. 2023, 2305.14314)."""
    if own_place().processes > 1:
        raise RecipeError("adapter.four_bit trains in one process; set [compute] processes = 1, or four_bit = false")
    bits = _import("bitsandbytes", "four-bit")
    device = model.device
    for block in blocks(model):
        for name, layer in list(block.named_modules()):
            if isinstance(layer, torch.nn.Linear):
                kind = torch.bfloat16 if device.type == "cuda" else torch.float32
                small = bits.nn.Linear4bit(
                    layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=kind, quant_type="nf4"
                )
                small.weight = bits.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
                small.bias = layer.bias
                block.set_submodule(name, small.to(device))
    model.is_loaded_in_4bit = True  # where peft looks


def _import(package: str, extra: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise MissingExtra(package, extra) from None
