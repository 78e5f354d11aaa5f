"""Documents in, a token store out: for each language and tier one flat array of tokens and one of document offsets.

    tokens/store.json              tokenizer fingerprint, number type, counts
    tokens/th.high.tokens.npy      every document as start token, text, end token; uint16 where the ids fit, else uint32
    tokens/th.high.offsets.npy     int64, where each document starts, and the total: documents + 1 numbers

Both arrays are memory-mapped, so a store may be larger than memory. Documents keep the order of their Parquet file.
Tokenising runs over row groups in parallel; a killed run redoes only the groups it had not finished. Text is encoded
without control tokens, so a page that quotes `</s>` cannot end a document.
"""

import functools
import itertools
import multiprocessing
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import DataError
from seallm.base.files import atomic_writer, file_fingerprint, fingerprint, read_json, write_json
from seallm.base.runtime import Runtime
from seallm.base.shards import map_shards
from seallm.model.chat_format import document_start_id
from seallm.model.plain_text import PlainText
from seallm.train.segments import IGNORED, Segment

STORE, PARTS = "store.json", ".parts"
ENCODE_DOCUMENTS = 512  # texts encoded at once
SHARD_ROWS = 20_000  # documents of one shard, about


@dataclass(frozen=True)
class TokenizerMark:
    """A tokenizer as the store needs it.

    Attributes:
        file: its tokenizer.json.
        start_id: stands before every document.
        end_id: stands after every document.
        number_type: `uint16` where all ids fit, else `uint32`.
        fingerprint: changes with anything that can change an id.
    """

    file: Path
    start_id: int
    end_id: int
    number_type: str
    fingerprint: str


def tokenizer_mark(folder: Path, tokenizer: PreTrainedTokenizerFast) -> TokenizerMark:
    """Describe a tokenizer that is saved in `folder`.

    Raises:
        ModelError: the tokenizer has no end-of-sequence token.
    """
    start, end = document_start_id(tokenizer), int(tokenizer.eos_token_id)
    number_type = "uint16" if max(tokenizer.get_vocab().values()) < 2**16 else "uint32"
    file = folder / "tokenizer.json"
    return TokenizerMark(file, start, end, number_type, fingerprint([read_json(file), start, end]))


@dataclass(frozen=True)
class _Shard:
    source: str
    parquet: Path
    row_groups: tuple[int, ...]
    tokenizer: TokenizerMark


class TokenStore:
    """A finished store, memory-mapped.

    Attributes:
        folder: where it lies.
        tokens: all tokens of each source (`th.high`), (tokens,).
        offsets: where each document of a source starts, and the total, (documents + 1,).

    Raises:
        DataError: there is no store, it was made with another tokenizer, or a file is damaged.
    """

    def __init__(self, folder: Path, sources: Iterable[str], tokenizer: TokenizerMark) -> None:
        self.folder = folder
        found = read_json(folder / STORE)
        if found["tokenizer"] != tokenizer.fingerprint:
            raise DataError(
                f"The token store {folder} was made with another tokenizer than {tokenizer.file}. Remove the folder "
                "and run the stage again"
            )
        self.tokens: dict[str, NDArray[Any]] = {}
        self.offsets: dict[str, NDArray[np.int64]] = {}
        for name in sources:
            tokens, offsets = _load(folder / f"{name}.tokens.npy"), _load(folder / f"{name}.offsets.npy")
            if len(tokens) != found["sources"].get(name, {}).get("tokens") or int(offsets[-1]) != len(tokens):
                raise DataError(
                    f"The token store {folder} is damaged at {name}. Remove the folder and run the stage again"
                )
            self.tokens[name], self.offsets[name] = tokens, offsets

    def lengths(self, source: str) -> NDArray[np.int64]:
        """Tokens of each document of a source."""
        return np.diff(self.offsets[source])

    def segment(self, source: str, document: int, start: int, stop: int) -> Segment:
        """Tokens `start` to `stop` of a document; the target of the last is the document's next token, if any."""
        offsets = self.offsets[source]
        first, end = int(offsets[document]), int(offsets[document + 1])
        run = self.tokens[source][first + start : min(first + stop + 1, end)].astype(np.int64)
        targets = np.full(stop - start, IGNORED, np.int64)
        targets[: len(run) - 1] = run[1:]
        return Segment(run[: stop - start], targets, source.partition(".")[0])


def _load(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} of the token store cannot be read ({error}). Remove its folder and run again"
        ) from None
    return array


def is_built(folder: Path, documents: Mapping[str, Path], tokenizer: TokenizerMark) -> bool:
    """True where `folder` holds a store of just these files, made with this tokenizer."""
    if not (folder / STORE).is_file():
        return False
    found = read_json(folder / STORE)
    is_whole = all((folder / f"{name}.{kind}.npy").is_file() for name in documents for kind in ("tokens", "offsets"))
    return bool(is_whole and found["tokenizer"] == tokenizer.fingerprint and found["files"] == _marks(documents))


def _marks(documents: Mapping[str, Path]) -> dict[str, str]:
    return {name: file_fingerprint(path) for name, path in documents.items()}


def build_store(folder: Path, documents: Mapping[str, Path], tokenizer: TokenizerMark, runtime: Runtime) -> TokenStore:
    """Tokenise Parquet files of documents, or open the store where that is done.

    Args:
        folder: where the store lies or will lie.
        documents: Parquet files (DOCUMENT_SCHEMA) by source name, for example `th.high`.
        tokenizer: the tokenizer.
        runtime: `workers` processes tokenise.

    Raises:
        DataError: a Parquet file is missing or damaged.
    """
    if is_built(folder, documents, tokenizer):
        return TokenStore(folder, documents, tokenizer)
    marks = _marks(documents)
    parts = folder / PARTS / tokenizer.fingerprint[:16]
    shards: list[_Shard] = []
    places: list[Path] = []
    for name, path in documents.items():
        for number, groups in enumerate(_row_groups(path)):
            shards.append(_Shard(name, path, groups, tokenizer))
            places.append(parts / f"{name}.{marks[name][:16]}.{number:06d}.npy")
    map_shards(_tokenise, shards, places, "tokenising", runtime)
    (folder / STORE).unlink(missing_ok=True)
    sources = {}
    for name in documents:
        sources[name] = _join(folder, name, [p for s, p in zip(shards, places, strict=True) if s.source == name])
    write_json(folder / STORE, {"tokenizer": tokenizer.fingerprint, "files": marks, "sources": sources})
    shutil.rmtree(folder / PARTS)
    return TokenStore(folder, documents, tokenizer)


def _row_groups(path: Path) -> list[tuple[int, ...]]:
    """Row groups of a Parquet file in runs of about SHARD_ROWS documents; one empty run for an empty file."""
    try:
        metadata = pq.ParquetFile(path).metadata
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} is not a readable Parquet file ({error}). Run the corpus stage again") from None
    runs: list[tuple[int, ...]] = []
    run: tuple[int, ...] = ()
    rows = 0
    for group in range(metadata.num_row_groups):
        run, rows = (*run, group), rows + metadata.row_group(group).num_rows
        if rows >= SHARD_ROWS:
            runs.append(run)
            run, rows = (), 0
    return [*runs, run] if run or not runs else runs


def _tokenise(shard: _Shard, result: Path) -> None:
    """Write a part: first the lengths of its documents, then all their tokens."""
    if multiprocessing.parent_process() is not None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the pool already uses all cores
    start, end = shard.tokenizer.start_id, shard.tokenizer.end_id
    plain = _plain_text(shard.tokenizer.file)
    lengths: list[int] = []
    flat: list[NDArray[Any]] = []
    file = pq.ParquetFile(shard.parquet)
    for batch in file.iter_batches(ENCODE_DOCUMENTS, list(shard.row_groups), columns=["text"]):
        encoded = [[start, *ids, end] for ids in plain.encode_many(batch.column(0).to_pylist())]
        lengths += map(len, encoded)
        flat.append(np.fromiter(itertools.chain.from_iterable(encoded), shard.tokenizer.number_type))
    with atomic_writer(result) as writer:
        np.save(writer, np.array(lengths, np.int64))
        np.save(writer, np.concatenate(flat) if flat else np.empty(0, shard.tokenizer.number_type))


@functools.lru_cache(maxsize=1)
def _plain_text(tokenizer: Path) -> PlainText:
    return PlainText(PreTrainedTokenizerFast(tokenizer_file=str(tokenizer)))


def _join(folder: Path, name: str, parts: Sequence[Path]) -> dict[str, int]:
    """Copy the parts of a source, one after another, into its two arrays."""
    lengths = []
    for path in parts:
        with path.open("rb") as file:
            lengths.append(np.load(file))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    with atomic_writer(folder / f"{name}.tokens.npy") as writer:
        for number, path in enumerate(parts):
            with path.open("rb") as file:
                np.load(file)
                tokens = np.load(file)
            if number == 0:
                header = {"descr": tokens.dtype.str, "fortran_order": False, "shape": (int(offsets[-1]),)}
                np.lib.format.write_array_header_1_0(writer, header)
            writer.write(tokens.tobytes())
    with atomic_writer(folder / f"{name}.offsets.npy") as writer:
        np.save(writer, offsets)
    return {"documents": len(offsets) - 1, "tokens": int(offsets[-1])}
