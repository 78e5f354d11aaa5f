from pathlib import Path

import pytest
import torch

from seallm.base.errors import CheckpointError, ModelError
from seallm.recipe_training import Optimiser
from seallm.train.checkpoint import FOLDER, Checkpoints, Kept, Position, end_checkpoints, load_tensors, steps_on_disk
from seallm.train.schedule import make_optimiser
from tests.train.conftest import tiny_llama


def trained_once() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = tiny_llama()
    optimiser = make_optimiser(model, Optimiser(learning_rate=1e-2))
    ids = torch.arange(20)[None]
    model(ids, labels=ids, use_cache=False).loss.backward()
    optimiser.step()
    return model, optimiser


def checkpoints(folder: Path, kept: Kept | None = None) -> Checkpoints:
    return Checkpoints(folder, kept or Kept(), [name for name, _ in tiny_llama().named_parameters()])


@pytest.mark.parametrize("background", [False, True])
def test_what_is_saved_is_loaded(background: bool, tmp_path: Path) -> None:
    model, optimiser = trained_once()
    saved, position = checkpoints(tmp_path), Position("key", 1, 3, made=7, skipped=2, best=(1.5, 4))
    saved.save(position, model, optimiser, background=background)
    expected = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # training goes on while it is written
    saved.finish()
    assert saved.newest("key") == position
    other = tiny_llama(seed=2)
    saved.load_weights(position, other)
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), expected, strict=True))
    fresh = make_optimiser(other, Optimiser(learning_rate=1e-2))
    saved.load_moments(position, other, fresh)
    for mine, theirs in zip(other.parameters(), model.parameters(), strict=True):
        for key in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(fresh.state[mine][key], optimiser.state[theirs][key])


@pytest.mark.parametrize(
    ("kept", "during", "after"),
    [
        (Kept(), [5], []),
        (Kept(2), [4, 5], [4, 5]),
        (Kept(0, best=True), [2, 5], [2]),
        (Kept(9), [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
    ],
)
def test_newest_and_best_stay(kept: Kept, during: list[int], after: list[int], tmp_path: Path) -> None:
    model, optimiser = trained_once()
    saved = checkpoints(tmp_path, kept)
    for step in range(1, 6):
        saved.save(Position("key", 0, step, made=step, best=(0.5, min(step, 2))), model, optimiser, background=False)
    names = [f"step-{n:08d}" for n in during]
    assert steps_on_disk(tmp_path / FOLDER) == names
    end_checkpoints(tmp_path, kept)
    assert steps_on_disk(tmp_path / FOLDER) == [f"step-{n:08d}" for n in after]
    assert (tmp_path / FOLDER).exists() == bool(after)


def test_weights_that_are_not_numbers_are_never_saved(tmp_path: Path) -> None:
    model, optimiser = trained_once()
    saved = checkpoints(tmp_path)
    saved.save(Position("key", 0, 1, made=1), model, optimiser, background=False)
    with torch.no_grad():
        next(model.parameters())[0] = float("nan")
    with pytest.raises(ModelError, match=r"After step 2 1 weights \(model.embed_tokens.weight\) hold NaN"):
        saved.save(Position("key", 0, 2, made=2), model, optimiser, background=False)
    assert steps_on_disk(tmp_path / FOLDER) == ["step-00000001"]


@pytest.mark.parametrize("damage", ["no file", "another shape", "half a file"])
def test_a_damaged_checkpoint_is_an_error(damage: str, tmp_path: Path) -> None:
    model, optimiser = trained_once()
    saved, position = checkpoints(tmp_path), Position("key", 0, 1, made=1)
    saved.save(position, model, optimiser, background=False)
    folder = tmp_path / FOLDER / "step-00000001"
    if damage == "another shape":
        wanted = {"model/model.norm.weight": torch.zeros(5)}
    else:
        wanted = {"model/model.norm.weight": torch.zeros(32)}
        (file,) = folder.glob("*.distcp")
        if damage == "no file":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"step-00000001 cannot be loaded \(.+\)\. Remove it"):
        load_tensors(folder, wanted)
