"""Counts of checks and mixes in, tables for the terminal out."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from seallm.base.drop_reasons import reason_title
from seallm.chat_data.mixing import PARTS

_TITLES = {"sft": "fine-tuning", "held_out": "held out", "left_over": "left over"}


def mix_rows(cells: Sequence[Mapping[str, Any]]) -> Table:
    """Languages down, categories and parts across: what the mix gave to each stage."""
    categories = sorted({cell["category"] for cell in cells})
    table = Table(
        title="instruction data: fine-tuning by category, and all parts",
        title_justify="left",
        caption=_caption(sum(cell["sft"] for cell in cells), sum(cell["left_over"] for cell in cells)),
        caption_justify="left",
    )
    table.add_column("language")
    for name in (*short_names(categories), *(_TITLES.get(part, part) for part in PARTS)):
        table.add_column(name, justify="right")
    languages = list(dict.fromkeys(cell["language"] for cell in cells))
    for language in (*languages, None):
        mine = [cell for cell in cells if language in (None, cell["language"])]
        sums = [sum(cell["sft"] for cell in mine if cell["category"] == category) for category in categories]
        parts = [sum(cell[part] for cell in mine) for part in PARTS]
        table.add_row(language or "all", *(f"{number:,}" for number in (*sums, *parts)), end_section=language is None)
    return table


def _caption(taken: int, left_over: int) -> str | None:
    """A warning where caps leave more over than they let through: one tiny language can hold all others down."""
    if left_over <= taken:
        return None
    return (
        f"Caps and quotas let {taken:,} conversations through and leave {left_over:,} over. Where that is not wanted, "
        "raise max_language_share or language_caps of [instructions]: [sft] balances every epoch anyway."
    )


def short_names(categories: Sequence[str]) -> list[str]:
    """The first words of categories, where these tell them apart: a terminal is narrow."""
    short = [category.split("-")[0] or "none" for category in categories]
    return short if len(set(short)) == len(short) else [category or "none" for category in categories]


def check_rows(checks: Mapping[str, Any]) -> Table:
    """Languages down, what was kept and dropped for each reason across."""
    reasons = [reason for reason in checks["dropped"] if reason != "language"]
    table = Table(title="instruction data: what the checks kept and dropped", title_justify="left")
    table.add_column("language")
    for name in ("read", "kept", *map(reason_title, reasons)):
        table.add_column(name, justify="right")
    for language, row in checks["languages"].items():
        numbers = [sum(row.values()), row.get("kept", 0), *(row.get(reason, 0) for reason in reasons)]
        table.add_row(language, *(f"{number:,}" for number in numbers))
    for language, number in checks["other_languages"].items():
        table.add_row(language or "unknown", f"{number:,}", "0", *("" for _ in reasons))
    return table
