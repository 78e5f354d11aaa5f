"""The recipe that a run folder was last run with, for looking into it later.

runs/quickstart/recipe.json    every setting, and the folder that relative paths start from
"""

from pathlib import Path

from seallm.base.errors import DataError
from seallm.base.files import read_json, write_json
from seallm.recipe import Recipe
from seallm.recipe_file import check_recipe

RECIPE = "recipe.json"


def keep_recipe(folder: Path, recipe: Recipe, recipe_folder: Path) -> None:
    """Write it into a run folder, where it is not there yet."""
    kept = {"recipe": recipe.model_dump(mode="json", exclude_none=True), "recipe_folder": str(recipe_folder.resolve())}
    if not (folder / RECIPE).is_file() or read_json(folder / RECIPE) != kept:
        write_json(folder / RECIPE, kept)


def kept_recipe(folder: Path) -> tuple[Recipe, Path]:
    """The recipe of a run folder, under the name that the folder has now, and the folder of the recipe's file.

    Raises:
        DataError: the folder is no run, or was made before runs kept their recipe.
        RecipeError: the recipe is not valid any more.
    """
    path = folder.expanduser().resolve() / RECIPE
    if not path.is_file():
        raise DataError(f"{folder} has no {RECIPE}: it is not a run. Expected a folder such as runs/quickstart")
    kept = read_json(path)
    recipe_folder = Path(kept["recipe_folder"])
    return check_recipe(kept["recipe"] | {"name": path.parent.name}, (), recipe_folder / RECIPE), recipe_folder
