"""Corpus and parallel folders in, plain texts out, with every way in which they can be wrong named in one line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError

TIERS = ("high", "low")


def corpus_texts(corpus: Path, language: str, megabytes: float) -> Iterator[str]:
    """Documents of one language, high tier first, until `megabytes` (10^6 bytes of UTF-8) are read.

    Raises:
        DataError: the corpus has no document of the language, or a file is not a document table.
    """
    files = [corpus / "documents" / f"{language}.{tier}.parquet" for tier in TIERS]
    read_bytes = 0
    for path in files:
        for text in _table_texts(path) if path.is_file() else ():
            if read_bytes >= megabytes * 1e6:
                return
            read_bytes += len(text.encode("utf-8"))
            yield text
    if not read_bytes:
        raise DataError(
            f"The corpus has no text in {language!r} (looked in {files[0]} and {files[1].name}). Give the corpus stage "
            f"documents in {language!r}, or take it out of the recipe's languages"
        )


def _table_texts(path: Path) -> Iterator[str]:
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=256, columns=["text"]):
            yield from (text for text in batch.column("text").to_pylist() if text)
    except (pa.ArrowException, KeyError) as error:
        raise DataError(f"{path} is not a Parquet table of documents with a `text` column: {error}") from None


def parallel_sentences(folder: Path, half: str | None, languages: Sequence[str]) -> dict[str, list[str]]:
    """The same sentences in every language, from `<half>.<language>.txt`, one a line; without halves `<language>.txt`.

    Raises:
        DataError: a file is missing, not UTF-8, has an empty line, or is longer or shorter than the first language's.
    """
    names = {language: f"{half}.{language}.txt" if half else f"{language}.txt" for language in languages}
    sentences = {language: _lines(folder / name) for language, name in names.items()}
    first = languages[0]
    for language in languages:
        if len(sentences[language]) != len(sentences[first]):
            raise DataError(
                f"{folder / names[language]} has {len(sentences[language])} lines and {names[first]} has "
                f"{len(sentences[first])}. Parallel files need the same sentence on the same line of each"
            )
    return sentences


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        found = ", ".join(sorted(p.name for p in path.parent.glob("*.txt"))) or "no .txt file"
        raise DataError(
            f"{path} does not exist (found: {found}). [vocab] parallel needs one for each language"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.start} is {path.read_bytes()[error.start]:#04x}") from None
    lines = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"{path}:{number} is empty. Remove the line from the files of all languages")
    return lines
