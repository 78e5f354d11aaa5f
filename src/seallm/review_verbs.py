"""The verbs `seallm review ...`: native speakers judge synthetic conversations and pairs of answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from rich.table import Table


class PageFirst(TyperGroup):
    """`seallm review FOLDER` is `seallm review page FOLDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `page` before what is no verb and no option of the group."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["page", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=PageFirst,
    name="review",
    help="Native speakers review conversations and compare answers, in a local web page.",
    epilog="Example: seallm review drafts",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Holds *.jsonl files: conversations, pairs of answers.")]


@app.command(epilog="Example: seallm review drafts --overlap 0.3")
def page(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8010,
    overlap: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of items that several see. Absent: as before, or 0.2.")
    ] = None,
    raters: Annotated[
        int | None, typer.Option(min=1, help="Annotators of such an item. Absent: as before, or 2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of order and sides; fixed by the first start. Absent: 0.")] = None,
) -> None:
    """Serve the page; new rows of the folder's files are added."""
    from seallm.review.http import review

    review(folder, host, port, seed=seed, overlap=overlap, raters=raters)


@app.command(epilog="Example: seallm review invite drafts Somchai --languages th,lo")
def invite(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the annotator; exported with their judgements.")],
    languages: Annotated[str, typer.Option(metavar="CODES", help="The only ones they are asked about.")] = "",
) -> None:
    """Give an annotator an access token. After the first invitation, nobody comes in without one."""
    from urllib.parse import urlencode

    from seallm.review.annotators import invite as let_in
    from seallm.review.store import open_reviews

    codes = [code.strip() for code in languages.split(",") if code.strip()]
    token = let_in(open_reviews(folder), name, codes)
    typer.echo(f"{token}\nor, after the page's address: #{urlencode({'name': name, 'token': token})}")


@app.command(epilog="Example: seallm review export drafts --out reviewed")
def export(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write. Absent: FOLDER/review/export.")
    ] = None,
) -> None:
    """Write what was accepted, edited and preferred, with agreement and win rates by language."""
    from rich.console import Console

    from seallm.review.export import EXPORT
    from seallm.review.export import export as write

    target = out or folder / EXPORT
    report = write(folder, target)
    console = Console(highlight=False)
    for table in (_conversations(report), _comparisons(report), _models(report), _annotators(report)):
        if table.row_count:
            console.print(table)
    written = report["written"]
    console.print(
        f"{written['conversations']:,} conversations and {written['preferences']:,} preferences in {target}",
        soft_wrap=True,
        markup=False,
    )


def _table(title: str, *columns: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _conversations(report: dict[str, Any]) -> "Table":
    from seallm.review.figures import OUTCOMES

    table = _table("Conversations", "language", "items", *OUTCOMES, "agreement (alpha)")
    for language, row in report["conversations"].items():
        shares = (_percent(row[name]) for name in OUTCOMES)
        table.add_row(language or "-", f"{row['items']:,}", *shares, _alpha(row["agreement"]))
    return table


def _comparisons(report: dict[str, Any]) -> "Table":
    table = _table("Comparisons", "language", "pairs", "judgements", "left preferred", "both bad", "agreement (alpha)")
    for language, row in report["comparisons"].items():
        counts = (f"{row[name]:,}" for name in ("items", "judgements"))
        left, both_bad = _percent(row["left_preferred"]), f"{row['both_bad']:,}"
        table.add_row(language or "-", *counts, left, both_bad, _alpha(row["agreement"]))
    return table


def _models(report: dict[str, Any]) -> "Table":
    from rich.markup import escape

    table = _table("Models", "language", "model", "games", "questions", "win rate", "ties", "strength (Bradley-Terry)")
    for language, row in report["comparisons"].items():
        for model in row["models"]:
            counts = (f"{model[name]:,}" for name in ("games", "questions"))
            figures = (_percent(model["win_rate"]), f"{model['tie_share']:.0%}", _number(model["strength"], "+.2f"))
            table.add_row(language or "-", escape(model["model"]), *counts, *figures)
    return table


def _annotators(report: dict[str, Any]) -> "Table":
    from rich.markup import escape

    table = _table("Annotators", "name", "judged", "skipped", "median seconds", "same as others")
    for row in report["annotators"]:
        seconds = "-" if row["median_seconds"] is None else f"{row['median_seconds']:.0f}"
        same = f"{row['same']:,} of {row['shared']:,}"
        table.add_row(escape(row["name"]), f"{row['judged']:,}", f"{row['skipped']:,}", seconds, same)
    return table


def _percent(figure: dict[str, Any]) -> str:
    return _number(figure, ".0%")


def _alpha(figure: dict[str, Any]) -> str:
    return f"{_number(figure, '.2f')}, n = {figure['units']:,}"


def _number(figure: dict[str, Any], form: str) -> str:
    if figure["value"] is None:
        return "-"
    if figure["low"] is None:
        return f"{figure['value']:{form}}"
    return f"{figure['value']:{form}} [{figure['low']:{form}}, {figure['high']:{form}}]"
