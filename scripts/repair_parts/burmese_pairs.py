"""Burmese in Unicode in; log odds of pairs of characters, Zawgyi against Unicode, out: `seallm.canonical.zawgyi`."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from repair_parts.texts import read_texts
from repair_parts.to_zawgyi import DOT, KILLER, to_zawgyi
from seallm.canonical.zawgyi import CLASSES, pair_classes

SOURCES = ("edgeai", "burmese-proverbs", "udhr")
SWAPPED_SHARE = 0.2  # the dot and the killer are typed in both orders
SMOOTHING = 0.3  # times that every pair counts as if it had been seen
MIN_COUNT = 3  # in one of the encodings, or the pair tells nothing
MAX_LOG_ODDS = 5.0
STEPS_PER_UNIT = 10  # as in seallm.canonical.zawgyi
OUTSIDE, NEUTRAL = CLASSES - 2, CLASSES - 1

Table = npt.NDArray[np.float64]  # (CLASSES, CLASSES): this character, the next


def pair_log_odds(data: Path) -> npt.NDArray[np.int8]:
    """Log odds of all pairs of classes.

    Args:
        data: folder that holds `my.jsonl.gz`.

    Returns:
        (CLASSES * CLASSES,) natural logarithms in steps of 1 / STEPS_PER_UNIT; positive where a pair speaks for Zawgyi.
    """
    texts = list(read_texts(data / "my.jsonl.gz", SOURCES))
    swapped = (text.replace(DOT + KILLER, KILLER + DOT) for text in texts)
    in_unicode = _count(texts) + SWAPPED_SHARE * _count(swapped)
    in_zawgyi = (1 + SWAPPED_SHARE) * _count(map(to_zawgyi, texts))  # as much as there is in Unicode
    odds = _log_probabilities(in_zawgyi) - _log_probabilities(in_unicode)
    odds[NEUTRAL, :] = odds[:, NEUTRAL] = odds[OUTSIDE, OUTSIDE] = 0
    odds[(in_unicode < MIN_COUNT) & (in_zawgyi < MIN_COUNT)] = 0
    return np.round(np.clip(odds, -MAX_LOG_ODDS, MAX_LOG_ODDS) * STEPS_PER_UNIT).astype(np.int8).ravel()


def _count(texts: Iterable[str]) -> Table:
    counts = np.zeros(CLASSES * CLASSES, np.int64)
    for text in texts:
        classes = pair_classes(f"\n{text}\n")
        counts += np.bincount(classes[:-1] * CLASSES + classes[1:], minlength=counts.size)
    return counts.reshape(CLASSES, CLASSES).astype(np.float64)


def _log_probabilities(counts: Table) -> Table:
    logs: Table = np.log((counts + SMOOTHING) / (counts.sum(1, keepdims=True) + SMOOTHING * CLASSES))
    return logs
