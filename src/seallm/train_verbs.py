"""The verbs `seallm train ...`: what a step was trained on, what of it carries a loss, the model at a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from seallm.base.artifacts import StageContext
    from seallm.train.stage_rows import StageRows

app = typer.Typer(
    name="train",
    help="Look into what the training stages of a run read.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run, for example runs/quickstart.")]


@app.command(epilog="Example: seallm train trace runs/quickstart --step 120")
def trace(
    run: RunFolder,
    step: Annotated[int, typer.Option(min=1, help="Number of the step, as in metrics.jsonl.")],
    stage: Annotated[str, typer.Option(metavar="STAGE", help="pretrain, hybrid or sft.")] = "pretrain",
) -> None:
    """List the documents of a step: language, tier, id, which of its tokens, and the row that holds them."""
    from rich.console import Console

    from seallm.train.showing import show_trace

    found = _stage_rows(run, stage)
    console = Console()
    rows = found.of_step(step)
    if step in found.left_out:
        Console(stderr=True).print(f"Step {step} is left out by skip_steps; it would have been made of:")
    show_trace(rows, console)


@app.command(epilog="Example: seallm train inspect runs/quickstart --stage sft --rows 8")
def inspect(
    run: RunFolder,
    stage: Annotated[str, typer.Option(metavar="STAGE", help="pretrain, hybrid or sft.")] = "sft",
    step: Annotated[int, typer.Option(min=1, help="Number of the step, as in metrics.jsonl.")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 4,
) -> None:
    """Show sequences in colour: supervised, masked, boundaries. Fails if any loss mask of the stage is wrong."""
    from rich.console import Console

    from seallm.train.showing import show_rows

    found = _stage_rows(run, stage)
    console = Console()
    show_rows(found, found.of_step(step)[:rows], console)
    checked = found.check()
    if checked:
        console.print(
            f"\n{checked:,} conversations checked: every end of turn is supervised, and no token of a prompt is.",
            soft_wrap=True,
            highlight=False,
        )


@app.command(epilog="Example: seallm train export runs/my-model --stage pretrain --step 2000 --out at-2000")
def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write: an ordinary Hugging Face model.")],
    stage: Annotated[str, typer.Option(metavar="STAGE", help="pretrain, hybrid, sft or dpo.")] = "pretrain",
    step: Annotated[int | None, typer.Option(min=1, help="A step with a checkpoint; absent: the newest.")] = None,
) -> None:
    """Write the model of a checkpoint, while its stage runs or where checkpoints were kept."""
    from seallm.train.export import export_checkpoint

    made = export_checkpoint(*_stage(run, stage), step, out)
    print(f"{out}: {stage} after step {made}")


def _stage_rows(run: Path, name: str) -> "StageRows":
    from seallm.train.stage_rows import stage_rows

    return stage_rows(*_stage(run, name))


def _stage(run: Path, name: str) -> tuple["BaseModel", "StageContext"]:
    """A stage's settings, and its folders as they are now."""
    from seallm.base.artifacts import StageContext
    from seallm.base.errors import DataError
    from seallm.plan import make_plan, make_runtime
    from seallm.run_recipe import kept_recipe

    recipe, recipe_folder = kept_recipe(run)
    plan = make_plan(recipe, recipe_folder, run.expanduser().resolve().parent)
    stage = plan.stage(name)
    for needed in stage.inputs.values():
        if not needed.is_dir():
            raise DataError(f"{needed} does not exist yet. `seallm run` makes it")
    artifact = stage.artifact
    out = artifact.partial if artifact.is_under_way() and not artifact.is_finished() else artifact.folder
    runtime = make_runtime(plan.recipe.compute)
    languages = tuple(plan.recipe.languages)
    context = StageContext(out, stage.inputs, languages, plan.recipe.seed, runtime, plan.recipe_folder)
    return stage.settings, context
