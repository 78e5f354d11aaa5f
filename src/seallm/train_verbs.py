"""The verbs `seallm train ...`: what a step was trained on, what of it carries a loss."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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


def _stage_rows(run: Path, name: str) -> "StageRows":
    from seallm.run_stage import stage_of_run
    from seallm.train.stage_rows import stage_rows

    return stage_rows(*stage_of_run(run, name))
