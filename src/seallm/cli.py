"""The command line: a few verbs over recipes and runs.

Our own errors become one line and exit status 1; anything else is a bug and keeps its traceback. Heavy modules are
imported inside the verbs, so that `seallm --help` answers at once.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seallm import __version__
from seallm.base.errors import SeallmError, workspace_error
from seallm.base.runtime import calm_threads, own_place, return_memory
from seallm.card_verbs import card_app
from seallm.chat_data_make_verbs import make_app
from seallm.chat_data_verbs import chat_data_app
from seallm.corpus_verbs import app as corpus_app
from seallm.evaluate_verbs import app as evaluate_app
from seallm.export_verbs import export_app
from seallm.judge_verbs import judge_app
from seallm.policy_verbs import app as policy_app
from seallm.prefer_verbs import app as prefer_app
from seallm.review_verbs import app as review_app
from seallm.serve_verbs import app as serve_app
from seallm.train_verbs import app as train_app
from seallm.vocab_verbs import app as vocab_app

if TYPE_CHECKING:
    from seallm.plan import Plan, PlannedStage

app = typer.Typer(
    name="seallm",
    help="From raw web pages and an open base model to an assistant for your languages.",
    epilog="Start with: seallm run recipes/quickstart.toml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(card_app)
chat_data_app.add_typer(make_app)
app.add_typer(chat_data_app)
app.add_typer(corpus_app)
app.add_typer(evaluate_app)
app.add_typer(export_app)
app.add_typer(judge_app)
app.add_typer(policy_app)
app.add_typer(prefer_app)
app.add_typer(review_app)
app.add_typer(serve_app)
app.add_typer(train_app)
app.add_typer(vocab_app)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, for example recipes/quickstart.toml")]
Workspace = Annotated[Path, typer.Option(help="Folder that holds the folders of all runs.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")]


def main() -> None:
    """Entry point: turn what a user can mend into one line."""
    calm_threads()
    return_memory()
    try:
        app()
    except SeallmError as error:
        _fail(error)
    except OSError as error:
        known = workspace_error(error)
        if known is None:
            raise
        _fail(known)
    except KeyboardInterrupt:
        print("\nStopped. The same command continues where it stopped.", file=sys.stderr)
        sys.exit(130)


def _fail(error: SeallmError) -> None:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"seallm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


def _plan(recipe: Path, workspace: Path, overrides: list[str] | None) -> "Plan":
    from seallm.plan import make_plan
    from seallm.recipe_file import load_recipe

    return make_plan(load_recipe(recipe, overrides or ()), recipe.resolve().parent, workspace)


@app.command(epilog="Example: seallm plan recipes/quickstart.toml --set pretrain.batch_tokens=4096")
def plan(recipe: RecipeFile, workspace: Workspace = Path("runs"), overrides: Overrides = None) -> None:
    """Show a recipe's stages: what they read, what is done, what the rest will cost. Changes nothing."""
    from rich.console import Console
    from rich.table import Table

    from seallm.plan_table import describe

    made = _plan(recipe, workspace, overrides)
    table = Table(title=f"{made.recipe.name} in {made.folder}", title_justify="left")
    for column in ("stage", "state", "reads", "estimate"):
        table.add_column(column)
    for row in describe(made):
        table.add_row(*row)
    Console().print(table)


@app.command(epilog="Example: seallm run recipes/quickstart.toml --from sft --set sft.epochs=3.0")
def run(
    recipe: RecipeFile,
    workspace: Workspace = Path("runs"),
    only: Annotated[str | None, typer.Option(metavar="STAGE", help="Run this stage alone.")] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="STAGE", help="Run this stage and later ones.")] = None,
    overrides: Overrides = None,
) -> None:
    """Run a recipe. What is finished is skipped; a stopped run continues where it stopped."""
    from rich.console import Console

    from seallm.plan import run_plan
    from seallm.summary import print_summary

    if only and start:
        raise typer.BadParameter("give --only or --from, not both")
    console = Console()
    made = _plan(recipe, workspace, overrides)

    def announce(stage: "PlannedStage", state: str) -> None:
        manifest = stage.artifact.manifest() or {}
        seconds = f"{manifest.get('seconds', 0.0):7.1f} s" if state == "done" else " " * 9
        mark = {"finished": "[dim]=[/]", "running": "[cyan]>[/]", "done": "[green]+[/]"}[state]
        text = {"finished": "[dim]already finished[/]", "running": "[cyan]running[/]", "done": "[green]done[/]"}[state]
        console.print(f"{mark} {stage.artifact.folder.name:<12} {seconds} {text}", highlight=False)

    run_plan(made, announce, only=only, start=start)
    print_summary(made, console)


@app.command(epilog="Example: torchrun --nproc-per-node 8 -m seallm stage pretrain my.toml")
def stage(
    name: Annotated[str, typer.Argument(metavar="STAGE", help="pretrain, hybrid, sft or dpo")],
    recipe: RecipeFile,
    workspace: Workspace = Path("runs"),
    overrides: Overrides = None,
) -> None:
    """Train one stage as one of the processes that torchrun started, on one machine or many."""
    from seallm.plan import run_shared_stage

    was_run = run_shared_stage(_plan(recipe, workspace, overrides), name)
    if own_place().rank == 0:
        print(f"{name} {'done' if was_run else 'already finished'}")


if __name__ == "__main__":
    main()
