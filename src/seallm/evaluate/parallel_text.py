"""Parallel sentences in, bits per byte and tokens for the same meaning out, per language.

Bits per byte compare models with different tokenizers, which losses per token do not. Tokens for the same meaning are
given relative to English under the same tokenizer: how much more a speaker of the language waits and pays.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seallm.canonical.repair import repair_line
from seallm.evaluate.engine import Engine
from seallm.evaluate.layouts import read_sentences

RESAMPLES = 1_000
REFERENCE_LANGUAGE = "en"
Row = dict[str, Any]


def read_parallel(folder: Path, languages: Sequence[str], limit: int | None) -> dict[str, list[str]]:
    """The first sentences of `test.<language>.txt` in canonical text, by language.

    Raises:
        DataError: a language has no file, or an empty one.
    """
    return {
        code: [repair_line(s) for s in read_sentences(folder / f"test.{code}.txt") if s][:limit] for code in languages
    }


def parallel_rows(engine: Engine, sentences: Mapping[str, Sequence[str]], seed: int) -> list[Row]:
    """Measure one model on sentences by language.

    Returns:
        Rows of task "parallel": bits_per_byte, and tokens_relative_to_english where there is English.
    """
    tokens = {code: np.array([len(engine.plain.encode(s)) for s in texts]) for code, texts in sentences.items()}
    rows = []
    for code, texts in sentences.items():
        bits = np.array(engine.text_log_likelihoods(texts)) / -np.log(2)
        sizes = np.array([len(text.encode()) for text in texts])
        rows.append(_row(code, "bits_per_byte", bits, sizes, seed))
        reference = tokens.get(REFERENCE_LANGUAGE)
        if reference is not None and len(reference) == len(texts):
            rows.append(_row(code, "tokens_relative_to_english", tokens[code], reference, seed))
    return rows


def _row(code: str, metric: str, above: npt.NDArray[Any], below: npt.NDArray[Any], seed: int) -> Row:
    low, high = ratio_interval(above, below, seed)
    return {
        "task": "parallel",
        "language": code,
        "metric": metric,
        "value": float(above.sum() / below.sum()),
        "n": len(above),
        "low": low,
        "high": high,
        "chance": None,
    }


def ratio_interval(above: npt.NDArray[Any], below: npt.NDArray[Any], seed: int) -> tuple[float, float]:
    """95 % percentile interval of sum(above) / sum(below), resampling sentences, both halves together."""
    picks = np.random.default_rng(seed).integers(0, len(above), (RESAMPLES, len(above)))
    ratios = above[picks].sum(1) / below[picks].sum(1)
    return float(np.quantile(ratios, 0.025)), float(np.quantile(ratios, 0.975))
