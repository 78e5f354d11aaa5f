"""The verb `seallm evaluate ...`: any models on any tasks, without a recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seallm.many_values import ManyValues

if TYPE_CHECKING:
    from rich.console import Console

    from seallm.evaluate.alone import Candidate

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    cls=ManyValues,
    epilog="Example: seallm evaluate runs/quickstart models/Qwen --tasks xcopa xquad --data bench --out figures",
)
def evaluate(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL ...", help="Runs, stages of runs, Hugging Face folders or hub ids.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the report; finished figures in it are kept.")],
    tasks: Annotated[list[str], typer.Option(metavar="NAME ...", help="Groups or single tasks: xcopa, xcopa_th.")],
    data: Annotated[str, typer.Option(metavar="DIR", help="Folder of the data files.")] = "sample:bench",
    languages: Annotated[str | None, typer.Option(metavar="CODES", help="As en,th; absent: all.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Examples a task; absent: all.")] = None,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Examples before each question; absent: as the benchmark is published.")
    ] = None,
    task_folders: Annotated[
        list[Path] | None, typer.Option("--task-folder", metavar="DIR ...", help="Folders with task files of your own.")
    ] = None,
    chat: Annotated[
        bool | None, typer.Option("--chat/--plain", help="Form of the prompts; absent: chat for chat models.")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="NAME ...", help="Published figures: seallms, or a TOML file of yours.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of [evaluate]: batch_sequences=8.")
    ] = None,
) -> None:
    """Measure models on local benchmark files: every figure with n and a 95 % interval."""
    from rich.console import Console

    from seallm.base.files import resolve_path
    from seallm.evaluate.alone import evaluate_models
    from seallm.languages import known_languages
    from seallm.plan import make_runtime
    from seallm.recipe_file import check_recipe

    candidates = _candidates(models)
    values: dict[str, Any] = {
        "name": "evaluate",
        "languages": languages.split(",") if languages else list(known_languages()),
        "base": {"model": "none"},  # a recipe has one; nothing here reads it
        "evaluate": {"shots": shots, "tasks": tasks, "data": str(resolve_path(data, Path.cwd())), "limit": limit},
    }
    recipe = check_recipe(values, [f"evaluate.{o}" for o in overrides or ()], Path.cwd() / "seallm evaluate")
    settings = recipe.evaluate
    assert settings is not None
    own = [str(resolve_path(str(folder), Path.cwd())) for folder in [*(task_folders or ()), *settings.task_folders]]
    settings = settings.model_copy(update={"task_folders": own})
    report = evaluate_models(
        candidates,
        settings,
        languages.split(",") if languages else None,
        out.resolve(),
        make_runtime(recipe.compute),
        chat=chat,
        compare=compare or (),
    )
    _show(report, out, Console())


def _candidates(places: list[str]) -> "list[Candidate]":
    from seallm.base.hub import is_hub_id
    from seallm.evaluate.alone import Candidate
    from seallm.model.places import find_model

    found: list[Candidate] = []
    for place in places:
        if not Path(place).expanduser().exists() and is_hub_id(place):
            candidate = Candidate(place, _from_hub(place))
        else:
            model = find_model(Path(place))
            candidate = Candidate(model.name, model.folder)
        taken = sum(other.name.split("#")[0] == candidate.name for other in found)
        found.append(Candidate(f"{candidate.name}#{taken + 1}", candidate.folder) if taken else candidate)
    return found


def _from_hub(name: str) -> Path:
    from seallm.base.errors import DataError, ModelError
    from seallm.base.hub import MODEL_FILES, download

    try:
        return download(name, MODEL_FILES)
    except DataError as reason:
        raise ModelError(
            f"There is no folder {name}, and the hub did not give it ({reason}). Check the name, your connection, and "
            "whether the model needs `hf auth login`"
        ) from None


def _show(report: dict[str, Any], out: Path, console: "Console") -> None:
    from rich.table import Table

    from seallm.evaluate.figure_table import columns_and_rows, header, table_lines

    names, rows = columns_and_rows(report)
    table = Table()
    for number, column in enumerate(header(names)):
        table.add_column(column, justify="right" if number > 2 else "left")
    for cells in table_lines(rows, names):
        table.add_row(*cells)
    console.print(table)
    if report["prompts_cut"]:
        console.print(f"{report['prompts_cut']:,} prompts were too long for a model and lost their beginning.")
    for what in dict.fromkeys(entry["what"] for entry in report["missing"]):
        console.print(f"without data: {what}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"Written to {out / 'report.json'} and {out / 'report.md'}", highlight=False, soft_wrap=True)
