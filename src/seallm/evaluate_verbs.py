"""The verb `seallm evaluate ...`: any models on any tasks, without a recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seallm.many_values import ManyValues

if TYPE_CHECKING:
    from rich.console import Console

    from seallm.base.runtime import Runtime
    from seallm.endpoints.settings import EndpointSettings
    from seallm.evaluate.candidates import Candidate
    from seallm.evaluate.safety_judge import Ask
    from seallm.recipe import Recipe

VLLM = "vllm:"
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    cls=ManyValues,
    epilog="Example: seallm evaluate runs/quickstart models/Qwen --tasks xcopa xquad --data bench --out figures",
)
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL ...",
            help="Runs, stages of runs, Hugging Face folders, hub ids; vllm:FOLDER; http://host/v1#model.",
        ),
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
    safety_judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Also judges answers to safety tasks: a folder, vllm:, http://.")
    ] = None,
    show_prompts: Annotated[
        bool, typer.Option("--show-prompts", help="Put prompts and answers of safety tasks into report.json.")
    ] = False,
    key: Annotated[
        str, typer.Option(metavar="SOURCE", help="Where a server's key is: env:NAME or file:PATH.")
    ] = "env:SEALLM_ENDPOINT_KEY",
    concurrent: Annotated[int, typer.Option(min=1, help="Calls to a server under way at once.")] = 16,
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where servers' answers are kept; absent: $SEALLM_ANSWERS or ~/.cache/seallm."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of [evaluate]: batch_sequences=8.")
    ] = None,
) -> None:
    """Measure models on local benchmark files: every figure with n and a 95 % interval."""
    from rich.console import Console

    from seallm.base.files import resolve_path
    from seallm.endpoints.answer_cache import default_folder
    from seallm.endpoints.settings import EndpointSettings
    from seallm.evaluate.alone import Extras, evaluate_models
    from seallm.plan import make_runtime

    server = EndpointSettings(concurrent_calls=concurrent, answers=answers or default_folder())
    candidates = _candidates(models, server, key)
    values = {"shots": shots, "tasks": tasks, "data": str(resolve_path(data, Path.cwd())), "limit": limit}
    recipe = _recipe(values, languages, overrides or ())
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
        extras=Extras(compare or (), _safety_judge(safety_judge, out, make_runtime(recipe.compute)), show_prompts),
    )
    _show(report, out, Console())


def _recipe(values: dict[str, Any], languages: str | None, overrides: Sequence[str]) -> "Recipe":
    """A recipe with a section [evaluate] alone, checked."""
    from seallm.languages import known_languages
    from seallm.recipe_file import check_recipe

    whole = {
        "name": "evaluate",
        "languages": languages.split(",") if languages else list(known_languages()),
        "base": {"model": "none"},  # a recipe has one; nothing here reads it
        "evaluate": values,
    }
    return check_recipe(whole, [f"evaluate.{o}" for o in overrides], Path.cwd() / "seallm evaluate")


def _safety_judge(place: str | None, out: Path, runtime: "Runtime") -> "Ask | None":
    """A judge of the answers to safety tasks; what it says is kept in the report's folder."""
    if place is None:
        return None
    from seallm.evaluate.safety_judge import asked_of
    from seallm.model.chat_models import ChatModelSettings, open_chat_model

    return asked_of(open_chat_model(place, ChatModelSettings(runtime, answers=out.resolve() / "judged")))


def _candidates(places: list[str], server: "EndpointSettings", key: str) -> "list[Candidate]":
    found: list[Candidate] = []
    for place in places:
        candidate = _candidate(place, server, key)
        taken = sum(other.name.split("#")[0] == candidate.name for other in found)
        found.append(candidate.renamed(f"{candidate.name}#{taken + 1}") if taken else candidate)
    return found


def _candidate(place: str, server: "EndpointSettings", key: str) -> "Candidate":
    from seallm.base.hub import is_hub_id
    from seallm.endpoints.address import is_address, read_api_key
    from seallm.endpoints.client import Endpoint
    from seallm.evaluate.candidates import EndpointCandidate, FolderCandidate, VllmCandidate
    from seallm.model.places import find_model

    if is_address(place):
        endpoint = Endpoint(place, server, read_api_key(key))
        return EndpointCandidate(endpoint.model, endpoint)
    kind = VllmCandidate if place.startswith(VLLM) else FolderCandidate
    path = place.removeprefix(VLLM)
    if not Path(path).expanduser().exists() and is_hub_id(path):
        return kind(path, _from_hub(path))
    model = find_model(Path(path))
    return kind(model.name, model.folder)


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

    from seallm.evaluate.figure_table import columns_and_rows, header, notes, table_lines

    names, rows = columns_and_rows(report)
    table = Table()
    for number, column in enumerate(header(names)):
        table.add_column(column, justify="right" if number > 2 else "left")
    for cells in table_lines(rows, names):
        table.add_row(*cells)
    console.print(table)
    for note in notes(report):
        console.print(note, highlight=False, soft_wrap=True, markup=False)
    for what in dict.fromkeys(entry["what"] for entry in report["missing"]):
        console.print(f"without data: {what}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"Written to {out / 'report.json'} and {out / 'report.md'}", highlight=False, soft_wrap=True)
