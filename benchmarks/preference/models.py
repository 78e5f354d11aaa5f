"""Models to measure with: a tiny one made here, or a Hugging Face folder that the command names."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.preference.known_pairs import CHAT, LANGUAGES
from seallm.base.artifacts import StageContext
from seallm.base.runtime import Runtime
from seallm.model.checkpoints import new_llama, save_model
from seallm.recipe_training import Optimiser, Sft
from seallm.train import sft
from seallm.train.base import learn_tokenizer

VOCABULARY = 4_000
SHAPE = {"hidden_size": 128, "layers": 4, "heads": 4, "max_sequence_tokens": 1_024}
TOKENS_A_STEP, EPOCHS = 2_048, 1.0
SHORT = 1_200  # characters of a conversation: longer ones would be left out


def context_in(folder: Path, threads: int, **inputs: Path) -> StageContext:
    """What a stage is given, writing into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    runtime = Runtime(workers=1, threads=threads, device="cpu", dtype="float32", show_progress=False)
    return StageContext(folder, inputs, LANGUAGES, 1, runtime, Path.cwd())


def stage_of(model: Path | None, folder: Path, threads: int) -> tuple[str, Path]:
    """The name of the model and a stage folder that holds it as `model`; without one a tiny one is trained."""
    if model is not None:
        stage = folder / "given"
        stage.mkdir(parents=True, exist_ok=True)
        (stage / "model").symlink_to(model.resolve())
        return model.name, stage
    return "tiny", _train_tiny(folder, threads)


def _train_tiny(folder: Path, threads: int) -> Path:
    rows = [row for code in LANGUAGES for row in _short_rows(code)]
    tokenizer = learn_tokenizer([m["content"] for row in rows for m in row["messages"]], VOCABULARY)
    save_model(folder / "base" / "model", new_llama(len(tokenizer), seed=1, **SHAPE), tokenizer)
    for code in LANGUAGES:
        own = [{**row, "language": code} for row in rows if row["language"] == code]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in own)
        (folder / f"chat.{code}.jsonl").write_text(text, encoding="utf-8")
    settings = Sft(
        conversations=[str(path) for path in sorted(folder.glob("chat.*.jsonl"))],
        epochs=EPOCHS,
        sequence_tokens=512,
        batch_tokens=TOKENS_A_STEP,
        optimiser=Optimiser(learning_rate=3e-3),
    )
    context = context_in(folder / "sft", threads, model=folder / "base")
    sft.run(settings, replace(context, recipe_folder=folder))
    return folder / "sft"


def _short_rows(code: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (CHAT / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()]
    short = [row for row in rows if sum(len(m["content"]) for m in row["messages"]) <= SHORT]
    return [{**row, "language": code} for row in short]
