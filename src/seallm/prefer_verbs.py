"""The verbs `seallm prefer ...`: what preference pairs are worth, before anything is trained on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="prefer",
    help="Look at preference pairs before they are trained on.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Without this, a single verb would take the place of the group."""


@app.command(epilog="Example: seallm prefer report runs/quickstart --gold reviewed/preferences.jsonl")
def report(
    place: Annotated[
        Path, typer.Argument(metavar="RUN|FOLDER|FILE", help="A run, a stage of it, or preferences in TRL's formats.")
    ],
    gold: Annotated[Path | None, typer.Option(metavar="FILE", help="Preferences by people, to compare with.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of report.html and report.json.")] = None,
) -> None:
    """Show how far the judge can be trusted: consistency, biases, drift, agreement with people, pairs to look at."""
    from rich.console import Console

    from seallm.prefer.report import make_report

    figures, folder = make_report(place, out, gold)
    console = Console()
    if "rounds" in figures:
        for found in figures["rounds"]:
            _show_round(found, console)
        if "agreement" in figures:
            _show_agreement(figures["agreement"], console)
    else:
        _show_pairs(figures["pairs"], console)
    console.print(f"Written to {folder / 'report.html'} and report.json", highlight=False, soft_wrap=True)


def _show_round(found: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    known = found["judge_accuracy_on_known_pairs"]
    table = Table(title=f"{found['stage']}, judged by {found['judge']}", title_justify="left")
    columns = ("consistency", "first_position_rate", "longer_chosen_rate", "language_drift")
    for column in ("", "pairs", "kept", "right on known", "consistent", "first position", "longer", "wrong language"):
        table.add_column(column, justify="right" if column else "left")
    rows = [("all", found["all"], known["all"])]
    rows += [(code, own, known["languages"].get(code)) for code, own in found["languages"].items()]
    for name, own, accuracy in rows:
        rates = (_share(own[key]) for key in columns)
        table.add_row(name, f"{own['pairs']:,}", f"{own['kept']:,}", _share(accuracy), *rates)
    console.print(table)
    sure = f"of those that would be kept: {_share(known['of_kept'])}"
    console.print(f"Right on known pairs {_share(known['all'])}, {sure}; least margin {found['least_margin']:.3g}.")
    if found["wanted_accuracy_reached"] is False:
        console.print("No margin makes the judge as good on known pairs as was wanted: such pairs teach little.")
    if found["agreement_with_people"]["all"]:
        console.print(f"Agreement with people: {_share(found['agreement_with_people']['all'])}.")


def _show_agreement(found: dict[str, Any], console: "Console") -> None:
    by_language = ", ".join(f"{code} {_share(own)}" for code, own in found["languages"].items())
    n = found["all"]["n"] if found["all"] else 0
    console.print(
        f"Of {found['pairs']:,} pairs that people judged, the judge was asked about {n:,}; same answer preferred: "
        f"{_share(found['all'])} ({by_language or 'none'}), of those that were kept {_share(found['of_kept'])}.",
        soft_wrap=True,
    )


def _show_pairs(found: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    table = Table()
    for column in ("", "pairs", "longer chosen", "chosen in a wrong language", "rejected in a wrong language"):
        table.add_column(column, justify="right" if column else "left")
    for name, own in [("all", found["all"]), *found["languages"].items()]:
        drift = own["language_drift"]
        table.add_row(
            name or "no language",
            f"{own['pairs']:,}",
            *(_share(estimate) for estimate in (own["longer_chosen_rate"], drift["chosen"], drift["rejected"])),
        )
    console.print(table)


def _share(estimate: dict[str, float] | None) -> str:
    """`86 % (81-90)`: a share with its 95 % interval."""
    if estimate is None:
        return "-"
    low, high = round(100 * estimate["low"]), round(100 * estimate["high"])
    return f"{100 * estimate['value']:.0f} % ({low}-{high})"
