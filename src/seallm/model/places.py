"""What a user names as MODEL -> the Hugging Face folder to load, and the name it is served under.

    runs/quickstart                  a run: its newest finished model, in the order dpo (its last round first), sft,
                                     hybrid, pretrain, base
    runs/quickstart/06-sft           a stage of a run
    models/SmolLM2-135M-Instruct     a plain Hugging Face folder

Nothing is loaded here, so a wrong path is told at once.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from seallm.base.artifacts import MANIFEST
from seallm.base.errors import ModelError

NEWEST_FIRST = ("dpo", "sft", "hybrid", "pretrain", "base")
_STAGE = re.compile(r"\d\d-([a-z]+)(\d*)")
_EXPECTED = "Expected a run (runs/quickstart), a stage of a run (runs/quickstart/06-sft) or a Hugging Face folder"


@dataclass(frozen=True)
class ModelPlace:
    """A model on disk.

    Attributes:
        folder: the Hugging Face folder.
        name: `run/stage`, or the folder's own name.
    """

    folder: Path
    name: str


def find_model(place: Path) -> ModelPlace:
    """Find the model that a path stands for.

    Raises:
        ModelError: there is no such folder, or no finished model in it.
    """
    path = place.expanduser().resolve()
    if not path.is_dir():
        raise ModelError(f"There is no folder {place}. {_EXPECTED}")
    if (path / "config.json").is_file():
        return ModelPlace(path, _name(path))
    if _STAGE.match(path.name):
        return _stage_model(path)
    stages = [p for p in sorted(path.iterdir()) if p.is_dir() and _STAGE.match(p.name)]
    finished = {m.groups(): p for p in stages if (m := _STAGE.fullmatch(p.name)) and _is_finished(p)}
    for wanted in NEWEST_FIRST:
        rounds = [int(number or 1) for name, number in finished if name == wanted]
        if rounds:
            return _stage_model(finished[wanted, str(max(rounds)) if max(rounds) > 1 else ""])
    held = ", ".join(p.name for p in stages) or "no stage"
    raise ModelError(
        f"{place} holds no finished model: it has {held}. {_EXPECTED}; `seallm run RECIPE` makes or finishes a run"
    )


def _stage_model(stage: Path) -> ModelPlace:
    if stage.name.endswith(".partial") or not (stage / MANIFEST).is_file():
        raise ModelError(f"{stage} is not finished (it has no {MANIFEST}). `seallm run RECIPE` finishes it")
    if not _is_finished(stage):
        raise ModelError(f"{stage} is a stage without a model. Stages with one: {', '.join(reversed(NEWEST_FIRST))}")
    return ModelPlace(stage / "model", _name(stage / "model"))


def _is_finished(stage: Path) -> bool:
    has_all = (stage / MANIFEST).is_file() and (stage / "model" / "config.json").is_file()
    return has_all and not stage.name.endswith(".partial")


def _name(folder: Path) -> str:
    stage = _STAGE.fullmatch(folder.parent.name)
    return f"{folder.parent.parent.name}/{stage[1]}{stage[2]}" if folder.name == "model" and stage else folder.name
