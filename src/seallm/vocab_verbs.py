"""The verbs `seallm vocab ...`: extend a tokenizer without a recipe, prove it, and look before you do."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from seallm.vocab.vocabulary_checks import Check

app = typer.Typer(
    name="vocab",
    help="Extend a tokenizer without a recipe, prove that nothing broke, measure and plan.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_TOKENIZER = "Folder, tokenizer.json, tokenizer.model, .tiktoken file, or hub id."
Base = Annotated[str, typer.Option(metavar="TOKENIZER", help=f"The tokenizer to extend. {_TOKENIZER}")]
Corpus = Annotated[
    str, typer.Option(metavar="PATH", help="A corpus, or files of documents (JSONL, Parquet, text): a folder or glob.")
]
ParallelFolder = Annotated[
    str, typer.Option("--parallel", metavar="DIR", help="dev.<l>.txt and test.<l>.txt, or <l>.txt: aligned lines.")
]
Languages = Annotated[
    str | None, typer.Option(metavar="CODES", help="As en,th,lo, the base language first; absent: all in --parallel.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of [vocab]: parity_exponent=3.0.")
]
Reference = Annotated[
    str | None, typer.Option(metavar="TOKENIZER", help="Its English is the unit, as cl100k_base.tiktoken.")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for JSON and plot.")]


@app.command(epilog="Example: seallm vocab extend --base base/ --corpus docs/ --parallel flores/ --out extended")
def extend(
    base: Base,
    corpus: Corpus,
    parallel: ParallelFolder,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write: a Hugging Face tokenizer and its proof.")],
    new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to add.")] = 16_000,
    method: Annotated[str | None, typer.Option(help="How tokens are chosen: a value of [vocab] method.")] = None,
    languages: Languages = None,
    seed: Annotated[int, typer.Option(help="Of the certificate's random texts.")] = 0,
    overrides: Overrides = None,
) -> None:
    """Add tokens for languages to a tokenizer, as the vocab stage of a run does; fails if its certificate fails."""
    from seallm.base.files import read_json
    from seallm.vocab_alone import Request, notes_on
    from seallm.vocab_alone import extend as extend_alone

    settings = [f"new_tokens={new_tokens}", *([f'method="{method}"'] if method else []), *(overrides or ())]
    request = Request(base, corpus, parallel, _codes(languages), tuple(settings), seed)
    made = extend_alone(request, out.resolve())
    figures = read_json(out / "compression.json")
    certificate = read_json(out / "certificate.json")
    added = certificate["by_language"]
    table = _table(["language", "before", "after", "tokens added"], figures["reference"])
    for code, before in figures["before"].items():
        table.add_row(code, f"{before:.2f}", f"{figures['after'][code]:.2f}", f"{added.get(code, 0):,}")
    _print(table)
    _notes(notes_on(request), None)
    claims = len(certificate["checks"])
    typer.echo(
        f"{'Written to' if made else 'Already finished in'} {out}; certificate: {claims} of {claims} claims hold"
    )


@app.command(epilog="Example: seallm vocab certify extended --base base/")
def certify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The extended tokenizer.")],
    base: Base,
    parallel: Annotated[
        str | None, typer.Option(metavar="DIR", help="Sentences to check with; absent: those that ship with seallm.")
    ] = None,
    languages: Annotated[
        str | None, typer.Option(metavar="CODES", help="Base language first; absent: as DIR/certificate.json says.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random texts.")] = 0,
) -> None:
    """Check an extended tokenizer against its base again; exit status 1 if a claim does not hold."""
    from seallm.vocab.certificate import demand
    from seallm.vocab_alone import certify_folder

    checks = certify_folder(folder, base, parallel, _codes(languages), seed)
    _print(_check_table(checks))
    demand(checks)


@app.command(epilog="Example: seallm vocab measure base/ extended/ --parallel flores/ --reference cl100k_base.tiktoken")
def measure(
    tokenizers: Annotated[list[str], typer.Argument(metavar="TOKENIZER ...", help=_TOKENIZER)],
    parallel: ParallelFolder,
    reference: Reference = None,
    languages: Languages = None,
    paper: Annotated[bool, typer.Option("--paper", help="Add the rows of the SeaLLMs paper's Table 1.")] = False,
    out: Out = None,
) -> None:
    """Tokens for the same meaning by language, relative to English, on canonical text and on raw text."""
    from seallm.vocab_alone import measure as measure_all

    figures, notes = measure_all(
        tokenizers, parallel, reference=reference, languages=_codes(languages), with_paper=paper, out=out
    )
    canonical, raw = (figures["forms"][form] for form in ("canonical", "raw"))
    paper_rows = figures.get("paper", {})
    title = f"{figures['sentences']} sentences, relative to {figures['reference']}: canonical text / raw text"
    table = _table(["", *canonical, *paper_rows], title)

    labels = {**{code: code for code in figures["languages"]}, "mean": f"mean of {len(figures['languages']) - 1}"}
    for key, label in {**labels, "worst": "worst"}.items():
        both = [f"{_figure(_pick(canonical[name], key))} / {_figure(_pick(raw[name], key))}" for name in canonical]
        table.add_row(label, *both, *(_figure(_pick(row, key)) for row in paper_rows.values()))
    _print(table)
    _notes(notes, out)


@app.command(epilog="Example: seallm vocab doctor HuggingFaceTB/SmolLM2-135M --parallel flores/ --write repaired")
def doctor(
    tokenizer: Annotated[str, typer.Argument(metavar="TOKENIZER", help=_TOKENIZER)],
    parallel: ParallelFolder,
    languages: Languages = None,
    write: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the repaired tokenizer there.")] = None,
) -> None:
    """What the pre-tokenizer forbids, by language, and the repair; exit status 1 if the repair changes plain text."""
    from seallm.vocab.certificate import demand
    from seallm.vocab_alone import doctor as examine

    found, notes = examine(tokenizer, parallel, _codes(languages), write)
    table = _table(
        ["language", "marks", "least tokens", "after the repair", "NFD costs"], "relative to the first language"
    )
    for code, share in found.mark_shares.items():
        floors = [_figure(row[code]) if row else "-" for row in (found.floors, found.floors_repaired)]
        table.add_row(code, f"{share:.1%}", *floors, f"x {found.decomposed_costs[code]:.2f}")
    _print(table)
    for pattern in found.letters_only:
        typer.echo(f"A letters-only regex ends words at every combining mark: {pattern}")
    if found.floors is None:
        typer.echo("Nothing is cut before merges, so the pre-tokenizer forbids nothing.")
    elif not found.letters_only:
        typer.echo("The regex admits combining marks; it needs no repair.")
    if found.proof is not None:
        _print(_check_table([found.proof]))
        demand([found.proof])
    _notes(notes, write)


@app.command(
    epilog="Example: seallm vocab plan --base base/ --corpus docs/ --parallel flores/ --max-tokens 32000 --out plan"
)
def plan(
    base: Base,
    corpus: Corpus,
    parallel: ParallelFolder,
    max_tokens: Annotated[int, typer.Option(min=1, help="The most tokens to look at.")] = 32_000,
    least_gain: Annotated[
        float, typer.Option(help="Share of the mean that 1,000 more tokens must take off to be worth it.")
    ] = 0.01,
    step: Annotated[int, typer.Option(min=1, help="Tokens from row to row of the table.")] = 2_000,
    languages: Languages = None,
    reference: Reference = None,
    out: Out = None,
    overrides: Overrides = None,
) -> None:
    """Ratio of each language against the number of new tokens, what each step gains and costs, and where to stop."""
    from seallm.base.runtime import Runtime, progress
    from seallm.vocab_alone import Request
    from seallm.vocab_plan import plan as plan_tokens

    settings = (f"new_tokens={max_tokens}", *(overrides or ()))
    request = Request(base, corpus, parallel, _codes(languages), settings)
    with progress("new tokens", max_tokens, Runtime()) as task:
        made = plan_tokens(
            request, reference=reference, least_gain=least_gain, step=step, out=out, advance=task.advance
        )
    figures = made.document
    costs = [] if "cheapest_decoding" not in figures else ["M parameters", "decode cost"]
    table = _table(
        ["new tokens", *figures["languages"], "mean", "worst", "gain", *costs],
        f"{figures['sentences']} sentences, relative to {figures['reference']}",
    )
    for row in figures["rows"]:
        more = [f"{row['million_parameters']:.1f}", f"{row['decode_cost']:.3f}"] if costs else []
        ratios = [_figure(row["ratios"][code]) for code in figures["languages"]]
        cells = [f"{row['new_tokens']:,}", *ratios, _figure(row["mean"]), _figure(row["worst"])]
        table.add_row(*cells, f"{row['gain_share']:.1%}", *more)
    _print(table)
    typer.echo(f"Stop at {figures['stop_at']:,}: from there 1,000 more take less than {least_gain:.1%} off the mean.")
    if costs:
        best = figures["cheapest_decoding"]
        typer.echo(
            f"Decoding one meaning reads fewest weights at {best['new_tokens']:,}, {best['cost']:.1%} of the base's"
        )
    _notes(made.notes, out)


@app.command(epilog="Example: seallm vocab probe --base model/ --tokenizer extended --corpus docs/ --steps 50")
def probe(
    base: Annotated[str, typer.Option(metavar="MODEL", help="Model folder or hub id.")],
    tokenizer: Annotated[Path, typer.Option(metavar="DIR", help="What `extend` wrote for it.")],
    corpus: Corpus,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps for each way to start.")] = 50,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Tokens a step.")] = 4_096,
    sequence_tokens: Annotated[int, typer.Option(min=2, help="Length of the packed rows.")] = 256,
    learning_rate: Annotated[float, typer.Option(help="Peak of the schedule.")] = 5e-4,
    new_rows_only: Annotated[bool, typer.Option("--new-rows-only", help="Train the rows of new tokens alone.")] = False,
    methods: Annotated[str | None, typer.Option(metavar="NAMES", help="As mean,similarity; absent: all.")] = None,
    languages: Languages = None,
    seed: Annotated[int, typer.Option(help="Of the batches.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="JSON file to write.")] = None,
) -> None:
    """Compare ways to start the rows of new tokens: bits per byte before and after a few steps on the same batches."""
    from seallm.base.files import write_json
    from seallm.vocab_probe import Budget, chosen_methods
    from seallm.vocab_probe import probe as compare

    budget = Budget(steps, sequence_tokens, batch_tokens, learning_rate, new_rows_only, seed)
    chosen = chosen_methods(methods)
    figures = compare(base, tokenizer, corpus, languages=_codes(languages), methods=chosen, budget=budget)
    table = _table(
        ["bits per byte", "", *figures["languages"], "mean of the new"], f"{steps} steps of {batch_tokens} tokens"
    )
    rows = [("base, own tokenizer", "", figures["base"])]
    rows += [
        (name, moment, both[moment]) for name, both in figures["methods"].items() for moment in ("before", "after")
    ]
    for name, moment, row in rows:
        new = [row[code] for code in figures["languages"][1:]]
        mean = f"{sum(new) / len(new):.3f}" if new else "-"
        table.add_row(name, moment, *(f"{row[code]:.3f}" for code in figures["languages"]), mean)
    _print(table)
    if out is not None:
        write_json(out, figures)
        typer.echo(f"Written to {out}")


def _codes(languages: str | None) -> tuple[str, ...]:
    return tuple(code.strip() for code in languages.split(",")) if languages else ()


def _pick(row: Mapping[str, Any], key: str) -> float | None:
    """A language's ratio, or the mean or worst of them."""
    found: float | None = row[key] if key in row else row["ratios"].get(key)
    return found


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(columns: Sequence[str], title: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if not number else "right", no_wrap=True)
    return table


def _check_table(checks: "Iterable[Check]") -> "Table":
    from rich.table import Table

    table = Table()
    for column, most in (("claim", 40), ("holds", 5), ("figures", 66)):
        table.add_column(column, max_width=most)
    for check in checks:
        table.add_row(check.claim, "yes" if check.offence is None else "NO", _figures(check.figures))
    return table


def _figures(figures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in figures.items())


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _print(table: "Table") -> None:
    """As wide as its figures, wherever it goes: cut figures are none."""
    from rich.console import Console
    from rich.measure import Measurement

    roomy = Console(width=1_000)
    Console(width=Measurement.get(roomy, roomy.options, table).maximum).print(table)


def _notes(notes: Iterable[str], out: Path | None) -> None:
    for note in notes:
        typer.echo(f"Note: {note}")
    if out is not None:
        typer.echo(f"Written to {out}")
