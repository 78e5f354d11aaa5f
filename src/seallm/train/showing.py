"""Rows of a stage in, lines for the terminal out: where they come from, and what of them is supervised."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seallm.train.segments import IGNORED, Segment
from seallm.train.stage_rows import Row, StageRows

COLUMNS = ("row", "language", "tier", "document", "tokens", "of")
SUPERVISED, MASKED = ("[green]", "[/]"), ("[dim]", "[/]")
PLAIN = ("⟦", "⟧")  # around what is supervised where there are no colours


def show_trace(rows: Sequence[Row], console: Console) -> None:
    """List the documents of a step: a table on a terminal, lines with tabs elsewhere."""
    lines = list(_traced(rows))
    if not console.is_terminal:
        for line in (COLUMNS, *lines):
            print("\t".join(line), file=console.file)
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in COLUMNS:
        table.add_column(column, overflow="fold", justify="right" if column in ("row", "of") else "left")
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)


def _traced(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        for origin in row.origins:
            language, _, tier = origin.source.partition(".")
            place = f"{origin.start}-{origin.stop}"
            yield str(row.number), language, tier, origin.document_id, place, str(origin.tokens)
        if not row.origins:
            for segment in row.segments:
                yield str(row.number), segment.label, "", "conversation", f"0-{len(segment.ids)}", str(len(segment.ids))


def show_rows(found: StageRows, rows: Sequence[Row], console: Console) -> None:
    """Show sequences: what is supervised, what is masked, and where one segment ends and the next begins."""
    if console.is_terminal:
        console.print("[green]supervised[/]  [dim]masked[/]  [bold cyan]boundaries[/]")
    else:
        print(f"{PLAIN[0]}supervised{PLAIN[1]}  masked", file=console.file)
    for row in rows:
        total = sum(len(segment.ids) for segment in row.segments)
        _line(f"\nrow {row.number}: {_count(len(row.segments), 'segment')}, {_count(total, 'token')}", console)
        for number, segment in enumerate(row.segments):
            origin = row.origins[number] if row.origins else None
            place = f" {origin.document_id} {origin.start}-{origin.stop} of {origin.tokens}" if origin else ""
            supervised = int((segment.targets != IGNORED).sum())
            goes_on = ", goes on" if segment.position else ""
            _line(f"── {segment.label}{place}: {len(segment.ids)} tokens, {supervised} supervised{goes_on} ──", console)
            console.print(_coloured(found, segment, console), soft_wrap=True, highlight=False)


def _line(text: str, console: Console) -> None:
    console.print(f"[bold cyan]{escape(text)}[/]", soft_wrap=True, highlight=False)


def _coloured(found: StageRows, segment: Segment, console: Console) -> str:
    """The text of a segment; runs of tokens that carry a loss as targets stand out."""
    ids, targets = segment.ids.tolist(), segment.targets.tolist()
    is_target = [False, *(target != IGNORED for target in targets[:-1])]
    parts = []
    for supervised, run in groupby(zip(is_target, ids, strict=True), key=lambda pair: pair[0]):
        text = escape(str(found.tokenizer.decode([token for _, token in run])))
        start, end = (
            (SUPERVISED if supervised else MASKED) if console.is_terminal else (PLAIN if supervised else ("", ""))
        )
        parts.append(f"{start}{text}{end}")
    return "".join(parts)


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
