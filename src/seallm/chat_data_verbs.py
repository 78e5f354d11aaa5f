"""The verbs `seallm chat-data ...`: import, check, mix and look at conversations without a recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seallm.many_values import ManyValues

if TYPE_CHECKING:
    from seallm.base.artifacts import StageContext

chat_data_app = typer.Typer(
    name="chat-data",
    help="Import, check, make, mix and look at conversations without a recipe.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE...", help="Files, folders (of `datasets` too), globs or URLs.")
]
FormatName = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="messages, sharegpt, alpaca, prompt or preference.")
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", metavar="OURS=THEIRS", help="As --column prompt=question; repeatable.")
]
LanguageCode = Annotated[str | None, typer.Option(metavar="CODE", help="Language of all rows; absent: their own.")]
Category = Annotated[str | None, typer.Option(metavar="NAME", help="Category of all rows; absent: their own.")]
SourceName = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Source of all rows.")]
Licence = Annotated[str | None, typer.Option(metavar="NAME", help="Licence of all rows; absent: their own.")]
Languages = Annotated[str | None, typer.Option(metavar="CODES", help="As en,th; absent: all known.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting: checks.max_characters=9000.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; absent: one per core.")]


@chat_data_app.command("import", epilog="Example: seallm chat-data import alpaca.json sharegpt/ --out chat.jsonl")
def import_files(
    sources: Sources,
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL file of conversations to write.")],
    format_name: FormatName = None,
    columns: Columns = None,
    language: LanguageCode = None,
    category: Category = None,
    source: SourceName = None,
    licence: Licence = None,
    max_bad_share: Annotated[float, typer.Option(min=0, max=1, help="Stop where more rows are unreadable.")] = 0.1,
    workers: Workers = None,
) -> None:
    """Turn data sets of common formats into conversations; every bad row goes to quarantine with its reason."""
    from seallm.chat_data.stage import write_imported

    _check_out(sources, out, is_folder=False)
    given = {"language": language, "category": category, "source": source, "licence": licence}
    section = _source_section(sources, format_name, columns, given)
    values = {"sources": [section], "max_bad_share": max_bad_share}
    settings, context = _alone(values, None, None, out.resolve().parent, workers)
    counts = write_imported(settings, context, out)
    typer.echo(
        f"{counts['conversations']:,} conversations and {counts['preferences']:,} preferences of {counts['files']:,} "
        f"files ({', '.join(f'{name} {n:,}' for name, n in counts['formats'].items()) or 'none'}), "
        f"{counts['quarantined']:,} bad rows."
    )
    for path in counts["written"]:
        typer.echo(f"Written to {path}")


@chat_data_app.command(
    cls=ManyValues,
    epilog="Example: seallm chat-data check chat.jsonl --out checked --languages en,th --decontaminate a.jsonl b.jsonl",
)
def check(
    sources: Sources,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.")],
    languages: Languages = None,
    benchmarks: Annotated[
        list[str] | None, typer.Option("--decontaminate", metavar="FILE ...", help="Tests not to be trained on.")
    ] = None,
    format_name: FormatName = None,
    columns: Columns = None,
    overrides: Overrides = None,
    workers: Workers = None,
) -> None:
    """Check turns, languages, length, repetition, copies and benchmarks; what is dropped is kept with its reason."""
    from rich.console import Console

    from seallm.base.drop_reasons import reason_title
    from seallm.chat_data.stage import write_checked
    from seallm.chat_data.tables import check_rows

    _check_out(sources, out, is_folder=True)
    section = _source_section(sources, format_name, columns, {})
    values = {"sources": [section], "checks": {"benchmarks": benchmarks or []}}
    settings, context = _alone(values, overrides, languages, out, workers)
    checks = write_checked(settings, context)
    if checks["conversations"]:
        Console().print(check_rows(checks))
    if checks["preferences"]:
        found = ", ".join(f"{reason_title(name)} {count:,}" for name, count in checks["checked_preferences"].items())
        typer.echo(f"Of {checks['preferences']:,} preferences: {found}.")
    look = f"chat-data report {out}" if checks["conversations"] else f"prefer report {out / 'preferences.jsonl'}"
    typer.echo(f"Written to {out}. See it with: seallm {look}")


@chat_data_app.command(
    epilog="Example: seallm chat-data mix checked/conversations.jsonl --out mixed --set max_language_share=0.2"
)
def mix(
    sources: Sources,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; finished work is not done again.")],
    languages: Languages = None,
    format_name: FormatName = None,
    columns: Columns = None,
    overrides: Overrides = None,
    workers: Workers = None,
    seed: Annotated[int, typer.Option(help="Decides which conversations are taken.")] = 0,
) -> None:
    """Check, and part between the hybrid stage and fine-tuning, balanced by language and category."""
    from seallm.plan import run_alone

    _check_out(sources, out, is_folder=True)
    recipe = _recipe({"sources": [_source_section(sources, format_name, columns, {})]}, overrides, languages, workers)
    made = run_alone("instructions", recipe.model_copy(update={"seed": seed}), Path.cwd(), out.resolve())
    typer.echo(f"{'Written to' if made else 'Already finished in'} {out}")


@chat_data_app.command(epilog="Example: seallm chat-data report runs/my/00-instructions --tokenizer runs/my/03-vocab")
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="What check or mix wrote, or a file of chats.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the report; absent: beside it.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with tokenizer.json; absent: lengths in characters.")
    ] = None,
) -> None:
    """Count by language, category and source, reasons, lengths, and show samples: a table, report.html, report.json."""
    from rich.console import Console

    from seallm.chat_data.data_report import write_report

    table, path = write_report(folder, out, tokenizer)
    Console().print(table)
    typer.echo(f"Written to {path}")


def _check_out(sources: list[str], out: Path, is_folder: bool) -> None:
    """The output must be of its kind, and not be read as input the next time."""
    from seallm.base.errors import DataError

    if out.exists() and out.is_dir() != is_folder:
        kinds = ("a folder", "a file") if is_folder else ("a file", "a folder")
        raise DataError(f"--out {out} must be {kinds[0]}, and there is {kinds[1]} of that name. Give another name")
    for name in sources:
        if out.resolve().is_relative_to(Path(name).resolve()):
            raise DataError(
                f"--out {out} lies in the source {name}: the next run would read it. Give a place beside it"
            )


def _source_section(
    sources: list[str], format_name: str | None, columns: list[str] | None, given: dict[str, str | None]
) -> dict[str, Any]:
    """What [[instructions.sources]] would say."""
    pairs = {ours: theirs or ours for ours, _, theirs in (column.partition("=") for column in columns or ())}
    section: dict[str, Any] = {"files": sources, "columns": pairs}
    section |= {name: value for name, value in given.items() if value}
    return section | ({"format": format_name} if format_name else {})


def _recipe(values: dict[str, Any], overrides: list[str] | None, languages: str | None, workers: int | None) -> Any:
    """A recipe of nothing but instruction data."""
    from seallm.languages import known_languages
    from seallm.recipe_file import check_recipe

    codes = languages.replace(",", " ").split() if languages else list(known_languages())
    whole = {
        "name": "chat-data",
        "languages": codes,
        "base": {"model": "none"},  # a recipe has one; nothing here reads it
        "compute": {"workers": workers} if workers else {},
        "instructions": values,
    }
    changes = [f"instructions.{override}" for override in overrides or ()]
    return check_recipe(whole, changes, Path.cwd() / "seallm chat-data")


def _alone(
    values: dict[str, Any], overrides: list[str] | None, languages: str | None, out: Path, workers: int | None
) -> tuple[Any, "StageContext"]:
    """Settings and context of a verb that writes into a folder of its own."""
    from seallm.base.artifacts import StageContext
    from seallm.plan import make_runtime

    recipe = _recipe(values, overrides, languages, workers)
    context = StageContext(out, {}, tuple(recipe.languages), recipe.seed, make_runtime(recipe.compute), Path.cwd())
    return recipe.instructions, context
