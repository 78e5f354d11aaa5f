"""Aligned sentences in, documents of translations out, as one more source of pre-training.

A document holds a few sentences of one language pair, base language and another, each with its translation, in one
direction; every sentence comes in both directions:

    English: The library opens at nine.
    ไทย: ห้องสมุดเปิดเก้าโมง

Only the `dev` half of a folder is read: the `test` half is what vocabulary and model are measured on.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import atomic_writer
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.canonical.repair import repair_line
from seallm.languages import load_language
from seallm.train.shares import PAIRS

SOURCE = f"{PAIRS}.pairs"
HALF = "dev"
SENTENCES = 4  # of one document: enough to see what is asked, short enough for a row


def write_pair_documents(folder: Path, languages: Sequence[str], path: Path) -> None:
    """Write the documents of a folder with `dev.<language>.txt`, the same sentences in every language, one a line.

    Args:
        folder: the aligned files; a language without one is left out.
        languages: the base language first.
        path: the Parquet file to write (DOCUMENT_SCHEMA).

    Raises:
        DataError: the base language's file or all others are missing, or a file is not UTF-8 or of another length.
    """
    sentences = {code: lines for code in languages if (lines := _lines(folder / f"{HALF}.{code}.txt")) is not None}
    base, others = languages[0], [code for code in languages[1:] if code in sentences]
    if base not in sentences or not others:
        raise DataError(
            f"[pretrain] parallel: {folder} needs {HALF}.{base}.txt and {HALF}.<language>.txt of at least one language "
            f"more. Found: {', '.join(sorted(p.name for p in folder.glob('*.txt'))) or 'no .txt file'}"
        )
    for code in others:
        if len(sentences[code]) != len(sentences[base]):
            raise DataError(
                f"{folder / HALF}.{code}.txt has {len(sentences[code])} lines and {HALF}.{base}.txt has "
                f"{len(sentences[base])}. Aligned files need the same sentence on the same line of each"
            )
    rows = []
    for code in others:
        for source, target in ((base, code), (code, base)):
            for start, text in _documents(source, target, sentences[source], sentences[target]):
                rows.append({"id": f"{HALF}.{source}-{target}:{start + 1}", "text": text, "language": PAIRS})
    with atomic_writer(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_SCHEMA), file, compression="zstd")


def _documents(source: str, target: str, first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Documents of one direction, each with the number of its first line, from 0."""
    names = [load_language(code).native_name for code in (source, target)]
    for start in range(0, len(first), SENTENCES):
        pairs = zip(first[start : start + SENTENCES], second[start : start + SENTENCES], strict=True)
        blocks = [f"{names[0]}: {a}\n{names[1]}: {b}" for a, b in pairs if a.strip() and b.strip()]
        if blocks:
            yield start, "\n\n".join(blocks)


def _lines(path: Path) -> list[str] | None:
    if not path.is_file():
        return None
    try:
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.start} cannot be read") from None
    return [repair_line(line) for line in lines]
