"""Bits per byte on the corpus's held-out documents by language and tier, while a model is trained.

All documents count before training and after it. In between the first 20 kB of each language do, so that a measurement
stays cheap; such rows have `"full": false`. Every row has `sample_bits_per_byte` of these first documents alone, so
that all measurements of a run can be compared.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from seallm.base.errors import DataError
from seallm.model.plain_text import PlainText
from seallm.model.scoring import BitsPerByte, bits_per_byte

SAMPLE_BYTES = 20_000  # of each language, at least one document
ALL_TIERS = "all"


@dataclass(frozen=True)
class HeldOutText:
    """One held-out document.

    Attributes:
        tier: `high` or `low`; empty where the corpus does not say.
        is_sample: it is among the first of its language, which every measurement reads.
    """

    text: str
    tier: str
    is_sample: bool


@dataclass(frozen=True)
class HeldOut:
    """Held-out documents by language, in the order of the corpus."""

    documents: dict[str, list[HeldOutText]]


def read_held_out(corpus: Path, languages: Iterable[str]) -> HeldOut:
    """The held-out documents of the languages that have any.

    Raises:
        DataError: a file cannot be read.
    """
    documents = {}
    for language in languages:
        path = corpus / "held_out" / f"{language}.parquet"
        if path.is_file() and (found := _read(path)):
            documents[language] = found
    return HeldOut(documents)


def _read(path: Path) -> list[HeldOutText]:
    try:
        rows = pq.read_table(path, columns=["text", "tier"]).to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Run the corpus stage again") from None
    found, size = [], 0
    for row in rows:
        found.append(HeldOutText(row["text"], row["tier"] or "", size < SAMPLE_BYTES))
        size += len(row["text"].encode())
    return found


def measure_bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    held_out: HeldOut,
    max_sequence_tokens: int,
    *,
    full: bool,
) -> list[dict[str, Any]]:
    """A row for each language (`tier` is "all"), and one for each of its tiers where the corpus tells them.

    A row has `bits_per_byte`, the `documents` and `bytes` it was measured on, and `sample_bits_per_byte`.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        held_out: documents by language.
        max_sequence_tokens: longer documents are read in pieces of this length.
        full: all documents, or the sample.
    """
    model.eval()
    plain = PlainText(tokenizer)
    rows = []
    for language, documents in held_out.documents.items():
        parts: dict[tuple[str, bool], BitsPerByte] = {}
        for key in sorted({(d.tier, d.is_sample) for d in documents if full or d.is_sample}):
            texts = [d.text for d in documents if (d.tier, d.is_sample) == key]
            parts[key] = bits_per_byte(model, plain, texts, max_sequence_tokens)
        tiers = sorted({tier for tier, _ in parts if tier})
        for tier in (ALL_TIERS, *tiers):
            own = [(is_sample, part) for (t, is_sample), part in parts.items() if tier in (ALL_TIERS, t)]
            rows.append({"language": language, "tier": tier, **_figures(own), "full": full})
    return rows


def _figures(parts: list[tuple[bool, BitsPerByte]]) -> dict[str, Any]:
    whole = [part for _, part in parts]
    sample = [part for is_sample, part in parts if is_sample]
    return {
        "bits_per_byte": _mean(whole),
        "sample_bits_per_byte": _mean(sample) if sample else None,
        "documents": sum(part.documents for part in whole),
        "bytes": sum(part.bytes for part in whole),
    }


def _mean(parts: list[BitsPerByte]) -> float:
    return BitsPerByte(
        sum(part.bits for part in parts), sum(part.bytes for part in parts), sum(part.documents for part in parts)
    ).value


def sample_figures(rows: Iterable[dict[str, Any]]) -> dict[str | int, dict[str, float]]:
    """Bits per byte of the sample by step and language, from the rows of a log."""
    ordered = sorted((row for row in rows if row["tier"] == ALL_TIERS), key=lambda row: str(row["step"]))
    return {
        step: {row["language"]: row["sample_bits_per_byte"] for row in own}
        for step, own in itertools.groupby(ordered, key=lambda row: row["step"])
    }
