"""Bits per byte on the corpus's held-out documents, language by language, while a model is trained.

All documents count before training and after it. In between the first 20 kB of each language do, so that a measurement
stays cheap; such rows have `"full": false`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from seallm.model.plain_text import PlainText
from seallm.model.scoring import bits_per_byte

SAMPLE_BYTES = 20_000  # of each language, at least one document


@dataclass(frozen=True)
class HeldOut:
    """Held-out texts by language, in the order of the corpus."""

    texts: dict[str, list[str]]

    def sample(self) -> "HeldOut":
        """The first documents of each language, about SAMPLE_BYTES of them."""
        return HeldOut({language: _first(texts) for language, texts in self.texts.items()})


def _first(texts: list[str]) -> list[str]:
    kept, size = [], 0
    for text in texts:
        if size >= SAMPLE_BYTES:
            break
        kept.append(text)
        size += len(text.encode())
    return kept


def read_held_out(corpus: Path, languages: Iterable[str]) -> HeldOut:
    """The held-out documents of the languages that have any."""
    texts = {}
    for language in languages:
        path = corpus / "held_out" / f"{language}.parquet"
        if path.is_file() and (found := pq.read_table(path, columns=["text"]).column("text").to_pylist()):
            texts[language] = found
    return HeldOut(texts)


def measure_bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    held_out: HeldOut,
    max_sequence_tokens: int,
    *,
    full: bool,
) -> list[dict[str, Any]]:
    """One row for each language: `bits_per_byte`, and the `documents` and `bytes` it was measured on.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        held_out: texts by language.
        max_sequence_tokens: longer documents are read in pieces of this length.
        full: all documents, or the sample.
    """
    model.eval()
    plain = PlainText(tokenizer)
    rows = []
    for language, texts in (held_out if full else held_out.sample()).texts.items():
        found = bits_per_byte(model, plain, texts, max_sequence_tokens)
        size = {"documents": found.documents, "bytes": found.bytes}
        rows.append({"language": language, "bits_per_byte": found.value, **size, "full": full})
    return rows
