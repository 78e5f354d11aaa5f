"""Documents of a corpus in, a stream of packed rows and the batches of its steps out.

A language x tier is a source. Where a language has both tiers in a stream, each gets tokens in proportion to its size.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import DataError
from seallm.train.batches import TokenBatch, step_batch
from seallm.train.loop import StepBatch
from seallm.train.segments import IGNORED, Segment
from seallm.train.shares import SHARE_UNITS, Balance, in_units, language_of, language_shares, source_shares
from seallm.train.sources import Source
from seallm.train.store import TokenStore, build_store, is_built, tokenizer_mark
from seallm.train.stream import Part, PureStream, RowStream, TextStream

TOKENS, TOKENIZER = "tokens", "tokenizer"
RowLanguages = Literal["mixed", "pure"]


@dataclass(frozen=True, eq=False)
class TextRows:
    """The rows of a text stream as segments.

    Attributes:
        stream: where each row's pieces are.
        names: sources of the stream's parts.
        store: their tokens.
        isolate: documents of a row do not see each other; else a row is one run of text.
    """

    stream: RowStream
    names: Sequence[str]
    store: TokenStore
    isolate: bool = True

    def row(self, number: int) -> list[Segment]:
        """Segments of a row."""
        pieces = self.stream.row(number)
        segments = [self.store.segment(self.names[p.source], p.document, p.start, p.stop) for p in pieces]
        return segments if self.isolate else join_segments(segments, [piece.start == 0 for piece in pieces])

    def summary(self) -> dict[str, Any]:
        """Share and epochs of each source, for the manifest."""
        return {
            name: {
                "share": round(part.share / SHARE_UNITS, 4),
                "epochs": round((self.stream.stop(number) - part.start) / part.source.tokens, 3),
            }
            for number, (name, part) in enumerate(zip(self.names, self.stream.parts, strict=True))
        }


def join_segments(segments: Sequence[Segment], is_start: Sequence[bool]) -> list[Segment]:
    """Make one run of text of a row: positions go on, and the end of a document predicts the start of the next.

    Args:
        segments: of one row, in order.
        is_start: whether each begins with the first token of its document.
    """
    joined: list[Segment] = []
    place = 0
    for number, segment in enumerate(segments):
        targets = segment.targets
        is_followed = number + 1 < len(segments) and is_start[number + 1]
        if is_followed and targets[-1] == IGNORED:
            targets = np.append(targets[:-1], segments[number + 1].ids[0])
        joined.append(replace(segment, targets=targets, position=place))
        place += len(segment.ids)
    return joined


@dataclass(frozen=True, eq=False)
class TextBatches:
    """Batches of a text stream by step."""

    rows: TextRows
    rows_per_step: int
    device: torch.device

    def __call__(self, step: int) -> StepBatch[TokenBatch]:
        """The batch of a step, from 0."""
        self.rows.store.check_files()
        first = step * self.rows_per_step
        rows = [self.rows.row(number) for number in range(first, first + self.rows_per_step)]
        return step_batch(rows, self.rows.stream.row_tokens, self.device)


def document_files(corpus: Path, languages: Sequence[str], tiers: Sequence[str]) -> dict[str, Path]:
    """The corpus files of these languages and tiers that exist, by source name (`th.high`).

    Raises:
        DataError: there is none.
    """
    names = [f"{language}.{tier}" for language in languages for tier in tiers]
    files = {name: corpus / "documents" / f"{name}.parquet" for name in names}
    found = {name: path for name, path in files.items() if path.is_file()}
    if not found:
        raise DataError(
            f"{corpus / 'documents'} has no documents of {', '.join(languages)} in tiers {', '.join(tiers)}. Look at "
            f"{corpus / 'funnel.json'} to see why the corpus stage kept none"
        )
    return found


def open_store(
    context: StageContext,
    tokenizer: PreTrainedTokenizerFast,
    tiers: Sequence[str],
    more: Mapping[str, Path] | None = None,
) -> TokenStore:
    """Tokenise the corpus, or use the store of the stage that made the model, if of the same tokenizer and files.

    The tokenizer is written beside the store, for the processes that tokenise.

    Args:
        context: where the corpus is, and where the store goes.
        tokenizer: of the model that is trained.
        tiers: of the corpus.
        more: Parquet files of documents beside the corpus, by source name.
    """
    files = document_files(context.inputs["corpus"], context.languages, tiers) | dict(more or {})
    folder = context.out / TOKENS
    tokenizer.save_pretrained(str(folder / TOKENIZER))
    mark = tokenizer_mark(folder / TOKENIZER, tokenizer)
    earlier = context.inputs["model"] / TOKENS
    if is_built(earlier, files, mark):
        shutil.rmtree(folder)
        store = TokenStore(earlier, files, mark)
    else:
        with timed(context.timings, "tokenising_seconds"):
            store = build_store(folder, files, mark, context.runtime)
    context.counts["documents"] = {name: len(offsets) - 1 for name, offsets in store.offsets.items()}
    context.counts["tokens"] = {name: len(tokens) for name, tokens in store.tokens.items()}
    return store


def make_rows(
    name: str,
    store: TokenStore,
    sources: Mapping[str, tuple[Source, int]],
    balance: Balance,
    num_rows: int,
    row_tokens: int,
) -> TextRows:
    """A stream over sources that share their tokens as `balance` says.

    Args:
        name: names the stream's random choices.
        store: holds the sources' tokens.
        sources: by source name: the source, and the token of its sequence to start from.
        balance: how languages share the rows.
        num_rows: rows of the whole stream.
        row_tokens: length of a row.

    Raises:
        DataError: no source has a token.
    """
    tokens = {source_name: source.tokens for source_name, (source, _) in sources.items()}
    shares = source_shares(tokens, language_shares(tokens_by_language(tokens), balance))
    if not any(shares.values()):
        raise no_documents(name)
    return TextRows(make_stream(name, sources, shares, num_rows, row_tokens), [n for n in sources if tokens[n]], store)


def no_documents(name: str) -> DataError:
    """The error of a stream that has nothing to read."""
    return DataError(f"No documents to train on in {name!r}: all its languages and tiers are empty")


def make_stream(
    name: str,
    sources: Mapping[str, tuple[Source, int]],
    shares: Mapping[str, float],
    num_rows: int,
    row_tokens: int,
    row_languages: RowLanguages = "mixed",
) -> RowStream:
    """A stream over the sources that have a token, with these shares; arguments as in `make_rows`."""
    filled = {n: s for n, s in sources.items() if s[0].tokens}
    units = in_units([shares[source_name] for source_name in filled])
    parts = [Part(source, share, start) for (source, start), share in zip(filled.values(), units, strict=True)]
    seed = parts[0].source.seed
    if row_languages == "mixed":
        return TextStream(name, parts, num_rows, row_tokens, seed)
    return PureStream(name, parts, num_rows, row_tokens, seed, [language_of(source_name) for source_name in filled])


def tokens_by_language(tokens: Mapping[str, int]) -> dict[str, int]:
    """Tokens of each language, from those of its sources."""
    sums: dict[str, int] = {}
    for source_name, n in tokens.items():
        sums[language_of(source_name)] = sums.get(language_of(source_name), 0) + n
    return sums
