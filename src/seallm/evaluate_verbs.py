"""The verb `seallm evaluate ...`: any models on any tasks, without a recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seallm.many_values import ManyValues

if TYPE_CHECKING:
    from rich.console import Console

    from seallm.base.runtime import Runtime
    from seallm.endpoints.settings import EndpointSettings
    from seallm.evaluate.candidates import Candidate
    from seallm.evaluate.safety_judge import Ask
    from seallm.recipe import Compute, Evaluate

VLLM = "vllm:"
app = typer.Typer(add_completion=False, rich_markup_mode=None)

_PLACES = "Runs, stages of runs, Hugging Face folders, hub ids; vllm:FOLDER; http://host/v1#model."
_KEPT = "Where servers' answers are kept; absent: $SEALLM_ANSWERS or ~/.cache/seallm."
_TEXTS = "Files or folders of any text: bits per byte of each language."
_PARALLEL = "Folder of aligned sentences (test.LANGUAGE.txt): bits, tokens and seconds for the same meaning."

Models = Annotated[list[str], typer.Argument(metavar="MODEL ...", help=_PLACES)]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the report; finished figures in it are kept.")]
TaskNames = Annotated[list[str] | None, typer.Option(metavar="NAME ...", help="Groups or tasks: xcopa, xcopa_th.")]
Data = Annotated[str, typer.Option(metavar="DIR", help="Folder of the data files.")]
Texts = Annotated[list[Path] | None, typer.Option("--text", metavar="PATH ...", help=_TEXTS)]
Parallel = Annotated[str | None, typer.Option(metavar="DIR", help=_PARALLEL)]
Languages = Annotated[str | None, typer.Option(metavar="CODES", help="As en,th; absent: all.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Examples a task; absent: all.")]
Shots = Annotated[int | None, typer.Option(min=0, help="Examples before each question; absent: as published.")]
Folders = Annotated[list[Path] | None, typer.Option("--task-folder", metavar="DIR ...", help="Your own task files.")]
Chat = Annotated[bool | None, typer.Option("--chat/--plain", help="Form of the prompts; absent: as suits each model.")]
Compare = Annotated[
    list[str] | None, typer.Option(metavar="NAME ...", help="Published figures: seallms, or a TOML file.")
]
SafetyJudge = Annotated[str | None, typer.Option(metavar="MODEL", help="Also judges answers to safety tasks.")]
ShowPrompts = Annotated[bool, typer.Option("--show-prompts", help="Show prompts and answers of safety tasks.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes that share the work; on GPUs, one for each.")]
Key = Annotated[str, typer.Option(metavar="SOURCE", help="Where a server's key is: env:NAME or file:PATH.")]
Concurrent = Annotated[int, typer.Option(min=1, help="Calls to a server under way at once.")]
Answers = Annotated[Path | None, typer.Option(metavar="DIR", help=_KEPT)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of [evaluate]: batch_sequences=8.")
]


@app.command(
    cls=ManyValues,
    epilog="Example: seallm evaluate runs/quickstart models/Qwen --tasks xcopa xquad --data bench --out figures",
)
def evaluate(
    models: Models,
    out: Out,
    tasks: TaskNames = None,
    data: Data = "sample:bench",
    texts: Texts = None,
    parallel: Parallel = None,
    languages: Languages = None,
    limit: Limit = None,
    shots: Shots = None,
    task_folders: Folders = None,
    chat: Chat = None,
    compare: Compare = None,
    safety_judge: SafetyJudge = None,
    show_prompts: ShowPrompts = False,
    processes: Processes = 1,
    key: Key = "env:SEALLM_ENDPOINT_KEY",
    concurrent: Concurrent = 16,
    answers: Answers = None,
    overrides: Overrides = None,
) -> None:
    """Measure models on local benchmark files: every figure with n and a 95 % interval."""
    from rich.console import Console

    from seallm.endpoints.answer_cache import default_folder
    from seallm.endpoints.settings import EndpointSettings
    from seallm.evaluate.alone import Extras, evaluate_models
    from seallm.evaluate.measuring import Work
    from seallm.plan import make_runtime

    server = EndpointSettings(concurrent_calls=concurrent, answers=answers or default_folder())
    candidates = _candidates(models, server, key)
    wanted = {"shots": shots, "tasks": tasks or [], "data": data, "limit": limit, "parallel": parallel}
    settings, compute = _settings(wanted, languages, task_folders or (), overrides or (), processes)
    work = Work(
        tuple(candidates),
        settings,
        tuple(languages.split(",")) if languages else None,
        out.resolve(),
        make_runtime(compute),
        tuple(path.expanduser().resolve() for path in texts or ()),
        chat,
    )
    extras = Extras(compare or (), _safety_judge(safety_judge, out, work.runtime), show_prompts)
    report = evaluate_models(work, extras=extras, processes=processes)
    _show(report, out, Console())


def _settings(
    wanted: dict[str, Any], languages: str | None, folders: Sequence[Path], overrides: Sequence[str], processes: int
) -> "tuple[Evaluate, Compute]":
    """The section [evaluate] that the options stand for, with absolute paths; and [compute] of one process."""
    from seallm.base.files import resolve_path
    from seallm.languages import known_languages
    from seallm.recipe_file import check_recipe

    here = Path.cwd()
    paths = {key: str(resolve_path(wanted[key], here)) for key in ("data", "parallel") if wanted[key] is not None}
    values: dict[str, Any] = {
        "name": "evaluate",
        "languages": languages.split(",") if languages else list(known_languages()),
        "base": {"model": "none"},  # a recipe has one; nothing here reads it
        "compute": {"processes": processes},
        "evaluate": {**wanted, **paths},
    }
    recipe = check_recipe(values, [f"evaluate.{override}" for override in overrides], here / "seallm evaluate")
    settings = recipe.evaluate
    assert settings is not None
    own = [str(resolve_path(str(folder), here)) for folder in [*folders, *settings.task_folders]]
    return settings.model_copy(update={"task_folders": own}), recipe.compute


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
        return kind(path, from_hub(path))
    model = find_model(Path(path))
    return kind(model.name, model.folder)


def from_hub(name: str) -> Path:
    """The folder of a model of the hub, downloaded where it is not here yet.

    Raises:
        ModelError: the hub did not give it.
    """
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
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from seallm.evaluate.figure_table import header, missing_lines, notes, summary_rows, table_lines

    names = [model["name"] for model in report["models"]]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for number, column in enumerate(header(names)):
        justify: Literal["right", "left"] = "right" if number > 2 else "left"
        table.add_column(column.replace("/", "/\n"), justify=justify, overflow="fold", no_wrap=number > 4)
    for cells in table_lines(summary_rows(report), names):
        figures = (cell.replace(" [", "\n[") for cell in cells[5:])  # the interval below its figure: narrow columns
        table.add_row(*cells[:2], cells[2].replace("_", " "), *cells[3:5], *figures)
    console.print(table)
    console.print(
        "Shares in percent, with 95 % intervals; every language and metric is in the report.", highlight=False
    )
    for note in notes(report):
        console.print(note, highlight=False, soft_wrap=True, markup=False)
    for line in missing_lines(report["missing"]):
        console.print(f"without data: {line}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"Written to {out / 'report.html'}, report.md and report.json", highlight=False, soft_wrap=True)
