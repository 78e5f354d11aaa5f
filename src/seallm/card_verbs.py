"""The verb `seallm card RUN`: a model card from a run's own files."""

from pathlib import Path
from typing import Annotated

import typer

card_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@card_app.command(epilog="Example: seallm card runs/my-model --licence apache-2.0 --out README.md")
def card(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, for example runs/quickstart.")],
    licence: Annotated[str | None, typer.Option(metavar="ID", help="Of the model, as the hub names it.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write; absent: shown.")] = None,
) -> None:
    """Write a model card for the hub: data, licences, tokenizer, training, results with n and intervals, limits."""
    from seallm.base.files import write_text

    text = card_of_run(run, licence)
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(f"Written to {out}")


def card_of_run(run: Path, licence: str | None) -> str:
    """The card of a run's folder, as Markdown.

    Raises:
        DataError: the folder is no run.
    """
    from seallm.base.artifacts import StageContext
    from seallm.evaluate.card import model_card
    from seallm.evaluate.card_data import card_facts
    from seallm.evaluate.report import read_figures
    from seallm.plan import make_plan, make_runtime
    from seallm.run_recipe import kept_recipe

    recipe, recipe_folder = kept_recipe(run)
    plan = make_plan(recipe, recipe_folder, run.expanduser().resolve().parent)
    made = (stage for stage in plan.stages if stage.artifact.manifest())
    folders = {stage.kind.section: stage.artifact.folder for stage in made}  # of several rounds the last one
    folders.pop("report", None)
    runtime = make_runtime(recipe.compute)
    context = StageContext(plan.folder, folders, tuple(recipe.languages), recipe.seed, runtime, recipe_folder)
    return model_card(card_facts(read_figures(recipe, context), recipe, context), licence=licence)
