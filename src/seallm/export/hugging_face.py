"""A model folder in; a Hugging Face folder to share out: number type and shard size of choice, with a model card."""

import shutil
from pathlib import Path
from typing import Literal, get_args

import torch

from seallm.base.files import read_json, write_text
from seallm.base.runtime import Runtime
from seallm.export.folder import new_folder, write_record
from seallm.model.checkpoints import check_folder, load_model, load_tokenizer, save_model

NumberType = Literal["float32", "bfloat16", "float16"]
NUMBER_TYPES = get_args(NumberType)
GENERATION = "generation_config.json"
CARD = "README.md"


def export_hugging_face(
    folder: Path, out: Path, name: str, *, number_type: NumberType | None, shard_gib: float, card: str | None
) -> None:
    """Write the folder.

    Args:
        folder: the model's.
        out: folder to write.
        name: of the model, for the record.
        number_type: of the weights; None: as they are.
        shard_gib: largest weight file.
        card: text of README.md; None: none is written.

    Raises:
        ModelError: the model cannot be read.
        DataError: `out` holds something else than an export.
        WorkspaceError: the disk is full.
    """
    check_folder(folder)
    with new_folder(out) as partial:
        tokenizer = load_tokenizer(folder)
        model = load_model(
            folder, Runtime(1, torch.get_num_threads(), "cpu", number_type or stored_type(folder), False)
        )
        inner = partial / "model"
        save_model(inner, model, tokenizer, shard_bytes=int(shard_gib * 2**30))
        for path in sorted(inner.iterdir()):
            path.rename(partial / path.name)
        inner.rmdir()
        copy_if_there(folder, partial, GENERATION)  # it may name more than one end of an answer
        if card is not None:
            write_text(partial / CARD, card)
        kept = str(model.dtype).removeprefix("torch.")
        write_record(partial, "hf", name, {"number_type": kept, "shard_gib": shard_gib})


def stored_type(folder: Path) -> str:
    """The number type that a model's config.json names; float32 where it names none of ours."""
    config = read_json(folder / "config.json")
    named = config.get("dtype") or config.get("torch_dtype")
    return named if named in NUMBER_TYPES else "float32"


def copy_if_there(folder: Path, out: Path, *names: str) -> None:
    """Copy files of a folder that it has."""
    for name in names:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
