"""Data pack in, clean parts of documents out: which source, which licence, how much of it.

A pack document is cleaned by the rules of its source and cut at paragraphs into parts of a few kilobytes, so that a
small sample still holds many documents. The parts with most running prose are taken first.
"""

import gzip
import json
import random
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # one JSON or TOML object

LANGUAGES = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")
SPACED = frozenset(("en", "vi", "id", "ms", "tl"))
SCRIPT_RANGES = {"zh": "一-鿿", "th": "฀-๿", "km": "ក-៿", "lo": "຀-໿", "my": "က-႟"}
ENGLISH_WORDS = frozenset(
    ("the", "of", "and", "is", "that", "for", "with", "was", "this", "by", "from", "you", "when", "has")
)
MAX_ENGLISH_SHARE = 0.03
MIN_SCRIPT_SHARE = 0.6
PART_BYTES = {True: 2_400, False: 5_600}  # spaced, Latin script; three bytes a character
MIN_PART_BYTES = 350
PROSE_LINE_CHARACTERS = {True: 80, False: 40}
SURPLUS = 1.4  # the best parts, this many times the budget, among which chance decides


@dataclass(frozen=True)
class Source:
    """One origin of text and the right to pass it on."""

    name: str
    title: str
    holder: str
    licence: str
    link: str
    changes: str
    pack: str = ""


@dataclass(frozen=True)
class Part:
    """A few kilobytes of one document."""

    id: str
    document: str
    text: str
    source: Source
    language: str

    @property
    def bytes(self) -> int:
        """Size in UTF-8."""
        return len(self.text.encode("utf-8"))


def load_table() -> tuple[dict[str, Source], dict[str, dict[str, int]], dict[str, int]]:
    """Sources by name, kilobytes by language and source, kilobytes of the base text by source."""
    table = tomllib.loads((Path(__file__).parent / "sources.toml").read_text(encoding="utf-8"))
    sources = {name: Source(name=name, **fields) for name, fields in table["source"].items()}
    return sources, table["kilobytes"], table["base_kilobytes"]


def read_rows(path: Path) -> Iterator[Row]:
    """JSON objects of a .jsonl or .jsonl.gz file."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield from (json.loads(line) for line in content.split(b"\n") if line.strip())


def canonical(text: str) -> str:
    """NFC without zero-width spaces, on one line: the form in which sentences are compared and measured."""
    return " ".join(unicodedata.normalize("NFC", text).replace("​", "").replace("﻿", "").split())


def _strip_markdown(text: str) -> str:
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|</?[A-Za-z][^>\n]*>|\{/\*.*?\*/\}", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(?m)^[#>\s]+|^-{3,}$|^\|.*$|\*\*|^\s*[-*] \[.\] ", "", text)
    paragraphs = [p.strip() for p in re.split(r"\n{1,}", text)]
    return "\n".join(p for p in paragraphs if p and "Co-op Translator" not in p and "isclaimer" not in p)


def _clean_gutenberg(text: str) -> str:
    if "Gutenberg" in text or "Produced by" in text:
        return ""
    return _unwrap(re.sub(r"[_=*~]", "", re.sub(r"([Nn])~\s?([Gg])", r"\1\2", text)))


def _unwrap(text: str) -> str:
    """Join lines that were broken to fit a page; verses, which begin with capitals, stay as they are."""
    return re.sub(r"(?<=[^\n]{45})\n(?=[^\W\d_A-Z])", " ", text)


def _clean_libreoffice(text: str) -> str:
    text = text.split("Help content debug info:")[0]
    return "\n".join(line for line in text.split("\n") if line.strip() and "not found]" not in line)


def _clean_proverbs(text: str) -> str:
    """Without proverbs that have no explanation, and without those that name a people by a slur."""
    blocks = [block.strip() for block in text.split("\n\n")]
    return "\n\n".join(block for block in blocks if not re.search(r"(^|\n)null$|ကုလား", block))


CLEANERS: dict[str, Callable[[str], str]] = {
    "edgeai-for-beginners": _strip_markdown,
    "react-vi": _strip_markdown,
    "noli-me-tangere": _clean_gutenberg,
    "florante-at-laura": _clean_gutenberg,
    "libreoffice-help": _clean_libreoffice,
    "gnome-user-docs": _unwrap,
    "burmese-proverbs": _clean_proverbs,
}


def split_text(text: str, limit_bytes: int) -> list[str]:
    """Cut at blank lines, else at lines, else at sentence ends, else at spaces, into parts of at most `limit_bytes`."""
    parts = [text]
    for separator in (r"\n\s*\n", r"\n", r"(?<=[.!?。！？။។”」])\s*", r" "):
        if all(len(p.encode()) <= limit_bytes for p in parts):
            break
        parts = [piece for part in parts for piece in _split_at(part, separator, limit_bytes)]
    return parts


def _split_at(text: str, separator: str, limit_bytes: int) -> list[str]:
    if len(text.encode()) <= limit_bytes:
        return [text]
    glue = {r"\n\s*\n": "\n\n", r"\n": "\n", r" ": " "}.get(separator, " " if " " in text[:400] else "")
    pieces: list[str] = []
    size = 0
    for piece in re.split(separator, text):
        if not piece.strip():
            continue
        piece_bytes = len(piece.encode())
        if pieces and size + piece_bytes <= limit_bytes:
            pieces[-1] += glue + piece
        else:
            pieces.append(piece)
            size = 0
        size += piece_bytes + len(glue)
    return pieces


def is_in_language(text: str, language: str) -> bool:
    """Whether a part is hardly mixed with English: translated manuals keep many English sentences."""
    if language in SCRIPT_RANGES:
        native = len(re.findall(f"[{SCRIPT_RANGES[language]}]", text))
        latin = len(re.findall(r"[A-Za-z]", text))
        return native >= MIN_SCRIPT_SHARE * (native + latin) and native > 0
    if language == "en":
        return True
    words = re.findall(r"\w+", text.lower())
    return sum(word in ENGLISH_WORDS for word in words) <= MAX_ENGLISH_SHARE * len(words)


def prose_share(text: str, language: str) -> float:
    """Characters in long lines, among all: running prose scores near 1, lists of menu entries near 0."""
    least = PROSE_LINE_CHARACTERS[language in SPACED]
    lines = text.split("\n")
    return sum(len(line) for line in lines if len(line) >= least) / max(1, len(text))


def _joined_pages(rows: list[Row]) -> Iterator[tuple[str, str]]:
    """Pages of tldr are a few lines each: full pages by sixes; pages that only name an alias stay alone."""
    full = [row for row in rows if row["text"].count("\n- ") >= 2]
    for start in range(0, len(full), 6):
        group = full[start : start + 6]
        yield group[0]["id"], "\n\n".join(row["text"] for row in group)
    if len(full) < 10:  # Lao has hardly anything else
        yield from ((row["id"], row["text"]) for row in rows if row["text"].count("\n- ") < 2)


def read_parts(data: Path, language: str, sources: dict[str, Source]) -> dict[str, list[Part]]:
    """All usable parts of one language, by source name, in the pack's order."""
    by_pack: dict[str, list[Row]] = {}
    for row in read_rows(data / "docs" / f"{language}.jsonl.gz"):
        by_pack.setdefault(row["source"], []).append(row)
    found: dict[str, list[Part]] = {}
    for source in sources.values():
        rows = by_pack.get(source.pack, [])
        is_tldr = source.name == "tldr-pages"
        texts = _joined_pages(rows) if is_tldr else ((row["id"], row["text"]) for row in rows)
        least = 150 if is_tldr else MIN_PART_BYTES
        found[source.name] = [
            Part(f"{language}/{name}#{number}", name, text, source, language)
            for name, raw in texts
            if "/translation/" not in name
            for number, text in enumerate(_clean_parts(raw, source.name, language))
            if len(text.encode()) >= least and (is_tldr or is_in_language(text, language))
        ]
    return found


def _clean_parts(raw: str, source: str, language: str) -> list[str]:
    text = CLEANERS.get(source, str)(unicodedata.normalize("NFC", raw).replace("\r", ""))
    return [part.strip() for part in split_text(text.strip(), PART_BYTES[language in SPACED])]


def choose(parts: list[Part], budget_bytes: int, language: str, rng: random.Random) -> list[Part]:
    """The parts with most prose, in random order, up to the budget."""
    ranked = sorted(parts, key=lambda part: -round(prose_share(part.text, language), 2))
    pool: list[Part] = []
    size = 0
    for part in ranked:
        if size > SURPLUS * budget_bytes:
            break
        pool.append(part)
        size += part.bytes
    rng.shuffle(pool)
    chosen: list[Part] = []
    size = 0
    for part in pool:
        if size + part.bytes <= budget_bytes:
            chosen.append(part)
            size += part.bytes
    return chosen
