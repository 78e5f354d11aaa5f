"""A plain-Python reading of the statistics' definitions, and texts of all scripts to hold the kernels against it."""

import unicodedata
from collections import Counter
from typing import NamedTuple

from hypothesis import strategies as st

from seallm.corpus.characters import FIRST_UNSPACED, HAN, LAST_UNSPACED, MYANMAR, SCRIPTS, character_script
from seallm.corpus.ngrams import MinHash

MASK = 2**64 - 1
MULTIPLIER = 0x9E3779B97F4A7C15


class Expected(NamedTuple):
    totals: list[int]
    scripts: list[int]
    hash: int
    signature: list[int]
    listed: list[int]
    distinct: list[int]


def mix(value: int) -> int:
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & MASK
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def sequence_hash(items: list[int]) -> int:
    value = 0
    for item in items:
        value = (value * MULTIPLIER + item + 1) & MASK
    return mix(value)


def kind(character: str) -> str:
    """One letter: L(etter) M(ark) N(umber) Z (white space) P(unctuation) S(ymbol) F(ormat)."""
    if character in "\t\n\v\f\r\x85\u200b":
        return "Z"
    if ord(character) >= 0x20000:
        return "L" if ord(character) < 0x40000 else "S"
    category = unicodedata.category(character)
    return "F" if category == "Cf" else category[0] if category[0] in "LMNZP" else "S"


def lower(character: str) -> int:
    if kind(character) == "N":
        return ord("0")
    changed = character.lower()
    small = len(changed) == 1 and ord(character) < 0x20000 and kind(character) == "L"
    return ord(changed) if small else ord(character)


def cut_units(text: str) -> list[str]:
    """Words, or clusters in scripts without spaces."""
    units: list[str] = []
    is_open, is_cluster, tied = False, False, False
    for character in text:
        what = kind(character)
        if what == "F":
            continue
        base = what in "LN" and character not in "\u0e33\u0eb3" and not tied
        unspaced = what == "L" and FIRST_UNSPACED <= character_script(ord(character)) <= LAST_UNSPACED
        tied = character in "\u17d2\u1039"
        if what not in "LMN":
            is_open = False
        elif is_open and not (base and (unspaced or is_cluster)):
            units[-1] += character
        else:
            units.append(character)
            is_open, is_cluster = True, unspaced
    return units


def repetition(units: list[str], length: int, jump: bool) -> int:
    """Letters of the top n-gram, or of repeated n-grams that do not overlap."""
    if not jump:
        ngrams = [tuple(map(folded, units[i : i + length])) for i in range(len(units) - length + 1)]
        return max((n * sum(map(len, gram)) for gram, n in Counter(ngrams).items() if n > 1), default=0)
    seen, letters, i = set(), 0, 0
    while i <= len(units) - length:
        gram = tuple(map(folded, units[i : i + length]))
        if gram in seen:
            letters += sum(map(len, gram))
            i += length
        else:
            seen.add(gram)
            i += 1
    return letters


def folded(unit: str) -> tuple[int, ...]:
    return tuple(map(lower, unit))


def signature(units: list[str], length: int, minhash: MinHash) -> list[int]:
    hashes = [sequence_hash(list(folded(unit))) for unit in units]
    length = min(length, len(units))
    shingles = {sequence_hash(hashes[i : i + length]) >> 32 for i in range(len(units) - length + 1)} if units else set()
    pairs = zip(minhash.multipliers.tolist(), minhash.increments.tolist(), strict=True)
    return [min(((s * a + b) % 2**32 for s in shingles), default=2**32 - 1) for a, b in pairs]


def measure_plainly(text: str, lists: list[list[str]], minhash: MinHash) -> Expected:
    characters = [c for c in text if kind(c) not in "ZF"]
    letters = [c for c in characters if kind(c) in "LM"]
    scripts = Counter(character_script(ord(c)) for c in letters)
    unspaced = sum(scripts[s] for s in range(FIRST_UNSPACED, LAST_UNSPACED + 1))
    per_word = 1 if 2 * unspaced <= len(letters) else 2 if 2 * scripts[HAN] > unspaced else 4
    lines = ["".join(c for c in line if kind(c) not in "ZF") for line in text.split("\n")]
    lines = [line for line in lines if line]
    units = cut_units(text)
    totals = [
        len(characters),
        len(letters),
        sum(kind(c) == "S" for c in characters),
        characters.count("\ufffd"),
        len(units),
        sum(map(len, units)),
        len(lines),
        sum(map(len, lines)),
        sum(len(line) for i, line in enumerate(lines) if line in lines[:i]),
        repetition(units, 2 * per_word, jump=False),
        repetition(units, 10 * per_word, jump=True),
        len(units) // per_word,
    ]
    words = ["".join(map(chr, folded(unit))) for unit in units]
    return Expected(
        totals,
        [scripts[s] for s in range(len(SCRIPTS))],
        sequence_hash([ord(c) for c in characters]),
        signature(units, minhash.shingle_words * per_word, minhash),
        [sum(w in known for w in words) for known in lists],
        [len({w for w in words if w in known}) for known in lists],
    )


_ALPHABETS = (
    "abcXYZ éñßİſ",
    "việt Ữếđ",
    "กขคำเแโไ่้ิุ ็",
    "ກຂຄຳເແໂໄ່້ິຸ",
    "កខគ្រ្តាិុំះៗ។",
    "ကခဂ္ဂန်မြွှာိုးံ့။",
    "中文字𠀀々〇，。",
    "あいアｱー",
    "हिन्दी عربى русский",
    "0189٣๓ ១",
    "!?-_#@~$€😀\ufffd☃",
    "\n\t \u00a0\u3000\u200b\u2028",
    "\u200c\u200d\u0301\u00ad\U000e0041\ufe0f",
)
_pieces = st.one_of(*(st.text(alphabet, min_size=1, max_size=6) for alphabet in _ALPHABETS))
_words = st.lists(_pieces, min_size=1, max_size=5).flatmap(
    lambda words: st.lists(st.sampled_from([*words, " ", "\n", "the", "yang"]), max_size=60).map("".join)
)
texts = st.one_of(
    _words,
    st.lists(_pieces, max_size=30).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
)


def sign_weight(code: int) -> int:
    """How many halves of an English letter a letter or digit stands for."""
    return {HAN: 5, MYANMAR: 3}.get(character_script(code), 2)
