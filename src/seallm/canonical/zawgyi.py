"""Burmese in the Zawgyi encoding in, Burmese in Unicode out.

Zawgyi is a font that gives the code points of Burmese other meanings (U+1039 is its visible killer, U+1031 stands
before its consonant, U+1060 to U+1097 are shapes), so its text cannot be told from Unicode by the block of its
characters. A Markov model over pairs of characters tells them apart, an idea of Google's myanmar-tools: the sum of
log P(next | this) in Zawgyi less the same in Unicode. Letters of Shan, Mon and Karen, which Zawgyi uses for shapes,
and the stacks of Pali count for nothing, so that texts in these languages are not taken for Zawgyi. The meanings of the
code points are those of the Zawgyi-One font, as the Unicode CLDR publishes them (transform Zawgyi-my).
"""

import functools
import re
from importlib import resources

import numpy as np
import numpy.typing as npt

SURE = 6.0  # log odds at which a line is judged by itself; lines with less follow their text
_FIRST, _LAST = 0x1000, 0x104F
_NEUTRAL = frozenset((0x1022, 0x1028, 0x1033, 0x1034, 0x1035))
_OUTSIDE = _LAST - _FIRST + 1
_SCALE = 10.0
CLASSES = _OUTSIDE + 2  # the code points, everything outside the script, and letters that tell nothing

_KINZI = "\u1004\u103a\u1039"
# shapes of Zawgyi -> what they mean; a kinzi comes first in its syllable, so it is marked by its place in the order
_MEANING = {
    "\u1033": "\u102f", "\u1034": "\u1030", "\u1039": "\u103a", "\u103a": "\u103b", "\u103b": "\u103c",
    "\u103c": "\u103d",
    "\u103d": "\u103e", "\u105a": "\u102b\u103a", "\u1060": "\u1039\u1000", "\u1061": "\u1039\u1001",
    "\u1062": "\u1039\u1002", "\u1063": "\u1039\u1003", "\u1064": _KINZI, "\u1065": "\u1039\u1005",
    "\u1066": "\u1039\u1006", "\u1067": "\u1039\u1006", "\u1068": "\u1039\u1007", "\u1069": "\u1039\u1008",
    "\u106a": "\u1009", "\u106b": "\u100a", "\u106c": "\u1039\u100b", "\u106d": "\u1039\u100c",
    "\u106e": "\u100d\u1039\u100d", "\u106f": "\u100d\u1039\u100e", "\u1070": "\u1039\u100f", "\u1071": "\u1039\u1010",
    "\u1072": "\u1039\u1010", "\u1073": "\u1039\u1011", "\u1074": "\u1039\u1011", "\u1075": "\u1039\u1012",
    "\u1076": "\u1039\u1013", "\u1077": "\u1039\u1014", "\u1078": "\u1039\u1015", "\u1079": "\u1039\u1016",
    "\u107a": "\u1039\u1017", "\u107b": "\u1039\u1018", "\u107c": "\u1039\u1019", "\u107d": "\u103b",
    **dict.fromkeys("\u107e\u107f\u1080\u1081\u1082\u1083\u1084", "\u103c"),
    "\u1085": "\u1039\u101c", "\u1086": "\u103f", "\u1087": "\u103e", "\u1088": "\u103e\u102f",
    "\u1089": "\u103e\u1030",
    "\u108a": "\u103d\u103e", "\u108b": _KINZI + "\u102d", "\u108c": _KINZI + "\u102e", "\u108d": _KINZI + "\u1036",
    "\u108e": "\u102d\u1036", "\u108f": "\u1014", "\u1090": "\u101b", "\u1091": "\u100f\u1039\u100d",
    "\u1092": "\u100b\u1039\u100c", "\u1093": "\u1039\u1018", "\u1094": "\u1037", "\u1095": "\u1037",
    "\u1096": "\u1039\u1010\u103d", "\u1097": "\u100b\u1039\u100b",
}  # fmt: skip
_MEANINGS = str.maketrans(_MEANING)
_BEFORE = "\u1031\u103b\u107e-\u1084"  # written before the consonant they belong to
_BASE = "\u1000-\u1021\u1023-\u102a\u103f\u1040-\u1049\u104e\u106a\u106b\u106e\u106f\u1086\u108f-\u1092\u1097"
_MARK = (
    "\u102b-\u1030\u1032-\u103a\u103c\u103d\u105a\u1060-\u1069\u106c\u106d\u1070-\u107d\u1085\u1087-\u108e\u1093-\u1096"
)
_SYLLABLE = re.compile(f"([{_BEFORE}]*)([{_BASE}])([{_MARK}]*)|[{_BEFORE}{_MARK}]")
_PIECE = re.compile(f"{_KINZI}|\u1039[\u1000-\u1021]|.", re.DOTALL)
_RANK = {
    mark: rank
    for rank, marks in enumerate(
        ("\u103b", "\u103c", "\u103d", "\u103e", "\u1031", "\u102d\u102e", "\u102f\u1030", "\u102b\u102c",
         "\u1032\u1036", "\u103a", "\u1037", "\u1038"),
        start=3,
    )
    for mark in marks
}  # fmt: skip
_SPELLINGS = (
    (re.compile("\u1025(?=\u1037?\u103a|\u102c)"), "\u1009"),
    (re.compile("\u1025\u102e"), "\u1026"),
    (re.compile("\u1005\u103b"), "\u1008"),  # these two letters were written with a medial for want of a shape
    (re.compile("\u101e\u103c\u1031\u102c\u103a"), "\u102a"),
    (re.compile("\u101e\u103c"), "\u1029"),
    (re.compile("[\u1044\u104e]\u1004\u103a\u1038"), "\u104e"),
    (re.compile("\u104e"), "\u104e\u1004\u103a\u1038"),
    # zero and seven are drawn like WA and RA
    (re.compile("(?<![\u1040-\u1049.,])\u1040(?=[\u102b-\u1032\u1036-\u103e])"), "\u101d"),
    (re.compile("(?<![\u1040-\u1049.,])\u1040(?=[\u1000-\u1021][\u1037\u103a\u1039])"), "\u101d"),
    (re.compile("(?<![\u1040-\u1049.,])\u1047(?=[\u102b-\u1032\u1036-\u103e])"), "\u101b"),
)


def zawgyi_log_odds(text: str) -> float:
    """How much more likely the text is in Zawgyi than in Unicode.

    Args:
        text: any text.

    Returns:
        Natural logarithm of the odds, 0.0 where nothing tells; above `SURE` it is Zawgyi, below `-SURE` Unicode.
    """
    return float(_line_log_odds([text])[0])


def zawgyi_lines(lines: list[str]) -> list[bool]:
    """Which lines of a text are Zawgyi; a text may hold both encodings, as comments under an article do.

    Args:
        lines: the lines of one text.

    Returns:
        True for lines that surely are, and for lines that lean to it in a text that surely is.
    """
    odds = _line_log_odds(lines)
    is_zawgyi: list[bool] = (odds > (0.0 if float(odds.sum()) > SURE else SURE)).tolist()
    return is_zawgyi


def converted_line(line: str) -> str | None:
    """A Zawgyi line in Unicode, or nothing where what comes out does not read as Unicode."""
    converted = to_unicode(line)
    return converted if zawgyi_log_odds(converted) <= 0.0 else None


def to_unicode(text: str) -> str:
    """Convert text that is known to be Zawgyi.

    Args:
        text: Burmese in Zawgyi; what is not Burmese in it stays as it is.

    Returns:
        The text in Unicode, marks in the order of Unicode Technical Note 11.
    """
    text = _SYLLABLE.sub(_syllable, text)
    for wrong, right in _SPELLINGS:
        text = wrong.sub(right, text)
    return text


def pair_classes(text: str) -> npt.NDArray[np.int64]:
    """The class of each character: its place in the block, outside the script, or a letter that tells nothing.

    Args:
        text: n characters.

    Returns:
        (n,) classes below `CLASSES`.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    places = np.clip(codes - (_FIRST - 1), 0, _classes().size - 1)
    classes, rows = _classes()[places], _pali_rows()[places]
    is_stack = (codes[1:-1] == 0x1039) & (rows[:-2] == rows[2:]) & (rows[2:] >= 0)
    classes[1:-1][is_stack] = classes[2:][is_stack] = _OUTSIDE + 1
    return classes


def _line_log_odds(lines: list[str]) -> npt.NDArray[np.float64]:
    """Sums of the pairs' log odds, a line each; line ends count as characters outside the script."""
    classes = pair_classes("\n" + "\n".join(lines) + "\n")
    odds = _pair_log_odds()[classes[:-1] * CLASSES + classes[1:]].astype(np.float64)
    starts = np.cumsum([0] + [len(line) + 1 for line in lines[:-1]])
    return np.add.reduceat(odds, starts) / _SCALE


@functools.cache
def _classes() -> npt.NDArray[np.int64]:
    """Classes of the code points from one before the block to one behind its extensions."""
    classes = np.full(0x10A0 - _FIRST + 2, _OUTSIDE + 1)
    classes[[0, -1]] = _OUTSIDE
    for code in range(_FIRST, _LAST + 1):
        classes[code - _FIRST + 1] = _OUTSIDE + 1 if code in _NEUTRAL else code - _FIRST
    return classes


@functools.cache
def _pali_rows() -> npt.NDArray[np.int64]:
    """The row of each consonant; letters of a row stack in Pali, where such a pair tells nothing."""
    rows = np.full(_classes().size, -1)
    for row, consonants in enumerate(("ကခဂဃင", "စဆဇဈဉည", "ဋဌဍဎဏ", "တထဒဓန", "ပဖဗဘမ", "လ", "သ", "ယ")):
        for consonant in consonants:
            rows[ord(consonant) - _FIRST + 1] = row
    return rows


@functools.cache
def _pair_log_odds() -> npt.NDArray[np.int8]:
    """(CLASSES * CLASSES,) log odds of every pair, in steps of 1 / `_SCALE`."""
    with resources.files("seallm.canonical").joinpath("burmese_pairs.npz").open("rb") as file, np.load(file) as arrays:
        odds: npt.NDArray[np.int8] = arrays["log_odds"]
    return odds


def _syllable(match: re.Match[str]) -> str:
    before, base, marks = match.groups()
    if base is None:
        return match.group().translate(_MEANINGS)
    base = base.translate(_MEANINGS)
    if not before and not marks:
        return str(base)
    pieces = _PIECE.findall((before + marks).translate(_MEANINGS))
    killed_first = "\u102d" not in pieces and ("\u102f" in pieces or "\u1030" in pieces)
    ranks = [_rank(piece, after, killed_first) for piece, after in zip(pieces, [*pieces[1:], ""], strict=True)]
    ordered = [piece for _, piece in sorted(zip(ranks, pieces, strict=True), key=_first)]
    kinzi = sum(rank == 0 for rank in ranks)
    return "".join([*ordered[:kinzi], base, *ordered[kinzi:]])


def _first(ranked: tuple[float, str]) -> float:
    return ranked[0]


def _rank(piece: str, following: str, killed_first: bool) -> float:
    if piece == _KINZI:
        return 0
    if len(piece) == 2:
        return 1
    # a killed consonant may carry a medial or a vowel below: "yaukya" (man), "kyanok" (I)
    return 2 if piece == "\u103a" and (killed_first or following == "\u103b") else _RANK.get(piece, 20)
