"""What was made, dropped and spent in, tables for the terminal out."""

from rich.table import Table

from seallm.chat_data.made import Outcome
from seallm.endpoints.metering import Meter


def cost_table(meter: Meter, *, is_guess: bool) -> Table:
    """Calls, tokens and money by language."""
    table = Table(title="would be spent, guessed" if is_guess else "spent", title_justify="left")
    columns = ("language", "calls", "from disk", "given up", "tokens asked", "tokens answered", "cost")
    for name in columns:
        table.add_column(name, justify="left" if name == "language" else "right")
    for row in meter.rows():
        numbers = (row[name] for name in ("calls", "reused", "failed", "question_tokens", "answer_tokens"))
        table.add_row(str(row["language"]), *(f"{number:,}" for number in numbers), f"{row['cost']:.4f}")
    return table


def outcome_table(outcome: Outcome) -> Table:
    """Conversations made and dropped, by language and reason."""
    counts = outcome.counts()
    reasons = sorted({reason for row in counts.values() for reason in row} - {"made"})
    table = Table(title="conversations", title_justify="left")
    table.add_column("language")
    for name in ("made", *reasons):
        table.add_column(name.replace("_", " "), justify="right")
    for language, row in counts.items():
        table.add_row(language, *(f"{row.get(name, 0):,}" for name in ("made", *reasons)))
    return table
