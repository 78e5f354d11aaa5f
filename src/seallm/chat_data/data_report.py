"""What `check` or `mix` wrote, or a file of conversations, in; report.html, report.json and a terminal table out.

Texts are read one by one; what is kept of them are counts, lengths, and a few samples: those whose words hash lowest,
so that the same data shows the same samples.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from tokenizers import Tokenizer

from seallm.base.errors import DataError
from seallm.base.files import read_json, read_json_lines, write_json, write_text
from seallm.base.records import Conversation, parse_conversation, read_conversations
from seallm.chat_data.conversation_table import conversation_key
from seallm.chat_data.mixing import PARTS
from seallm.chat_data.output_files import CHECKS, CONVERSATIONS, DROPPED
from seallm.chat_data.report_view import render
from seallm.chat_data.tables import short_names

SAMPLES, DROPPED_SAMPLES, SAMPLE_CHARACTERS = 6, 6, 1_200
_BATCH = 500
KEPT = "conversations"  # the only part of what was not mixed


@dataclass
class _Language:
    """What is known of the conversations of one language."""

    cells: Counter[tuple[str, str]] = field(default_factory=Counter)  # category and source
    parts: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    turns: Counter[int] = field(default_factory=Counter)
    prompt_lengths: list[int] = field(default_factory=list)
    answer_lengths: list[int] = field(default_factory=list)
    samples: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def write_report(place: Path, out: Path | None, tokenizer: Path | None) -> tuple[Table, Path]:
    """Write the report.

    Args:
        place: a folder that `check` or `mix` wrote, or a file of conversations.
        out: folder to write to; absent: the folder, or beside the file `<name>.report/`.
        tokenizer: folder with tokenizer.json; absent: lengths are in characters.

    Returns:
        The table for the terminal, and the page.

    Raises:
        DataError: there are no conversations, or no tokenizer.
    """
    figures = read_figures(place, tokenizer)
    folder = out or (place if place.is_dir() else place.with_suffix(".report"))
    write_json(folder / "report.json", figures)
    write_text(folder / "report.html", render(figures))
    return terminal_table(figures), folder / "report.html"


def read_figures(place: Path, tokenizer: Path | None) -> dict[str, Any]:
    """All that the report shows.

    Raises:
        DataError: there are no conversations, or no tokenizer.
    """
    measure = _load_tokenizer(tokenizer) if tokenizer else None
    languages: dict[str, _Language] = defaultdict(_Language)
    bad = 0
    for part, path in _part_files(place):
        good, broken = read_conversations(path)
        bad += len(broken)
        for start in range(0, len(good), _BATCH):
            _add(languages, part, good[start : start + _BATCH], measure)
    if not languages:
        raise DataError(f"{place} holds no conversations ({bad} bad rows). Give a file, or what check or mix wrote")
    checks = read_json(place / CHECKS) if (place / CHECKS).is_file() else None
    return {
        "name": place.resolve().name,
        "unit": "tokens" if measure else "characters",
        "parts": [name for name in (*PARTS, KEPT) if any(row.parts[name] for row in languages.values())],
        "checks": checks,
        "bad_rows": bad,
        "languages": {code: _summary(languages[code]) for code in sorted(languages)},
        "dropped": _dropped_samples(place / DROPPED) if (place / DROPPED).is_file() else {},
    }


def _part_files(place: Path) -> Iterator[tuple[str, Path]]:
    if place.is_file():
        yield KEPT, place
    elif (place / CONVERSATIONS).is_file():
        yield KEPT, place / CONVERSATIONS
    else:
        yield from ((name, path) for name in PARTS if (path := place / f"{name}.jsonl").is_file())


def _load_tokenizer(folder: Path) -> Tokenizer:
    for path in (
        folder,
        folder / "tokenizer.json",
        folder / "tokenizer/tokenizer.json",
        folder / "model/tokenizer.json",
    ):
        if path.is_file():
            return Tokenizer.from_file(str(path))
    raise DataError(f"{folder} has no tokenizer.json. Give the folder of a tokenizer, or a vocab stage of a run")


def _add(
    languages: dict[str, _Language], part: str, conversations: list[Conversation], tokenizer: Tokenizer | None
) -> None:
    prompts = ["\n".join(m.content for m in c.messages if m.role != "assistant") for c in conversations]
    answers = ["\n".join(m.content for m in c.messages if m.role == "assistant") for c in conversations]
    lengths = (_lengths(prompts, tokenizer), _lengths(answers, tokenizer))
    for c, prompt_length, answer_length in zip(conversations, *lengths, strict=True):
        language = languages[c.language or "unknown"]
        language.cells[c.category or "none", c.source or "none"] += 1
        language.parts[part] += 1
        language.licences[c.licence or "not given"] += 1
        language.turns[sum(m.role == "user" for m in c.messages)] += 1
        language.prompt_lengths.append(prompt_length)
        language.answer_lengths.append(answer_length)
        key = conversation_key(c)
        if len(language.samples) < SAMPLES or key < language.samples[-1][0]:
            language.samples = sorted([*language.samples, (key, _sample(c))], key=lambda s: s[0])[:SAMPLES]


def _lengths(texts: list[str], tokenizer: Tokenizer | None) -> list[int]:
    if tokenizer is None:
        return [len(text) for text in texts]
    return [len(found.ids) for found in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _sample(conversation: Conversation, **more: str) -> dict[str, Any]:
    turns = [{"role": m.role, "content": m.content[:SAMPLE_CHARACTERS]} for m in conversation.messages]
    labels = {name: getattr(conversation, name) for name in ("language", "category", "source", "licence")}
    return {"messages": turns, **labels, **more}


def _summary(language: _Language) -> dict[str, Any]:
    sources: dict[str, dict[str, int]] = {}
    for (category, source), number in sorted(language.cells.items()):
        sources.setdefault(source, {})[category] = number
    categories: Counter[str] = Counter()
    for (category, _), number in language.cells.items():
        categories[category] += number
    return {
        "conversations": sum(language.parts.values()),
        "parts": dict(sorted(language.parts.items())),
        "categories": dict(sorted(categories.items())),
        "sources": sources,
        "licences": dict(language.licences.most_common()),
        "rounds": {str(number): count for number, count in sorted(language.turns.items())},
        "prompts": _spread(language.prompt_lengths),
        "answers": _spread(language.answer_lengths),
        "samples": [sample for _, sample in language.samples],
    }


def _spread(lengths: list[int]) -> dict[str, float]:
    found = np.quantile(lengths, [0.05, 0.5, 0.95])
    ends = dict(zip(("low", "median", "high"), (round(float(value), 1) for value in found), strict=True))
    return {**ends, "most": max(lengths), "sum": sum(lengths)}


def _dropped_samples(path: Path) -> dict[str, list[dict[str, Any]]]:
    """A few conversations dropped for each reason, of every language one before the second."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for _, row in read_json_lines(path):
        if isinstance(row, DataError):
            raise row
        of_language = found[str(row["reason"])][str(row.get("language"))]
        if len(of_language) < DROPPED_SAMPLES:
            conversation = parse_conversation(row, str(row.get("where")))
            of_language.append(_sample(conversation, detail=str(row["detail"]), where=str(row["where"])))
    return {reason: _in_turn(samples)[:DROPPED_SAMPLES] for reason, samples in sorted(found.items())}


def _in_turn(samples: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    rows = [(number, code, sample) for code, listed in samples.items() for number, sample in enumerate(listed)]
    return [sample for _, _, sample in sorted(rows, key=lambda row: row[:2])]


def terminal_table(figures: Mapping[str, Any]) -> Table:
    """Languages down; categories and lengths across."""
    table = Table(title=f"{figures['name']}: conversations, and median {figures['unit']}", title_justify="left")
    table.add_column("language")
    categories = sorted({name for row in figures["languages"].values() for name in row["categories"]})
    for name in ("all", *short_names(categories), "prompt", "answer"):
        table.add_column(name, justify="right")
    for code, row in figures["languages"].items():
        counts = (row["conversations"], *(row["categories"].get(category, 0) for category in categories))
        lengths = (row["prompts"]["median"], row["answers"]["median"])
        table.add_row(code, *(f"{number:,.0f}" for number in (*counts, *lengths)))
    return table
