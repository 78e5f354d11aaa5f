"""Checked conversations in, the stage that each goes to out: held out, hybrid, fine-tuning, or left over.

1. *Held out* is a share of the questions, by a hash of the question: none stands on both sides.
2. Of the hybrid languages (English: public data is mostly English and would drown the rest, paper section 4) a share of
   the questions goes to the *hybrid* stage.
3. *Fine-tuning* gets a balanced part of what is left: quotas first, then categories within each language, then
   languages, then the total by temperature.
4. What is over goes to the hybrid stage if its language is one of its own, and else stays in `left_over.jsonl`.

Which conversations of a cell (language and category) are taken is decided by a hash of seed and words: the result is
the same whatever the order of files and rows, and a larger total takes those of a smaller one and others.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seallm.base.balancing import capped_counts, parted, tempered_counts
from seallm.base.files import fingerprint
from seallm.recipe_instructions import Instructions

PARTS = ("hybrid", "sft", "held_out", "left_over")
HYBRID, SFT, HELD_OUT, LEFT_OVER = range(4)
Cells = dict[str, dict[str, int]]  # language -> category -> conversations
_DRAWS = 2.0**64


class Mixed(NamedTuple):
    """One row a conversation.

    Attributes:
        parts: number in PARTS, (n,).
        draws: the hash that decided, which is the order of the outputs, (n,).
    """

    parts: npt.NDArray[np.int8]
    draws: npt.NDArray[np.uint64]


def draw(values: npt.NDArray[np.uint64], salt: object) -> npt.NDArray[np.uint64]:
    """Hashes mixed with a salt: (n,) evenly spread, independent for different salts (SplitMix64's finaliser)."""
    mixed = values ^ np.uint64(int(fingerprint(["draw", salt])[:16], 16))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def mix(
    languages: Sequence[str],
    categories: Sequence[str],
    keys: npt.NDArray[np.uint64],
    questions: npt.NDArray[np.uint64],
    settings: Instructions,
    seed: int,
) -> Mixed:
    """Give each conversation its part.

    Args:
        languages: code of each of n conversations.
        categories: of each.
        keys: hash of its words and labels, (n,).
        questions: hash of its first question, (n,).
        settings: shares, caps and quotas.
        seed: decides what is taken.
    """
    draws = draw(keys, seed)
    parts = np.full(len(keys), SFT, np.int8)
    parts[_is_within(draw(questions, ["hybrid", seed]), settings.hybrid_share)] = HYBRID
    is_hybrid = np.isin(np.asarray(languages, dtype=object), settings.hybrid_languages)
    parts[(parts == HYBRID) & ~is_hybrid] = SFT
    parts[_is_within(draw(questions, ["held out", seed]), settings.held_out_share)] = HELD_OUT
    rows: dict[tuple[str, str], list[int]] = {}
    for row in np.flatnonzero(parts == SFT).tolist():
        rows.setdefault((languages[row], categories[row]), []).append(row)
    counts: Cells = {}
    for (language, category), members in sorted(rows.items()):
        counts.setdefault(language, {})[category] = len(members)
    taken = balance(counts, settings)
    for (language, category), members in rows.items():
        numbers = np.array(members)
        over = numbers[np.lexsort((keys[numbers], draws[numbers]))][taken[language][category] :]
        parts[over] = np.where(is_hybrid[over], HYBRID, LEFT_OVER)
    return Mixed(parts, draws)


def _is_within(draws: npt.NDArray[np.uint64], share: float) -> npt.NDArray[np.bool_]:
    """True for this share of evenly spread draws."""
    return np.asarray(draws < np.uint64(share * _DRAWS) if share < 1 else np.ones(len(draws)), np.bool_)


def balance(counts: Cells, settings: Instructions) -> Cells:
    """How many conversations of each cell fine-tuning takes."""
    quotas = settings.quotas
    cells = {
        language: {c: min(n, quotas.get(f"{language}.{c}", n)) for c, n in row.items()}
        for language, row in counts.items()
    }
    for category in sorted({c for row in cells.values() for c in row} & set(quotas)):
        cells = _limit_category(cells, category, quotas[category])
    cells = {
        language: _within(row, capped_counts(row, {}, settings.max_category_share)) for language, row in cells.items()
    }
    sizes = {language: sum(row.values()) for language, row in cells.items()}
    sizes = {language: min(n, quotas.get(language, n)) for language, n in sizes.items()}
    whole = {language: n for language, n in sizes.items() if n}
    sizes |= capped_counts(whole, settings.language_caps, settings.max_language_share)
    if settings.sft_conversations is not None:
        sizes = tempered_counts(sizes, settings.sft_conversations, settings.temperature)
    return {language: parted(row, sizes[language]) if sum(row.values()) else row for language, row in cells.items()}


def _limit_category(cells: Cells, category: str, most: int) -> Cells:
    """The cells with at most so many conversations of a category, its languages in their proportions."""
    having = {language: row[category] for language, row in cells.items() if row.get(category)}
    if sum(having.values()) <= most:
        return cells
    left = parted(having, most)
    return {
        language: {**row, **({category: left[language]} if language in left else {})} for language, row in cells.items()
    }


def _within(row: Mapping[str, int], capped: Mapping[str, int]) -> dict[str, int]:
    return {category: capped.get(category, 0) for category in row}


def mix_table(labels: Mapping[str, Sequence[str]], parts: npt.NDArray[np.int8]) -> list[dict[str, str | int]]:
    """One row for each combination of labels that occurs: conversations of each part and in all.

    Args:
        labels: of n conversations, by name: language, category and what else is told apart.
        parts: number in PARTS, (n,).
    """
    cells: dict[tuple[str, ...], list[int]] = {}
    for *own, part in zip(*labels.values(), parts.tolist(), strict=True):
        cells.setdefault(tuple(own), [0] * len(PARTS))[part] += 1
    return [
        {**dict(zip(labels, own, strict=True)), **dict(zip(PARTS, row, strict=True)), "all": sum(row)}
        for own, row in sorted(cells.items())
    ]
