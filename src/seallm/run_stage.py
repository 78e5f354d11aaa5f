"""A run's folder and a stage's name in; the stage's settings and its folders as they are now out."""

from pathlib import Path

from pydantic import BaseModel

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError
from seallm.plan import make_plan, make_runtime
from seallm.run_recipe import kept_recipe


def stage_of_run(run: Path, name: str) -> tuple[BaseModel, StageContext]:
    """A stage that is finished or under way.

    Args:
        run: the run's folder.
        name: of the stage.

    Returns:
        Its settings, and a context whose `out` is its folder.

    Raises:
        DataError: the folder is no run, or a folder that the stage reads does not exist yet.
        RecipeError: the run has no such stage.
    """
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
    return stage.settings, StageContext(out, stage.inputs, languages, plan.recipe.seed, runtime, plan.recipe_folder)
