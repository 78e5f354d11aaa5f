"""Documents in, a token store out: for each language and tier flat arrays of tokens and of document ids.

    tokens/store.json              tokenizer fingerprint, fingerprints of the Parquet files, counts
    tokens/th.high.tokens.npy      every document as start token, text, end token; uint16 where the ids fit, else uint32
    tokens/th.high.offsets.npy     int64, where each document starts, and the total: documents + 1 numbers
    tokens/th.high.names.npy       uint8, the UTF-8 of all document ids, one after another
    tokens/th.high.name_offsets.npy  int64, where each id starts, and the total
    tokens/th.high.groups.npy      int64, tokens of each group of documents (see `stream`)

All arrays are memory-mapped, so a store may be larger than memory. Documents keep the order of their Parquet file.
Tokenising runs over row groups in parallel; a killed run redoes only the groups it had not finished. Text is encoded
without control tokens, so a page that quotes `</s>` cannot end a document.
"""

import functools
import itertools
import multiprocessing
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from seallm.train.sources import Documents, group_sums

STORE, PARTS = "store.json", ".parts"
ARRAYS = ("tokens", "offsets", "names", "name_offsets", "groups")
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
        self._arrays: dict[str, dict[str, NDArray[Any]]] = {}
        for name in sources:
            arrays = {kind: _load(_place(folder, name, kind)) for kind in ARRAYS}
            counts = found["sources"].get(name, {})
            sizes = {"tokens": len(arrays["tokens"]), "documents": len(arrays["offsets"]) - 1}
            ends = (arrays["offsets"][-1], arrays["groups"].sum(), len(arrays["name_offsets"]) - 1)
            if counts != sizes or ends != (sizes["tokens"], sizes["tokens"], sizes["documents"]):
                raise DataError(
                    f"The token store {folder} is damaged at {name}. Remove the folder and run the stage again"
                )
            self._arrays[name] = arrays
        self.tokens = {name: arrays["tokens"] for name, arrays in self._arrays.items()}
        self.offsets = {name: arrays["offsets"] for name, arrays in self._arrays.items()}
        files = [_place(folder, name, kind) for name in self._arrays for kind in ("tokens", "offsets")]
        self._sizes = {file: file.stat().st_size for file in files}

    def documents(self, source: str) -> Documents:
        """Lengths of a source's documents, as the stream reads them."""
        return Documents(self.offsets[source], self._arrays[source]["groups"])

    def lengths(self, source: str) -> NDArray[np.int64]:
        """Tokens of each document of a source."""
        return np.diff(self.offsets[source])

    def document_id(self, source: str, document: int) -> str:
        """The id of a document of a source, as the corpus has it."""
        start, stop = self._arrays[source]["name_offsets"][document : document + 2]
        return bytes(self._arrays[source]["names"][start:stop]).decode("utf-8")

    def segment(self, source: str, document: int, start: int, stop: int) -> Segment:
        """Tokens `start` to `stop` of a document; the target of the last is the document's next token, if any."""
        offsets = self.offsets[source]
        first, end = int(offsets[document]), int(offsets[document + 1])
        run = self.tokens[source][first + start : min(first + stop + 1, end)].astype(np.int64)
        targets = np.full(stop - start, IGNORED, np.int64)
        targets[: len(run) - 1] = run[1:]
        return Segment(run[: stop - start], targets, source.partition(".")[0])

    def check_files(self) -> None:
        """See that the mapped files are still there in full: reading a mapped file that was cut short kills a process.

        Raises:
            DataError: one is gone, or has another size than when it was opened.
        """
        for file, size in self._sizes.items():
            found = file.stat().st_size if file.is_file() else None
            if found != size:
                state = "is gone" if found is None else f"has {found:,} bytes"
                raise DataError(
                    f"{file} of the token store {state}; it had {size:,} bytes when training began. Bring it back, or "
                    f"remove {self.folder}; then run the stage again, which continues from its checkpoint"
                )


def _place(folder: Path, name: str, kind: str) -> Path:
    return folder / f"{name}.{kind}.npy"


def _load(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} of the token store cannot be read ({error}). Remove its folder and run again"
        ) from None
    return array


def is_built(folder: Path, documents: Mapping[str, Path], tokenizer: TokenizerMark) -> bool:
    """True where `folder` holds a store that has these files, made with this tokenizer."""
    if not (folder / STORE).is_file():
        return False
    found = read_json(folder / STORE)
    if found["tokenizer"] != tokenizer.fingerprint or not documents.keys() <= found["files"].keys():
        return False
    is_whole = all(_place(folder, name, kind).is_file() for name in documents for kind in ARRAYS)
    return is_whole and all(found["files"][name] == mark for name, mark in _marks(documents).items())


def _marks(documents: Mapping[str, Path]) -> dict[str, str]:
    marks = {}
    for name, path in documents.items():
        try:
            marks[name] = file_fingerprint(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}). Bring it back, or run its stage again") from None
    return marks


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
        raise DataError(
            f"{path} is not a readable Parquet file ({_one_line(error)}). Run the corpus stage again"
        ) from None
    runs: list[tuple[int, ...]] = []
    run: tuple[int, ...] = ()
    rows = 0
    for group in range(metadata.num_row_groups):
        run, rows = (*run, group), rows + metadata.row_group(group).num_rows
        if rows >= SHARD_ROWS:
            runs.append(run)
            run, rows = (), 0
    return [*runs, run] if run or not runs else runs


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _tokenise(shard: _Shard, result: Path) -> None:
    """Write a part: lengths of its documents, of their ids, all ids, all tokens."""
    if multiprocessing.parent_process() is not None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the pool already uses all cores
    start, end = shard.tokenizer.start_id, shard.tokenizer.end_id
    plain = _plain_text(shard.tokenizer.file)
    lengths: list[int] = []
    names: list[bytes] = []
    flat: list[NDArray[Any]] = []
    for batch in _read(shard):
        encoded = [[start, *ids, end] for ids in plain.encode_many(batch.column("text").to_pylist())]
        lengths += map(len, encoded)
        names += (name.encode() for name in batch.column("id").to_pylist())
        flat.append(np.fromiter(itertools.chain.from_iterable(encoded), shard.tokenizer.number_type))
    with atomic_writer(result) as writer:
        np.save(writer, np.array(lengths, np.int64))
        np.save(writer, np.fromiter(map(len, names), np.int64))
        np.save(writer, np.frombuffer(b"".join(names), np.uint8))
        np.save(writer, np.concatenate(flat) if flat else np.empty(0, shard.tokenizer.number_type))


def _read(shard: _Shard) -> Iterator[pa.RecordBatch]:
    """A shard's ids and texts.

    Raises:
        DataError: the file vanished, was cut short or is damaged.
    """
    try:
        file = pq.ParquetFile(shard.parquet)
        yield from file.iter_batches(ENCODE_DOCUMENTS, list(shard.row_groups), columns=["id", "text"])
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise DataError(
            f"{shard.parquet} cannot be read to its end ({_one_line(error)}). Bring it back or run the corpus "
            "stage again; what was tokenised is kept"
        ) from None


@functools.lru_cache(maxsize=1)
def _plain_text(tokenizer: Path) -> PlainText:
    return PlainText(PreTrainedTokenizerFast(tokenizer_file=str(tokenizer)))


def _join(folder: Path, name: str, parts: Sequence[Path]) -> dict[str, int]:
    """Put the parts of a source, one after another, into its arrays."""
    lengths = np.concatenate([_part(path, 0) for path in parts])
    name_lengths = np.concatenate([_part(path, 1) for path in parts])
    small = {"offsets": _offsets(lengths), "name_offsets": _offsets(name_lengths), "groups": group_sums(lengths)}
    for kind, number in (("names", 2), ("tokens", 3)):
        total = int(small["name_offsets" if kind == "names" else "offsets"][-1])
        with atomic_writer(_place(folder, name, kind)) as writer:
            header = {"descr": _part(parts[0], number).dtype.str, "fortran_order": False, "shape": (total,)}
            np.lib.format.write_array_header_1_0(writer, header)
            for path in parts:
                writer.write(_part(path, number).tobytes())
    for kind, array in small.items():
        with atomic_writer(_place(folder, name, kind)) as writer:
            np.save(writer, array)
    return {"documents": len(lengths), "tokens": int(lengths.sum())}


def _part(path: Path, number: int) -> NDArray[Any]:
    """The array of that number in a part."""
    with path.open("rb") as file:
        for _ in range(number):
            np.load(file)
        array: NDArray[Any] = np.load(file)
        return array


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
