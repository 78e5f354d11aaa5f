"""Fragments of bad text in, low-quality documents out, so that a corpus has two tiers to tell apart."""

import gzip
import random
import re
import unicodedata
from pathlib import Path

from sample_parts.sources import Part, Row, Source

DOCUMENTS = 14
LINES = 22
COARSE_THAI = re.compile("กู|มึง|แดก|เหี้ย|เชี่ย|ควย|สัส|ห่า|ตาแหก|เย็ด|แม่ง|ไอ้|อี")
# Code points and orders that only the Zawgyi encoding of Burmese has.
NOT_UNICODE = re.compile("[ၠ-႟]|(^|[^က-ဪျ-ှဿ])ေ|ေ[ျ-ှ]|်[ါ-ဲ]|္(?![က-အ])")
TESSERACT = ("km", "lo", "my", "th")


def noisy_rows(
    data: Path, language: str, parts: list[Part], sources: dict[str, Source], rng: random.Random
) -> list[Row]:
    """Fourteen documents a language: shuffled fragments, social posts, or torn pieces of left-over parts."""
    rows = []
    for number in range(DOCUMENTS):
        if language in TESSERACT and not (language == "th" and number % 2):
            source, lines = sources["tesseract-langdata"], _tesseract(data, language)
        elif language == "th":
            source, lines = sources["wisesight-sentiment"], _posts(data)
        else:
            source, lines = _fragments(parts, rng)
        text = unicodedata.normalize("NFC", "\n".join(rng.sample(lines, min(LINES, len(lines)))))
        labels = {"source": "noisy", "origin": source.name, "url": source.link, "licence": source.licence}
        rows.append({"id": f"{language}/noisy#{number}", "text": text, **labels})
    return rows


def _read(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.strip() for line in lines]


def _tesseract(data: Path, language: str) -> list[str]:
    lines = _read(data / "docs_noisy" / f"{language}.tesseract.txt.gz")
    return [line for line in lines if 15 <= len(line) <= 90 and not (language == "my" and NOT_UNICODE.search(line))]


def _posts(data: Path) -> list[str]:
    lines = _read(data / "docs_noisy" / "th.wisesight.txt.gz")
    return [line for line in lines if 25 <= len(line) <= 160 and not COARSE_THAI.search(line) and "@" not in line]


def _fragments(parts: list[Part], rng: random.Random) -> tuple[Source, list[str]]:
    """Torn pieces of left-over parts of one source, a piece a line."""
    source = rng.choice(parts).source
    texts = [part.text.replace("\n", " ") for part in parts if part.source == source]
    lines = []
    for text in rng.sample(texts, min(6, len(texts))):
        longest = 55 if " " in text[:200] else 16
        for _ in range(8):
            start = rng.randrange(max(1, len(text) - longest))
            lines.append(text[start : start + rng.randrange(longest // 3, longest)].strip())
    return source, [line for line in lines if line]
