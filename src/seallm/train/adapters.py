"""Low-rank adapters in place of all weights (LoRA, Hu et al. 2021, arXiv 2106.09685), by peft: `seallm[adapters]`.

    adapter/                       what peft reads: adapter_config.json and adapter_model.safetensors
    adapter/new_rows.safetensors   rows of tokens that the model got in this stage: `ids`, `inputs`, and `outputs` where
                                   the head has rows of its own
    model/                         the model with both merged into its weights: an ordinary folder, as ever

Such rows are trained whole, and saved alone: an adapter stays a few megabytes, whatever the vocabulary. The model
without its adapter is the one that came, so a cached reference (DPO) holds for it.
"""

import shutil
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
from seallm.base.errors import MissingExtra
from seallm.base.runtime import own_place
from seallm.recipe_training import Adapter
from seallm.train.start import Start, finish

ADAPTER, NEW_ROWS = "adapter", "new_rows.safetensors"


@dataclass(frozen=True)
class Tuned:
    """What a stage tunes: the model whole, or an adapter on it.

    Attributes:
        start: the model; with an adapter its blocks hold it, and all else is frozen.
        wrapped: peft's model around it; None without an adapter.
    """

    start: Start
    wrapped: Any | None = None

    @property
    def rows(self) -> dict[str, Any]:
        """For the phase: the rows that are trained beside the adapter."""
        if self.wrapped is None or not self.start.new_ids:
            return {}
        return {"trained_rows": self.start.new_ids, "rows_too": True}

    def finish(self, context: StageContext) -> None:
        """Write `model/`, and `adapter/` where there is one; the checkpoints have done their work then."""
        model = self.start.model
        if self.wrapped is not None:
            if own_place().rank == 0:
                save_adapter(context.out / ADAPTER, self.wrapped, self.start.new_ids)
            model = self.wrapped.merge_and_unload()
        finish(context, model, self.start.tokenizer)


def tune(start: Start, adapter: Adapter | None, seed: int) -> Tuned:
    """Put an adapter on the model where the recipe asks for one; it computes nothing until it is trained.

    Raises:
        MissingExtra: peft is not installed.
    """
    if adapter is None:
        return Tuned(start)
    peft = _import_peft()
    settings = peft.LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules="all-linear",  # but the head
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    with _calm():
        return Tuned(start, peft.get_peft_model(start.model, settings))


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
    peft = _import_peft()
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


def _import_peft() -> Any:
    try:
        import peft
    except ImportError:
        raise MissingExtra("peft", "adapters") from None
    return peft
