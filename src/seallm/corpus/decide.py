"""The columns of all documents in, the fate of each out: duplicate, held out, high or low.

All choices follow from figures, ids and settings, not from the number of workers. Columns are read through memory maps;
what is held at once is some ten bytes a document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seallm.base.runtime import Runtime
from seallm.corpus.columns import Columns
from seallm.corpus.duplicates import find_duplicates
from seallm.corpus.layout import DROPPED, EXACT_DUPLICATE, HELD_OUT, HIGH, LOW, NEAR_DUPLICATE, REASONS
from seallm.corpus.tiers import high_tier

KEPT_NAMES = {HIGH: "kept_high", LOW: "kept_low", HELD_OUT: "held_out"}


@dataclass(frozen=True)
class Choices:
    """The settings that decide, all of which `retier` can change.

    Attributes:
        high_sources: sources whose documents are of the high tier.
        high_share: of the other kept documents of a language, by quality.
        held_out_share: of all kept documents of a language.
        similarity: estimated Jaccard similarity of near duplicates.
        high_threshold: least score of the high tier, in place of `high_share`.
    """

    high_sources: tuple[str, ...]
    high_share: float
    held_out_share: float
    similarity: float
    high_threshold: float | None = None


def decide(columns: Columns, groups: Sequence[str], choices: Choices, work: Path, runtime: Runtime) -> None:
    """Find duplicates among the documents that no rule dropped, then part the rest into held out, high and low.

    Fills the columns `fate`, `tier` (of a held-out document that which it would have been of), `final_reason`,
    `representative` and `cluster_size`.
    """
    duplicates = find_duplicates(columns, choices.similarity, work, runtime)
    reasons = columns.read("reason").copy()
    reasons[duplicates.near] = NEAR_DUPLICATE
    reasons[duplicates.exact] = EXACT_DUPLICATE
    columns.save("final_reason", reasons)
    columns.save("representative", duplicates.representatives)
    columns.save("cluster_size", np.maximum(duplicates.cluster_sizes, 1))
    del duplicates
    group_of, fates = columns.read("group"), np.zeros(columns.total, np.int8)
    held_out_tiers = np.zeros(columns.total, np.int8)
    for group in range(len(groups)):
        members = np.flatnonzero((group_of == group) & (reasons == 0)).astype(np.uint32)
        draws = columns.read("final_id_hash")[members]
        held_out = _hold_out(draws, choices.held_out_share)
        fates[members[held_out]] = HELD_OUT
        rest = members[~held_out]
        quality, from_high = columns.read("quality")[rest], columns.read("high_source")[rest]
        if choices.high_threshold is None:
            high = high_tier(quality, from_high, draws[~held_out], choices.high_share)
        else:
            high = from_high.astype(np.bool_) | (quality >= choices.high_threshold)
        fates[rest] = np.where(high, HIGH, LOW)
        least = np.where(high & ~from_high.astype(np.bool_), quality, np.inf).min(initial=np.inf)
        own = members[held_out]
        would_be_high = columns.read("high_source")[own].astype(np.bool_) | (columns.read("quality")[own] >= least)
        held_out_tiers[own] = np.where(would_be_high, HIGH, LOW)
    columns.save("fate", fates)
    columns.save("tier", np.where(fates == HELD_OUT, held_out_tiers, fates))


def _hold_out(draws: npt.NDArray[np.uint64], share: float) -> npt.NDArray[np.bool_]:
    """Those whose id's hash falls below the share; one at least where there are two, or nothing can be measured."""
    chosen = draws.astype(np.float64) < share * 2.0**64
    if share > 0 and len(draws) > 1 and not chosen.any():
        chosen[draws.argmin()] = True
    return chosen


def count(columns: Columns, groups: Sequence[str]) -> dict[str, dict[str, int]]:
    """Documents read, dropped by reason, and kept, for each group."""
    group_of, fates, reasons = (columns.read(name) for name in ("group", "fate", "final_reason"))
    width = max(REASONS) + 1
    # one number for each combination, counted in a single pass
    cells = (group_of.astype(np.int32) * 4 + fates) * width + reasons
    table = np.bincount(cells, minlength=len(groups) * 4 * width).reshape(len(groups), 4, width)
    return {name: _funnel_row(table[place]) for place, name in enumerate(groups)}


def _funnel_row(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    row = {"read": int(counts.sum())}
    row |= {name: int(counts[DROPPED, reason]) for reason, name in sorted(REASONS.items()) if counts[DROPPED, reason]}
    return row | {name: int(counts[fate].sum()) for fate, name in KEPT_NAMES.items()}


def kept_documents(funnel: Mapping[str, Mapping[str, int]]) -> int:
    """Documents that are not dropped."""
    return sum(row[name] for row in funnel.values() for name in KEPT_NAMES.values())
