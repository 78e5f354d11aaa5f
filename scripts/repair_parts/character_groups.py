"""Texts in, counts of characters and of groups of two and three out: what `seallm.canonical.lossy_mojibake` guesses by.

Groups that hold no character that can lose a byte are of little use, so where a language has many they are left out.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from repair_parts.texts import read_texts

LOST_BYTES = b"\x81\x8d\x8f\x90\x9d\xa0"  # undefined in Windows-1252, and the no-break space that programs strip
CHARACTERS_EACH = 2_000_000  # every language counts as if its texts were that long
MIN_COUNT = 2  # of characters and pairs
STEPS_PER_DOUBLING = 10  # as in seallm.canonical.lossy_mojibake
BITS = 16  # of a character; others are left out


class Wanted(NamedTuple):
    """What is counted in a language, and how much of it is kept, the most frequent first."""

    sources: tuple[str, ...]  # beginnings of their names
    pairs: int
    triples: int
    min_triple_count: int = 2
    has_all_pairs: bool = True  # or only those with a character that can lose a byte
    has_all_triples: bool = False


WANTED = {
    "vi": Wanted(
        ("edgeai", "libreoffice", "gnome", "book", "vi.react", "udhr"), pairs=6000, triples=14000, has_all_triples=True
    ),
    "th": Wanted(("edgeai", "iapp", "tldr", "udhr"), pairs=6000, triples=9000, min_triple_count=3),
    "lo": Wanted(("tldr", "udhr"), pairs=4000, triples=6000),
    "km": Wanted(("edgeai", "libreoffice", "udhr"), pairs=6000, triples=9000, min_triple_count=3),
    "my": Wanted(("edgeai", "burmese-proverbs", "udhr"), pairs=6000, triples=9000),
    "zh": Wanted(
        ("edgeai", "libreoffice", "gnome", "book", "ebible", "tldr", "udhr"),
        pairs=22000,
        triples=0,
        has_all_pairs=False,
    ),
    "en": Wanted(("edgeai", "gnome"), pairs=1500, triples=500, min_triple_count=3),
}
Counts = Counter[str]
Weights = dict[str, float]


def character_groups(data: Path) -> dict[str, npt.NDArray[np.unsignedinteger]]:
    """Count the groups of all languages.

    Args:
        data: folder that holds a `<code>.jsonl.gz` for each language of WANTED.

    Returns:
        `one_steps`, `two_steps`, `three_steps`: from each group's number to the next, where the number holds 16 bits
        a character; `one_logs`, `two_logs`, `three_logs`: logarithms of their counts plus one, STEPS_PER_DOUBLING to 2.
    """
    totals: tuple[Weights, ...] = ({}, {}, {})
    for code, wanted in WANTED.items():
        counts = _count(data / f"{code}.jsonl.gz", wanted)
        scale = CHARACTERS_EACH / max(1, counts[0].total())
        for total, kept in zip(totals, _kept(counts, wanted), strict=True):
            for group, count in kept:
                total[group] = total.get(group, 0.0) + count * scale
    arrays: dict[str, npt.NDArray[np.unsignedinteger]] = {}
    for name, total, kind in zip(("one", "two", "three"), totals, (np.uint32, np.uint32, np.uint64), strict=True):
        steps, logs = _packed(total)
        arrays |= {f"{name}_steps": steps.astype(kind), f"{name}_logs": logs}
    return arrays


def _count(path: Path, wanted: Wanted) -> tuple[Counts, ...]:
    """Count characters, pairs and triples in lower case, every run of white space as one space."""
    counts: tuple[Counts, ...] = (Counter(), Counter(), Counter())
    for text in read_texts(path, wanted.sources):
        characters = re.sub(r"\s+", " ", text.lower())
        for length, of_length in enumerate(counts[: 3 if wanted.triples else 2], start=1):
            of_length.update(_groups(characters, length))
    return counts


def _groups(text: str, length: int) -> Iterator[str]:
    return map("".join, zip(*(text[start:] for start in range(length)), strict=False))


def _kept(counts: tuple[Counts, ...], wanted: Wanted) -> Iterator[list[tuple[str, int]]]:
    """The characters, pairs and triples that are frequent enough, with their counts."""
    ones, twos, threes = counts
    losing = frozenset(filter(_can_lose_a_byte, ones))
    yield [(group, count) for group, count in ones.items() if count >= MIN_COUNT]
    yield _most_frequent(twos, wanted.pairs, MIN_COUNT, None if wanted.has_all_pairs else losing)
    yield _most_frequent(threes, wanted.triples, wanted.min_triple_count, None if wanted.has_all_triples else losing)


def _most_frequent(counts: Counts, limit: int, min_count: int, needed: frozenset[str] | None) -> list[tuple[str, int]]:
    """The groups that hold one of the characters needed; of equally frequent ones, those seen first."""
    found = {
        group: count
        for group, count in counts.items()
        if count >= min_count and (needed is None or not needed.isdisjoint(group))
    }
    return Counter(found).most_common(limit)


def _can_lose_a_byte(character: str) -> bool:
    return any(byte in LOST_BYTES for byte in character.encode()[1:])


def _packed(counts: Weights) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Numbers of the groups, as steps from one to the next, and logarithms of the counts: both compress well."""
    known = {group: count for group, count in counts.items() if max(map(ord, group)) < 1 << BITS}
    numbers = np.array([_number(group) for group in known], np.uint64)
    logs = np.round(np.log2(1 + np.array(list(known.values()))) * STEPS_PER_DOUBLING)
    order = np.argsort(numbers)
    return np.diff(numbers[order], prepend=np.uint64(0)), np.minimum(logs, 255).astype(np.uint8)[order]


def _number(group: str) -> int:
    number = 0
    for character in group:
        number = number << BITS | ord(character)
    return number
