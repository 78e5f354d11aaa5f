"""A model's rows of new tokens in, one small safetensors file out, and back.

An adapter (LoRA) holds what training changed in the body; what it added to the vocabulary are rows. With both files the
base and the extended tokenizer are all that is needed to have the trained model again.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from transformers import PreTrainedModel

from seallm.base.errors import ModelError
from seallm.base.files import atomic_writer

IDS, INPUT, OUTPUT = "ids", "input_rows", "output_rows"


def save_new_rows(path: Path, model: PreTrainedModel, ids: Sequence[int]) -> None:
    """Write the rows of some ids.

    Args:
        path: file to write, `.safetensors`: `ids` (N,), `input_rows` (N, H), and `output_rows` (N, H) where the output
            embedding is another matrix.
        model: its embeddings are read.
        ids: new ids, such as `extend_model` returns.
    """
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    tensors = {IDS: torch.tensor(list(ids)), INPUT: inputs.detach()[list(ids)].cpu().contiguous()}
    if outputs is not inputs:
        tensors[OUTPUT] = outputs.detach()[list(ids)].cpu().contiguous()
    rows = {"vocabulary_rows": str(inputs.shape[0])}
    with atomic_writer(path) as file:
        file.write(save(tensors, rows))


@torch.no_grad()
def load_new_rows(path: Path, model: PreTrainedModel) -> list[int]:
    """Put rows that `save_new_rows` wrote into a model that has those of the base; changes it in place.

    Returns:
        The ids, as they were saved.

    Raises:
        ModelError: it is no such file, or of a model of another width or with other ties.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            rows = int(file.metadata()["vocabulary_rows"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dictionary
        ids: list[int] = tensors[IDS].tolist()
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not a file of new rows: {error}") from None
    inputs = model.get_input_embeddings().weight
    tied = model.get_output_embeddings().weight is inputs
    if tensors[INPUT].shape[1] != inputs.shape[1] or tied != (OUTPUT not in tensors):
        kinds = ["untied", "tied"]
        raise ModelError(
            f"{path} has rows of width {tensors[INPUT].shape[1]} for {kinds[OUTPUT not in tensors]} embeddings; the "
            f"model has {kinds[tied]} ones of width {inputs.shape[1]}. Load them into the base they were made for"
        )
    if rows > inputs.shape[0]:
        with torch.random.fork_rng(devices=[]):
            model.resize_token_embeddings(rows, mean_resizing=False)
    for name, module in ((INPUT, model.get_input_embeddings()), (OUTPUT, model.get_output_embeddings())):
        if name in tensors:
            module.weight[ids] = tensors[name].to(module.weight)
    return ids
