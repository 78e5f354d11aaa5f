"""The verbs `seallm corpus ...`: build a corpus without a recipe, and look into one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seallm.many_values import ManyValues

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="corpus",
    help="Build a corpus without a recipe, and look into one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A corpus: what `build` wrote, or runs/<name>/02-corpus.")]


@app.command(
    cls=ManyValues,
    epilog="Example: seallm corpus build --input crawl/ books.parquet --out corpus --languages en,th",
)
def build(
    inputs: Annotated[list[str], typer.Option("--input", metavar="PATH ...", help="Files, folders, globs or URLs.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; work that is finished is not done again.")],
    languages: Annotated[str | None, typer.Option(metavar="CODES", help="As en,th; absent: all known.")] = None,
    decontaminate: Annotated[
        list[str] | None, typer.Option(metavar="FILE ...", help="Benchmark files whose text must not be in the corpus.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; absent: one per core.")] = None,
    engine: Annotated[str, typer.Option(metavar="local|ray", help="Where the work over files runs.")] = "local",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of [corpus]: high_share=0.3.")
    ] = None,
) -> None:
    """Clean raw documents into DIR/documents, DIR/held_out and DIR/dropped, without a recipe."""
    from rich.console import Console

    from seallm.languages import known_languages
    from seallm.plan import run_alone
    from seallm.recipe_file import check_recipe

    _check_apart(inputs, out)
    values: dict[str, Any] = {
        "name": "corpus",
        "languages": _codes(languages) if languages else list(known_languages()),
        "base": {"model": "none"},  # a recipe has one; nothing here reads it
        "compute": {"engine": engine, **({"workers": workers} if workers else {})},
        "corpus": {"inputs": inputs, "benchmarks": decontaminate or []},
    }
    changes = [f"corpus.{override}" for override in overrides or ()]
    recipe = check_recipe(values, changes, Path.cwd() / "seallm corpus build")
    made = run_alone("corpus", recipe, Path.cwd(), out.resolve())
    console = Console()
    _print_funnel(out, console)
    console.print(f"{'Written to' if made else 'Already finished in'} {out}", highlight=False, soft_wrap=True)


@app.command(epilog="Example: seallm corpus why runs/quickstart/02-corpus https://example.org/th/1.html")
def why(folder: Folder, document: Annotated[str, typer.Argument(metavar="ID", help="A document's id or url.")]) -> None:
    """Tell one document's story: where it was read, what was found, every rule with figure and threshold."""
    from seallm.corpus.why import render
    from seallm.corpus.why import why as tell

    typer.echo(render(tell(folder, document)))


@app.command(epilog="Example: seallm corpus retier corpus --out stricter --set high_share=0.3 --set th.min_units=80")
def retier(
    folder: Folder,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the new corpus.")],
    overrides: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="A share or threshold, of all languages or one.")
    ],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; absent: one per core.")] = None,
) -> None:
    """Move thresholds and shares without reading the raw input again."""
    from rich.console import Console

    from seallm.base.runtime import Runtime, available_cores
    from seallm.corpus.retier import retier as decide_again
    from seallm.recipe_file import parse_override

    changes = dict(parse_override(override) for override in overrides)
    decide_again(folder, changes, out, Runtime(workers=workers or available_cores()))
    _print_funnel(out, Console())


@app.command(epilog="Example: seallm corpus report runs/quickstart/02-corpus")
def report(
    folder: Folder, out: Annotated[Path | None, typer.Option(help="File to write; absent: DIR/report.html.")] = None
) -> None:
    """Draw funnel, scores with their thresholds, and documents dropped for each reason, as one HTML page."""
    from seallm.corpus.report import write_report

    typer.echo(f"Written to {write_report(folder, out)}")


@app.command(epilog="Example: seallm corpus fit --reference wiki.th.jsonl.gz --languages th")
def fit(
    reference: Annotated[Path, typer.Option(help="File or folder of documents you trust.")],
    languages: Annotated[str, typer.Option(metavar="CODES", help="As en,th.")],
) -> None:
    """Read thresholds of the quality rules off documents you trust, as text for a language file."""
    from seallm.corpus.fit_quality import fit_quality, toml_text

    for code, found in fit_quality(reference, _codes(languages)).items():
        typer.echo(f"# {code}.toml, from {found.documents:,} documents\n{toml_text(found)}")
        for name, shares in (("today", found.dropped_now), ("fitted", found.dropped_fitted)):
            dropped = ", ".join(f"{reason} {share:.2%}" for reason, share in shares.items()) or "none"
            typer.echo(f"# dropped of these documents, {name}: {dropped}")


def _check_apart(inputs: list[str], out: Path) -> None:
    from seallm.base.errors import DataError

    for name in inputs:
        if out.resolve().is_relative_to(Path(name).resolve()):
            raise DataError(
                f"--out {out} lies in the input {name}: the next run would read it. Give a folder beside it"
            )


def _codes(languages: str) -> list[str]:
    """`en, th` and `en,th` alike."""
    return languages.replace(",", " ").split()


def _print_funnel(folder: Path, console: "Console") -> None:
    from rich.table import Table

    from seallm.base.files import read_json

    funnel: dict[str, dict[str, int]] = read_json(folder / "funnel.json")
    table = Table()
    for column in ("language", "read", "high", "low", "held out", "dropped", "most often for"):
        table.add_column(column, justify="left" if column in ("language", "most often for") else "right")
    for code, row in funnel.items():
        kept = [row.get(name, 0) for name in ("kept_high", "kept_low", "held_out")]
        reasons = {name: n for name, n in row.items() if name not in ("read", "kept_high", "kept_low", "held_out")}
        often = ", ".join(f"{name} {n:,}" for name, n in sorted(reasons.items(), key=lambda r: (-r[1], r[0]))[:3])
        cells = [row["read"], *kept, row["read"] - sum(kept)]
        table.add_row(code, *(f"{n:,}" for n in cells), often)
    console.print(table)
