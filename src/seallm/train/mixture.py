"""Tokens on hand and the wishes of a recipe in, streams of packed rows out.

A language x tier is a source with one order of its own for the whole stage. Each part of the curriculum continues a
source where the part before stopped. A part of the high tier alone, after others that used it, is a replay: it takes
the high documents that were seen, shuffled anew (paper, section 3). Where a language has both tiers in a part, each
gets tokens in proportion to its size.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import DataError
from seallm.recipe_training import Mixture
from seallm.train.batches import TokenBatch, rows_per_step, step_batch
from seallm.train.loop import StepBatch
from seallm.train.segments import Segment
from seallm.train.store import TokenStore, build_store, is_built, tokenizer_mark
from seallm.train.stream import SHARE_UNITS, Part, Source, TextStream, in_units, language_shares

TOKENS, TOKENIZER = "tokens", "tokenizer"


@dataclass(frozen=True)
class Balance:
    """How a stream divides its tokens among languages."""

    base_language: str
    base_language_share: float
    temperature: float


@dataclass(frozen=True, eq=False)
class TextRows:
    """The rows of a text stream as segments."""

    stream: TextStream
    names: Sequence[str]
    store: TokenStore

    def row(self, number: int) -> list[Segment]:
        """Segments of a row."""
        return [self.store.segment(self.names[p.source], p.document, p.start, p.stop) for p in self.stream.row(number)]

    def summary(self) -> dict[str, Any]:
        """Share and epochs of each source, for the manifest."""
        return {
            name: {
                "share": round(part.share / SHARE_UNITS, 4),
                "epochs": round((self.stream.stop(number) - part.start) / part.source.tokens, 3),
            }
            for number, (name, part) in enumerate(zip(self.names, self.stream.parts, strict=True))
        }


@dataclass(frozen=True, eq=False)
class TextBatches:
    """Batches of a text stream by step."""

    rows: TextRows
    rows_per_step: int
    device: torch.device

    def __call__(self, step: int) -> StepBatch[TokenBatch]:
        """The batch of a step, from 0."""
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


def open_store(context: StageContext, tokenizer: PreTrainedTokenizerFast, tiers: Sequence[str]) -> TokenStore:
    """Tokenise the corpus, or use the store of the stage that made the model, if of the same tokenizer and files.

    The tokenizer is written beside the store, for the processes that tokenise.
    """
    files = document_files(context.inputs["corpus"], context.languages, tiers)
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
    filled = {n: s for n, s in sources.items() if s[0].tokens}
    by_language: dict[str, int] = {}
    for source_name, (source, _) in filled.items():
        language = source_name.partition(".")[0]
        by_language[language] = by_language.get(language, 0) + source.tokens
    shares = language_shares(by_language, balance.base_language, balance.base_language_share, balance.temperature)
    if not shares:
        raise DataError(f"No documents to train on in {name!r}: all its languages and tiers are empty")
    languages = [n.partition(".")[0] for n in filled]
    weights = [
        shares.get(lang, 0.0) * s.tokens / by_language[lang]
        for lang, (s, _) in zip(languages, filled.values(), strict=True)
    ]
    parts = [
        Part(source, share, start) for (source, start), share in zip(filled.values(), in_units(weights), strict=True)
    ]
    seed = parts[0].source.seed
    return TextRows(TextStream(name, parts, num_rows, row_tokens, seed), list(filled), store)


def curriculum(
    mixtures: Sequence[Mixture], store: TokenStore, balance_base: str, seed: int, row_tokens: int, batch_tokens: int
) -> list[TextRows]:
    """The rows of each part of pre-training, in order."""
    sources = {name: Source(name, store.lengths(name), seed) for name in store.tokens}
    reached = dict.fromkeys(sources, 0)
    parts = []
    per_step = rows_per_step(batch_tokens, row_tokens)
    for number, mixture in enumerate(mixtures):
        names = [n for n in sources if n.partition(".")[2] in mixture.tiers]
        is_replay = set(mixture.tiers) == {"high"} and any("high" in m.tiers for m in mixtures[:number])
        chosen = {n: (sources[n].seen(reached[n]), 0) if is_replay else (sources[n], reached[n]) for n in names}
        balance = Balance(balance_base, mixture.base_language_share, mixture.temperature)
        steps = max(1, round(mixture.tokens / (per_step * row_tokens)))
        rows = make_rows(f"{number} {mixture.name}", store, chosen, balance, steps * per_step, row_tokens)
        if not is_replay:
            reached |= {name: rows.stream.stop(i) for i, name in enumerate(rows.names)}
        parts.append(rows)
    return parts
