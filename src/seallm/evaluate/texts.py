"""Any texts in, bits per byte of each language out: what a model needs to encode them, whatever its tokenizer is."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seallm.base.errors import DataError
from seallm.base.files import files_under, open_binary, parse_json_lines
from seallm.canonical.repair import repair
from seallm.evaluate.layouts import raw_rows
from seallm.evaluate.parallel_text import ratio_interval
from seallm.evaluate.token_engine import TokenEngine
from seallm.languages import known_languages

Row = dict[str, Any]
PACKED = (".gz", ".zst")


def read_texts(places: Sequence[Path], languages: Sequence[str] | None, limit: int | None) -> dict[str, list[str]]:
    """The first documents of each language, in canonical text.

    A `.txt` file is one document; JSON lines (also `.gz`, `.zst`), JSON, CSV and Parquet hold one a row, in `text`. The
    language is the row's `language` or `lang`, else a part of the file's name, as in `news.th.txt`; else it is "".

    Args:
        places: files and folders.
        languages: codes; others are left out. None: all.
        limit: documents a language; None: all.

    Raises:
        DataError: a file is missing or malformed, or there is no text.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for path in (path for place in places for path in files_under(place)):
        for where, language, text in _documents(path):
            wanted = languages is None or language in languages
            if not isinstance(text, str):
                raise DataError(f"{where}: 'text' is {text!r}; expected text")
            if wanted and text.strip() and (limit is None or len(found[language]) < limit):
                found[language].append(repair(text))
    texts = {language: some for language, some in found.items() if some}
    if not texts:
        raise DataError(f"{', '.join(map(str, places))}: there is no text in the languages that are asked for")
    return texts


def _documents(path: Path) -> Iterator[tuple[str, str, object]]:
    """(place, language, text) of each document of a file."""
    parts = [part for part in path.name.split(".") if part in known_languages()]
    of_file = parts[-1] if parts else ""
    inner = path.with_suffix("") if path.suffix in PACKED else path
    if inner.suffix == ".txt":
        with open_binary(path) as file:
            try:
                yield str(path), of_file, file.read().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise DataError(f"{path} is not UTF-8 text: {error}") from None
        return
    for where, row in _json_lines(path) if inner.suffix == ".jsonl" else raw_rows(path):
        yield where, str(row.get("language") or row.get("lang") or of_file), row.get("text")


def _json_lines(path: Path) -> Iterator[tuple[str, Row]]:
    with open_binary(path) as file:
        for number, row in parse_json_lines(file, str(path)):
            if isinstance(row, DataError):
                raise row
            yield f"{path}:{number}", row


def text_rows(engine: TokenEngine, texts: Mapping[str, Sequence[str]], seed: int) -> list[Row]:
    """Rows of task "text": bits_per_byte by language; its interval is of documents drawn again."""
    rows = []
    for language, some in sorted(texts.items()):
        bits = np.array(engine.text_log_likelihoods(some)) / -np.log(2)
        sizes = np.array([len(text.encode()) for text in some])
        low, high = ratio_interval(bits, sizes, seed)
        row = {"task": "text", "language": language, "metric": "bits_per_byte", "n": len(some), "chance": None}
        rows.append({**row, "value": float(bits.sum() / sizes.sum()), "low": low, "high": high})
    return rows
