"""A user's tokenizer, documents and parallel sentences in, the folders that the vocab stage reads out.

Documents are a corpus that `seallm corpus build` wrote, or files of JSONL, Parquet or text, sorted by their field
`language` or `lang`, else by name (`th.jsonl.gz`, `th/news.txt`). Files that are no corpus yet are repaired on the way
(Unicode, zero-width spaces), as the corpus stage does; nothing else of it is done here.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.errors import DataError
from seallm.base.files import atomic_writer, file_fingerprint, files_under, read_json, write_json, write_text
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.canonical.repair import repair
from seallm.corpus.raw_records import RawDocument
from seallm.corpus.sources import read_documents
from seallm.parallel_folder import Parallel, read_parallel
from seallm.vocab.base_tokenizer import TOKENIZER_FILE
from seallm.vocab.extend import CONFIG_FILE, COPIED_FILES
from seallm.vocab.sentencepiece_extension import SENTENCEPIECE_FILE
from seallm.vocab.sentencepiece_file import PieceType, read_model
from seallm.vocab.tokenizer_places import OpenTokenizer

CERTIFICATE, TOKENS_ADDED = "certificate.json", "tokens_added.json"
LANGUAGE_FIELDS = ("language", "lang")
_DESCRIPTIONS = (*COPIED_FILES, CONFIG_FILE, "config.json", "generation_config.json")
_BATCH_DOCUMENTS = 1_000


def write_base(opened: OpenTokenizer, folder: Path) -> None:
    """Write a tokenizer as the base stage leaves one: `model/` with `tokenizer.json` and what describes it."""
    model = folder / "model"
    model.mkdir(parents=True)
    write_text(model / TOKENIZER_FILE, json.dumps(opened.document, ensure_ascii=False))
    for name in _DESCRIPTIONS:
        if (opened.folder / name).is_file():
            shutil.copyfile(opened.folder / name, model / name)
    if opened.sentencepiece:
        shutil.copyfile(opened.sentencepiece, model / SENTENCEPIECE_FILE)
        if not (model / CONFIG_FILE).is_file():
            write_json(model / CONFIG_FILE, _usual_tokens(opened.sentencepiece))


def _usual_tokens(model_file: Path) -> dict[str, str]:
    """The control tokens that a SentencePiece model names, for a base that has no settings beside it."""
    special = {p.text for p in read_model(model_file).pieces if p.type in (PieceType.CONTROL, PieceType.UNKNOWN)}
    usual = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return {name: token for name, token in usual.items() if token in special}


def recorded(folder: Path, name: str) -> Path | None:
    """What lies beside an extended tokenizer: in its folder, or above it where it is the `tokenizer/` of a stage."""
    return next((place / name for place in (folder, folder.parent) if (place / name).is_file()), None)


def recorded_languages(folder: Path) -> tuple[str, ...]:
    """Languages that an extended tokenizer was made for, the base language first.

    Raises:
        DataError: its certificate is not there.
    """
    certificate = recorded(folder, CERTIFICATE)
    if certificate is None:
        raise DataError(f"{folder} has no {CERTIFICATE} that names its languages; name them: --languages en,th")
    return tuple(read_json(certificate)["languages"])


def write_parallel(folder: Path, languages: Sequence[str], out: Path) -> dict[str, Parallel]:
    """Write canonical sentences as `dev.<language>.txt` and `test.<language>.txt`.

    Returns:
        The two halves.

    Raises:
        DataError: see `read_parallel`.
    """
    halves = {"dev": read_parallel(folder, "dev", languages), "test": read_parallel(folder, "test", languages)}
    for half, parallel in halves.items():
        for code, lines in parallel.canonical.items():
            write_text(out / f"{half}.{code}.txt", "\n".join(lines) + "\n")
    return halves


def is_corpus(folder: Path) -> bool:
    """True for what the corpus stage wrote."""
    return any((folder / "documents").glob("*.*.parquet"))


def corpus_fingerprint(place: Path) -> dict[str, str]:
    """SHA-256 of each file by its name."""
    root = place / "documents" if is_corpus(place) else place
    return {f"{n}/{path.name}": file_fingerprint(path) for n, path in enumerate(files_under(root))}


def write_corpus(place: Path, languages: Sequence[str], megabytes: float, folder: Path) -> Path:
    """A corpus folder: the place itself where it is one, else `folder`, written from the files there.

    Args:
        place: a corpus, a file, a folder or a glob.
        languages: codes of those wanted; documents of others are left out.
        megabytes: how much of each language is written (10^6 bytes of UTF-8).
        folder: where to write.

    Raises:
        DataError: nothing is there, or no document of a language is found.
    """
    if is_corpus(place):
        return place
    files = files_under(place)
    writers = {code: _LanguageFile(folder / "documents" / f"{code}.high.parquet", megabytes) for code in languages}
    for file in files:
        for code, text in _documents(file, languages):
            if code in writers and not writers[code].is_full:
                writers[code].add(repair(text))
            if all(writer.is_full for writer in writers.values()):
                break
    for writer in writers.values():
        writer.close()
    empty = [code for code, writer in writers.items() if not writer.size]
    if empty:
        names = " or ".join(f"`{name}`" for name in LANGUAGE_FIELDS)
        raise DataError(
            f"None of the {len(files)} files at {place} has a document in {', '.join(empty)}. Documents need a field "
            f"{names} with the code, or files must be named <language>.jsonl.gz; or leave these out with --languages"
        )
    return folder


class _LanguageFile:
    """Documents of one language, gathered up to a size and written as one table."""

    def __init__(self, path: Path, megabytes: float) -> None:
        self._path, self._limit, self.size = path, megabytes * 1e6, 0
        self._rows: list[dict[str, Any]] = []

    @property
    def is_full(self) -> bool:
        """True where nothing more is wanted."""
        return self.size >= self._limit

    def add(self, text: str) -> None:
        """Take one document."""
        self.size += len(text.encode("utf-8"))
        language = self._path.name.partition(".")[0]
        self._rows.append({"id": str(len(self._rows)), "text": text, "language": language, "tier": "high"})

    def close(self) -> None:
        """Write the table, if there is anything in it."""
        if self._rows:
            with atomic_writer(self._path) as file:
                table = pa.Table.from_pylist(self._rows, DOCUMENT_SCHEMA)
                pq.write_table(table, file, compression="zstd", row_group_size=_BATCH_DOCUMENTS)


def _documents(file: Path, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Language and text of each document of a file that can be read."""
    named = next((part for part in (file.name.split(".")[0], file.parent.name) if part in languages), None)
    columns = _language_columns(file)
    for record in read_documents(file, file.name, columns):
        if isinstance(record, RawDocument) and record.text:
            code = record.source if columns else named
            if code or named:
                yield code or named or "", record.text


def _language_columns(file: Path) -> Mapping[str, str]:
    """How a table's language reaches us: in the place of `source`; nothing where its documents name none."""
    return next(({"source": name} for name in LANGUAGE_FIELDS if _has_column(file, name)), {})


def _has_column(file: Path, name: str) -> bool:
    try:
        next(iter(read_documents(file, file.name, {"source": name})), None)
    except DataError:  # what the reader says of a table without that column
        return False
    return True
