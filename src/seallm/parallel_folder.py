"""A folder of parallel sentences in, the sentences out: raw, in canonical text, and what is wrong with them.

Canonical text is what the corpus stage makes of a document: Unicode repaired, Zawgyi converted, zero-width spaces gone.
A tokenizer that learned canonical text must be measured on it; raw text beside it shows what the repair spares.

Files are `dev.<language>.txt` and `test.<language>.txt`, or `<language>.txt` alone, which is then cut in two: the last
fifth of its sentences is the test half.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seallm.base.errors import DataError
from seallm.canonical.repair import repair_counted
from seallm.vocab.texts import parallel_sentences

Half = Literal["dev", "test"]
TEST_PARTS = 5  # of a file without halves, one in so many sentences is for testing
_NAME = re.compile(r"(?:(dev|test)\.)?([a-z]{2,3}(?:[-_][A-Za-z]+)?)\.txt")


@dataclass(frozen=True)
class Parallel:
    """The same sentences in several languages.

    Attributes:
        raw: as the files have them, by language.
        canonical: repaired.
        notes: what a reader should know, one line each: a wrong encoding, lost characters, zero-width spaces.
    """

    raw: dict[str, list[str]]
    canonical: dict[str, list[str]]
    notes: list[str]

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes, English first where it is there."""
        return tuple(self.raw)


def languages_in(folder: Path) -> tuple[str, ...]:
    """Codes of the languages that a folder has files of, English first, then by code.

    Raises:
        DataError: there is no such file.
    """
    names = [_NAME.fullmatch(path.name) for path in folder.glob("*.txt")] if folder.is_dir() else []
    codes = {match[2] for match in names if match}
    if not codes:
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:6]) if folder.is_dir() else "no such folder"
        raise DataError(f"{folder} holds no parallel sentences (found: {found or 'nothing'}). Expected <language>.txt")
    return tuple(sorted(codes, key=lambda code: (code != "en", code)))


def has_halves(folder: Path) -> bool:
    """True where the folder has a development and a test half."""
    return any(match[1] for path in folder.glob("*.txt") if (match := _NAME.fullmatch(path.name)))


def read_parallel(folder: Path, half: Half | None, languages: Sequence[str] = ()) -> Parallel:
    """Read one half, or everything where `half` is None.

    Args:
        folder: with the files.
        half: which; of files without halves, the first four fifths of the sentences or the last.
        languages: those wanted, the base language first; none: all that are there.

    Raises:
        DataError: a file is missing, not UTF-8, has an empty line, or is longer or shorter than the others.
    """
    codes = tuple(languages) or languages_in(folder)
    if has_halves(folder):
        raw = parallel_sentences(folder, half or "dev", codes)
        if half is None:
            rest = parallel_sentences(folder, "test", codes)
            raw = {code: raw[code] + rest[code] for code in codes}
    else:
        raw = {code: _cut(lines, half) for code, lines in parallel_sentences(folder, None, codes).items()}
    return repaired(raw)


def _cut(lines: list[str], half: Half | None) -> list[str]:
    if half is None:
        return lines
    at = len(lines) - max(1, len(lines) // TEST_PARTS)
    return lines[:at] if half == "dev" else lines[at:]


def repaired(raw: dict[str, list[str]]) -> Parallel:
    """Repair sentences line by line, and note what was found."""
    canonical, notes = {}, []
    for code, lines in raw.items():
        pairs = [repair_counted(line) for line in lines]
        canonical[code] = [text.replace("\n", " ") for text, _ in pairs]
        notes += _notes(code, lines, [counts for _, counts in pairs])
    return Parallel(raw, canonical, notes)


def _notes(code: str, lines: Sequence[str], counts: Sequence[Counter[str]]) -> list[str]:
    def share(name: str) -> float:
        return sum(bool(found[name]) for found in counts) / len(lines)

    notes = []
    if share("zawgyi_lines") > 0.01:
        notes.append(
            f"{code}: {share('zawgyi_lines'):.1%} of the lines are in the Zawgyi encoding, not Unicode. Figures on "
            "canonical text convert them; figures on raw text say nothing about Burmese"
        )
    if share("mojibake_lines") > 0.01:
        notes.append(f"{code}: {share('mojibake_lines'):.1%} of the lines were decoded in a wrong encoding")
    lost = sum("\ufffd" in line for line in lines) / len(lines)
    if lost > 0.01:
        notes.append(f"{code}: {lost:.1%} of the lines hold U+FFFD, so characters of them are lost")
    zero_width = sum(found["zero_width"] for found in counts)
    per_thousand = 1000 * zero_width / max(1, sum(map(len, lines)))
    if per_thousand > 1:
        notes.append(f"{code}: {per_thousand:.0f} zero-width spaces per 1,000 characters, which canonical text drops")
    return notes
