"""Padding, cropped tokens and cut documents of packers, on the token lengths of real documents in ten languages.

    seallm         the stream of the pretrain stage: best fit in blocks of 256 rows; what does not fit goes on elsewhere
    TRL bfd        best-fit decreasing; documents longer than a row are truncated (TRL's default)
    TRL bfd_split  the same; documents longer than a row are split first
    TRL wrapped    documents one after another, cut wherever a row ends; attention crosses documents
    crop           rows begin with a document; best fit from a buffer of 1,000, and where nothing fits the shortest
                   document is cropped to fill the row, its rest is lost (BOS-aligned best-fit cropping, as in nanochat)

A document is *cut* where it would fit a row whole and is not in one row whole.
"""

import bisect
import gzip
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training.tables import print_table
from seallm.model.plain_text import PlainText
from seallm.train.base import learn_tokenizer
from seallm.train.draws import random_generator
from seallm.train.shares import in_units
from seallm.train.sources import Documents, Source
from seallm.train.stream import PADDING_SHARE, Part, TextStream

DATA = Path("../shared/data/docs")
LANGUAGES = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")
ROW_TOKENS = (512, 2_048, 4_096)
BYTES_A_LANGUAGE = 1_500_000
VOCABULARY = 8_000
BUFFER = 1_000

Packed = list[list[tuple[int, int, int]]]  # rows of (document, from, to)


def token_lengths(data: Path) -> dict[str, list[int]]:
    """Tokens of the first documents of each language, with a byte-level BPE learned on them."""
    texts = {code: _texts(data / f"{code}.jsonl.gz") for code in LANGUAGES}
    tokenizer = learn_tokenizer([text[:2_000] for own in texts.values() for text in own], VOCABULARY)
    plain = PlainText(tokenizer)
    return {code: [len(ids) + 2 for ids in plain.encode_many(own)] for code, own in texts.items()}


def _texts(path: Path) -> list[str]:
    texts, size = [], 0
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            if size > BYTES_A_LANGUAGE:
                break
            texts.append(json.loads(line)["text"])
            size += len(texts[-1].encode())
    return texts


def pack_here(lengths: dict[str, list[int]], row_tokens: int) -> tuple[list[int], Packed]:
    """One epoch of the stream, and what the last row holds of the next: every language with the share of its tokens."""
    sources = [Source(code, Documents.of_lengths(np.array(own)), 0) for code, own in lengths.items()]
    total = sum(source.tokens for source in sources)
    units = in_units([source.tokens for source in sources])
    rows = int(total / row_tokens / (1 - 1 / PADDING_SHARE)) + 1
    stream = TextStream("packing", [Part(*both) for both in zip(sources, units, strict=True)], rows, row_tokens, 0)
    firsts = np.cumsum([0, *map(len, lengths.values())]).tolist()
    packed = [[(firsts[p.source] + p.document, p.start, p.stop) for p in stream.row(n)] for n in range(rows)]
    return [n for own in lengths.values() for n in own], packed


def pack_by_trl(documents: Sequence[int], row_tokens: int, strategy: str) -> Packed:
    """TRL's packer with its defaults; every token carries its document and place."""
    from datasets import Dataset, disable_progress_bars
    from trl.data_utils import pack_dataset

    disable_progress_bars()
    columns = {
        "document": [[number] * length for number, length in enumerate(documents)],
        "place": [list(range(length)) for length in documents],
    }
    packed = pack_dataset(Dataset.from_dict(columns), row_tokens, strategy)
    rows: Packed = []
    for row in packed:
        numbers, places = np.array(row["document"]), np.array(row["place"])
        breaks = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(places) != 1)) + 1
        edges = [0, *breaks.tolist(), len(numbers)]
        rows.append([(int(numbers[a]), int(places[a]), int(places[b - 1]) + 1) for a, b in itertools.pairwise(edges)])
    return rows


def pack_by_cropping(documents: Sequence[int], row_tokens: int) -> Packed:
    """Rows that begin with a document and are always full; what is cropped off is lost."""
    waiting: list[tuple[int, int]] = []  # (length, document), sorted
    coming = iter(enumerate(documents))
    rows: Packed = []
    while True:
        row: list[tuple[int, int, int]] = []
        room = row_tokens
        while room:
            while len(waiting) < BUFFER and (item := next(coming, None)) is not None:
                bisect.insort(waiting, (item[1], item[0]))
            if not waiting:
                break
            fitting = bisect.bisect_right(waiting, (room, len(documents)))
            length, document = waiting.pop(fitting - 1 if fitting else 0)
            row.append((document, 0, min(length, room)))
            room -= min(length, room)
        if not row:
            return rows
        rows.append(row)


def figures(documents: Sequence[int], rows: Packed, row_tokens: int, seconds: float) -> dict[str, float]:
    """Shares of padding among the room, of lost tokens among all, of cut documents among those that fit a row."""
    used: Counter[int] = Counter()
    pieces: Counter[int] = Counter()
    for row in rows:
        for document, start, stop in row:
            used[document] += stop - start
            pieces[document] += 1
    total = sum(used.values())
    fitting = [n for n, length in enumerate(documents) if length <= row_tokens and used[n]]
    cut = sum(pieces[n] > -(-used[n] // documents[n]) or used[n] < documents[n] for n in fitting)
    seen = sum(documents[n] for n in used)
    kept = sum(min(used[n], documents[n]) for n in used)
    return {
        "padding %": 100 * (1 - total / (len(rows) * row_tokens)),
        "lost tokens %": 100 * (1 - kept / seen),
        "cut though it fits %": 100 * cut / len(fitting),
        "documents a row": sum(pieces.values()) / len(rows),
        "rows a second": len(rows) / seconds,
    }


def run(data: Path = DATA) -> dict[str, Any]:
    """Pack the same documents with every packer at every row length, and print a table each."""
    by_language = token_lengths(data)
    everything = [n for own in by_language.values() for n in own]
    shuffled = [everything[i] for i in random_generator(0, "packing").permutation(len(everything))]
    packers: dict[str, Callable[[int], tuple[Sequence[int], Packed]]] = {
        "seallm": lambda row: pack_here(by_language, row),
        "TRL bfd": lambda row: (shuffled, pack_by_trl(shuffled, row, "bfd")),
        "TRL bfd_split": lambda row: (shuffled, pack_by_trl(shuffled, row, "bfd_split")),
        "TRL wrapped": lambda row: (shuffled, pack_by_trl(shuffled, row, "wrapped")),
        "crop": lambda row: (shuffled, pack_by_cropping(shuffled, row)),
    }
    results: dict[str, Any] = {"documents": len(everything), "tokens": sum(everything)}
    for row_tokens in ROW_TOKENS:
        found = {}
        for name, pack in packers.items():
            started = time.perf_counter()
            documents, rows = pack(row_tokens)
            found[name] = figures(documents, rows, row_tokens, time.perf_counter() - started)
        results[f"rows of {row_tokens}"] = found
        head = ("packer", *found["seallm"])
        lines = [(name, *(f"{value:,.2f}" for value in values.values())) for name, values in found.items()]
        print_table(
            head, lines, f"Rows of {row_tokens:,} tokens; {len(everything):,} documents, {sum(everything):,} tokens"
        )
    return results
