"""A checkpoint of a stage in, an ordinary Hugging Face folder out: while it runs, after a kill, or kept on wish."""

from pathlib import Path

from pydantic import BaseModel

from seallm.base.artifacts import StageContext
from seallm.base.errors import CheckpointError
from seallm.model.checkpoints import save_model
from seallm.recipe_training import Dpo, Pretrain, Sft
from seallm.train.adapters import tune
from seallm.train.checkpoint import FOLDER, load_tensors, read_position, step_name, steps_on_disk
from seallm.train.mixture import TOKENIZER
from seallm.train.start import load_start


def export_checkpoint(settings: BaseModel, context: StageContext, step: int | None, out: Path) -> int:
    """Write the model as it was after a step.

    Args:
        settings: the stage's section of the recipe.
        context: `out` is the stage's folder, under way or finished; `inputs` are those of the stage.
        step: a step that a checkpoint was kept of; None for the newest.
        out: the folder to write.

    Returns:
        The step.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
    """
    folder = context.out / FOLDER
    names = steps_on_disk(folder)
    wanted = names[-1:] if step is None else [name for name in names if name == step_name(step)]
    if not wanted:
        there = ", ".join(str(int(name.rpartition("-")[2])) for name in names) or "none"
        of_step = "" if step is None else f" of step {step}"
        raise CheckpointError(
            f"{folder} has no checkpoint{of_step}; there are: {there}. Set [compute] keep_checkpoints to keep some of "
            "a finished stage"
        )
    extended = isinstance(settings, Pretrain) and "vocab" in context.inputs
    start = (
        load_start(context, context.inputs["vocab"] / TOKENIZER, settings.embedding_init)
        if isinstance(settings, Pretrain) and extended
        else load_start(context)
    )
    position = read_position(folder / wanted[0])
    tuned = tune(start, settings.adapter if isinstance(settings, Sft | Dpo) else None, context.seed)
    written = {f"model/{name}": p.detach() for name, p in start.model.named_parameters() if p.requires_grad}
    if tuned.rows:
        inputs, outputs = start.model.get_input_embeddings().weight, start.model.get_output_embeddings().weight
        written |= {f"model/{n}": p.detach() for n, p in start.model.named_parameters() if p is inputs or p is outputs}
    load_tensors(folder / wanted[0], written)
    save_model(out, tuned.merged(context), start.tokenizer)
    return position.made
