from pathlib import Path

import pytest
import torch

from seallm.base.artifacts import StageContext
from seallm.base.errors import CheckpointError
from seallm.base.runtime import Runtime, Training
from seallm.model.checkpoints import load_model
from seallm.recipe_training import Adapter, Mixture, Optimiser, Pretrain, Sft
from seallm.train import pretrain, sft
from seallm.train.checkpoint import FOLDER, steps_on_disk
from seallm.train.export import export_checkpoint
from tests.train.conftest import MakeContext

FAST = Optimiser(learning_rate=5e-3)
KEEP = Runtime(device="cpu", show_progress=False, training=Training(keep_checkpoints=2))


def same_weights(first: Path, second: Path) -> bool:
    one, other = (load_model(folder, KEEP) for folder in (first, second))
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_checkpoints_of_pretraining_become_folders(
    make_context: MakeContext, base_folder: Path, corpus_folder: Path, vocab_folder: Path, tmp_path: Path
) -> None:
    inputs = {"model": base_folder, "corpus": corpus_folder, "vocab": vocab_folder}
    context = make_context("out", inputs=inputs, runtime=KEEP)
    mixtures = [Mixture(name="high", tiers=["high"], tokens=4_000, optimiser=FAST)]
    settings = Pretrain(mixtures=mixtures, sequence_tokens=160, batch_tokens=640, checkpoint_every_steps=2)
    pretrain.run(settings, context)
    before, newest = (int(name[-8:]) for name in steps_on_disk(context.out / FOLDER))
    assert export_checkpoint(settings, context, None, tmp_path / "newest") == newest
    assert same_weights(tmp_path / "newest", context.out / "model")
    assert export_checkpoint(settings, context, before, tmp_path / "before") == before
    assert not same_weights(tmp_path / "before", context.out / "model")
    with pytest.raises(CheckpointError, match=rf"no checkpoint of step 99; there are: .*{newest}"):
        export_checkpoint(settings, context, 99, tmp_path / "none")


def test_a_checkpoint_of_an_adapter_is_merged(
    make_context: MakeContext, base_folder: Path, chat_file: Path, tmp_path: Path
) -> None:
    context: StageContext = make_context("out", inputs={"model": base_folder}, runtime=KEEP)
    settings = Sft(
        conversations=[str(chat_file)], sequence_tokens=160, batch_tokens=640, optimiser=FAST, adapter=Adapter(rank=2)
    )
    sft.run(settings, context)
    export_checkpoint(settings, context, None, tmp_path / "newest")
    assert same_weights(tmp_path / "newest", context.out / "model")
