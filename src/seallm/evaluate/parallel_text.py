"""Parallel sentences in, bits per byte and tokens for the same meaning out, per language.

Bits per byte compare models with different tokenizers, which losses per token do not. Tokens for the same meaning are
given relative to English under the same tokenizer: how much more a speaker of the language waits and pays. `cost_rows`
says it in tokens and in seconds of this machine.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seallm.base.sampling import SamplingSettings
from seallm.canonical.repair import repair_line
from seallm.evaluate.layouts import find_files, read_sentences
from seallm.evaluate.token_engine import TokenEngine

RESAMPLES = 1_000
REFERENCE_LANGUAGE = "en"
FILES = ("test.{language}.txt", "{language}.txt", "test.{language}.jsonl", "dev.{language}.jsonl")
TIMED_TOKENS = 32
Row = dict[str, Any]


def read_parallel(folder: Path, languages: Sequence[str], limit: int | None) -> dict[str, list[str]]:
    """The first sentences of a folder in canonical text, by language.

    Args:
        folder: with `test.<language>.txt`, `<language>.txt`, or rows with a column `text` in `test.<language>.jsonl` or
            `dev.<language>.jsonl`.
        languages: codes.
        limit: sentences a language; None: all.

    Raises:
        DataError: a language has no file, or an empty one.
    """
    found = {}
    for code in languages:
        path = find_files(folder, [name.format(language=code) for name in FILES])[0]
        found[code] = [repair_line(sentence) for sentence in read_sentences(path) if sentence][:limit]
    return found


def parallel_rows(engine: TokenEngine, sentences: Mapping[str, Sequence[str]], seed: int) -> list[Row]:
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


def cost_rows(engine: TokenEngine, sentences: Mapping[str, Sequence[str]], seed: int) -> list[Row]:
    """What a sentence of the same meaning costs to write in each language.

    Returns:
        Rows of task "parallel": tokens_a_sentence, and seconds_to_write, which are its tokens times the seconds that
        the model takes for one here, alone and greedily: another machine has others, and each run a little.
    """
    seconds = _seconds_a_token(engine)
    rows = []
    for code, texts in sentences.items():
        tokens = np.array([len(engine.plain.encode(text)) for text in texts])
        row = _row(code, "tokens_a_sentence", tokens, np.ones(len(texts)), seed)
        rows += [row, {**row, "metric": "seconds_to_write", **{k: row[k] * seconds for k in ("value", "low", "high")}}]
    return rows


def _seconds_a_token(engine: TokenEngine) -> float:
    """Median time of a token that is written after a few others."""
    times = []
    for tokens in (4, TIMED_TOKENS, TIMED_TOKENS, TIMED_TOKENS):  # the first time, things are set up
        start = time.perf_counter()
        written = engine.write_ids([[engine.prefix_token_id]], SamplingSettings(tokens, temperature=0.0), (), 0)[0]
        times.append((time.perf_counter() - start) / len(written))
    return float(np.median(times[1:]))


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
