"""UTF-8 that was read as Windows-1252 or Windows-874 in, the text it was out, lost bytes guessed from their neighbours.

Windows-1252 leaves the bytes 81 8D 8F 90 9D undefined, and many programs put U+FFFD in their place. Such text can be
mended all the same: each U+FFFD is one of five bytes, few of which make a character that occurs in the languages of
this project, and the characters around it tell which (trigrams with Dirichlet smoothing, MacKay and Peto 1995, and
the best path by Viterbi). Text that only quotes a few odd characters is left alone.
"""

import functools
import itertools
import math
import re
from importlib import resources
from typing import NamedTuple

import numpy as np

LOST = "\ufffd"
LOST_TWICE = "ï¿½"  # U+FFFD in text that went the same way again
_UNDEFINED = (0x81, 0x8D, 0x8F, 0x90, 0x9D)  # in Windows-1252
_MIN_SURE = 3  # sequences a line must hold to be judged by itself
_MIN_SURE_TEXT = 12  # and a text, to have all its lines judged together
_MAX_STRANGE_SHARE = 0.25  # other characters beyond ASCII, for each sequence
_SMOOTHING = 4.0  # times that the shorter context counts, as if it had been seen in the longer one
_BACKOFF = 0.2
_FIRST_IDEOGRAPHIC = "\u3000"
_WRONG_CASE = -6.0
_MAX_CANDIDATES = 8


def _windows_1252() -> dict[int, int]:
    """Characters -> the byte that Windows-1252 writes for them, where that is not their own number."""
    decoded = bytes(range(0x80, 0xA0)).decode("cp1252", "replace")
    return {ord(character): 0x80 + place for place, character in enumerate(decoded) if character != LOST}


_TO_BYTES = _windows_1252()
_CONTINUATION = f"[\x80-\xbf{LOST}]"
_SEQUENCE = re.compile(
    f"[\xc2-\xdf]{_CONTINUATION}|[\xe0-\xef]{_CONTINUATION}{{2}}|[\xf0-\xf4]{_CONTINUATION}{{3}}|\xc3 |\xe0\xb8 "
)
_CUT_AT_THE_END = re.compile(f"(?:\xc3|[\xe0-\xef]{_CONTINUATION})$")  # by a program that strips no-break spaces
_BEYOND_ASCII = re.compile("[^\x00-\x7f]")

# Thai in UTF-8 read as Windows-874: E0 B8 and E0 B9 are two Thai letters there
_THAI_TWICE = re.compile("\u0e40[\u0e18\u0e19][\x80-\xa0€…‘’“”•–—\u0e01-\u0e1f]")
_MIN_THAI_SHARE = 0.6


class _Groups(NamedTuple):
    """How often characters, and groups of two and three, occur; lower case."""

    one: dict[str, float]
    two: dict[str, float]
    three: dict[str, float]
    total: float


class _Line(NamedTuple):
    pieces: list[tuple[str, ...]]
    sequences: int
    sure: int
    strange: int


def mend_lossy_lines(lines: list[str]) -> list[str]:
    """Mend the lines that are UTF-8 read as Windows-1252.

    Args:
        lines: the lines of one text, with U+FFFD where a byte was lost.

    Returns:
        The lines, mended where nearly all of a line, or of the text, decodes.
    """
    parsed = [_parse(line) if _BEYOND_ASCII.search(line) else None for line in lines]
    found = [line for line in parsed if line is not None]
    sure, strange = sum(line.sure for line in found), sum(line.strange for line in found)
    whole_text = sure >= _MIN_SURE_TEXT and strange <= _MAX_STRANGE_SHARE * sure
    mended = list(lines)
    for place, line in enumerate(parsed):
        if line is None or not line.sequences:
            continue
        by_itself = line.sure >= _MIN_SURE and line.strange <= _MAX_STRANGE_SHARE * line.sure
        if by_itself or (whole_text and line.strange < line.sequences):
            mended[place] = _most_plausible(line.pieces)
    return mended


def mend_thai_windows_874(line: str) -> str:
    """Thai whose UTF-8 was read as Windows-874; other lines come back as they are."""
    found = _THAI_TWICE.findall(line)
    if len(found) < _MIN_SURE + 1 or 3 * len(found) < _MIN_THAI_SHARE * len(_BEYOND_ASCII.findall(line)):
        return line
    return _THAI_TWICE.sub(_from_windows_874, line)


def _from_windows_874(match: re.Match[str]) -> str:
    content = b"".join(c.encode("latin-1") if c <= "\xa0" else c.encode("cp874") for c in match.group())
    return content.decode("utf-8", "replace")


def _parse(line: str) -> _Line:
    """Cut a line into characters, and sequences of bytes with all they may have been."""
    text = line.translate(_TO_BYTES)
    if _CUT_AT_THE_END.search(text):
        text += "\xa0"
    pieces: list[tuple[str, ...]] = []
    sequences, sure, covered, end = 0, 0, 0, 0
    for match in _SEQUENCE.finditer(text):
        candidates = _candidates(match.group())
        if not candidates:
            continue
        pieces += [(character,) for character in line[end : match.start()]]
        pieces.append(candidates)
        end = match.end()
        sequences += 1
        covered += len(match.group().replace(" ", ""))
        sure += len(match.group()) > 2 or LOST not in match.group()
    pieces += [(character,) for character in line[end:]]
    added = len(text) - len(line)
    return _Line(pieces, sequences, sure, len(_BEYOND_ASCII.findall(line)) - covered + added * (end == len(text)))


@functools.lru_cache(maxsize=4096)
def _candidates(sequence: str) -> tuple[str, ...]:
    """The characters a sequence of bytes may have been that occur in the project's languages, frequent ones first."""
    if sequence.endswith(" "):  # a no-break space that became a space, or ran together with one
        whole = (sequence[:-1] + "\xa0").encode("latin-1").decode("utf-8")
        return (whole, whole + " ")
    known = _groups().one
    found = []
    for values in itertools.product(*(_UNDEFINED if c == LOST else (ord(c),) for c in sequence)):
        character = bytes(values).decode("utf-8", "ignore")  # nothing where the bytes are not UTF-8
        if known.get(character.lower()) or (LOST not in sequence and character > "\x9f"):
            found.append(character)
    return tuple(sorted(found, key=_commonness, reverse=True)[:_MAX_CANDIDATES])


def _commonness(character: str) -> tuple[float, str]:
    return _groups().one.get(character.lower(), 0.0) - (character != character.lower()), character


def _most_plausible(pieces: list[tuple[str, ...]]) -> str:
    """The best path through the candidates: Viterbi over the last two characters."""
    done: list[str] = []
    paths: dict[str, tuple[float, tuple[str, ...]]] = {"\n\n": (0.0, ())}
    for candidates in pieces:
        if len(paths) == 1 and len(candidates) == 1:
            (last, (_, path)) = next(iter(paths.items()))
            done.extend(path)
            done.append(candidates[0])
            paths = {(last + candidates[0])[-2:]: (0.0, ())}
            continue
        longer: dict[str, tuple[float, tuple[str, ...]]] = {}
        for last, (score, path) in paths.items():
            for candidate in candidates:
                new, context = score, last
                for character in candidate:
                    new += _log_probability(context, character)
                    context = context[-1] + character
                if context not in longer or new > longer[context][0]:
                    longer[context] = new, (*path, candidate)
        paths = longer
    _, best = max(paths.values(), key=_score)
    return "".join([*done, *best])


def _score(path: tuple[float, tuple[str, ...]]) -> float:
    return path[0]


def _log_probability(context: str, character: str) -> float:
    groups = _groups()
    small, before = character.lower(), context.lower()
    after_capitals = context[-1] != before[-1] and context[0] != before[0]
    is_capital = small != character
    is_wrong_case = context[-1].islower() if is_capital else after_capitals and character.upper() != character
    case = _WRONG_CASE if is_wrong_case else 0.0
    one = max(0.5, groups.one.get(small, 0.0)) / groups.total
    if small >= _FIRST_IDEOGRAPHIC or before[-1] >= _FIRST_IDEOGRAPHIC:  # of Chinese, only frequent pairs are known
        pair = groups.two.get(before[-1] + small)
        return math.log(pair / max(pair, groups.one.get(before[-1], 0.0)) if pair else _BACKOFF * one) + case
    two = (groups.two.get(before[-1] + small, 0.0) + _SMOOTHING * one) / (groups.one.get(before[-1], 0.0) + _SMOOTHING)
    seen = groups.two.get(before)
    if seen is None:
        return math.log(two) + case
    return math.log((groups.three.get(before + small, 0.0) + _SMOOTHING * two) / (seen + _SMOOTHING)) + case


@functools.cache
def _groups() -> _Groups:
    def table(name: str, order: int) -> dict[str, float]:
        numbers = np.cumsum(arrays[f"{name}_steps"].astype(np.uint64)).tolist()
        counts = (2.0 ** (arrays[f"{name}_logs"] / 10.0)).tolist()
        shifts = [16 * place for place in reversed(range(order))]
        return {
            "".join([chr(number >> shift & 0xFFFF) for shift in shifts]): count
            for number, count in zip(numbers, counts, strict=True)
        }

    with (
        resources.files("seallm.canonical").joinpath("character_groups.npz").open("rb") as file,
        np.load(file) as arrays,
    ):
        one, two, three = table("one", 1), table("two", 2), table("three", 3)
    one["\n"] = one.get(" ", 1.0)
    return _Groups(one, two, three, sum(one.values()))
