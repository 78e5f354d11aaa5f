import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.corpus import characters as c
from tests.corpus.reference import cut_units, kind, lower

_NAMES = {
    "LATIN ": c.LATIN,
    "THAI CHARACTER": c.THAI,
    "LAO ": c.LAO,
    "KHMER ": c.KHMER,
    "MYANMAR ": c.MYANMAR,
    "CJK UNIFIED IDEOGRAPH": c.HAN,
    "CJK COMPATIBILITY IDEOGRAPH": c.HAN,
    "HIRAGANA ": c.KANA,
    "KATAKANA ": c.KANA,
    "CYRILLIC ": c.OTHER,
    "ARABIC ": c.OTHER,
    "HANGUL ": c.OTHER,
    "DEVANAGARI ": c.OTHER,
}
# letters that Unicode names after a script but keeps in blocks of phonetic signs, and marks of other blocks
_STRAY_BLOCKS = ((0x02B0, 0x0300), (0x1D00, 0x1DC0), (0x2071, 0x20D0), (0x2100, 0x2190), (0x10780, 0x107C0))


def test_classes_and_lower_case_follow_unicode() -> None:
    tables = c.character_tables()
    expected = {
        "L": c.LETTER,
        "M": c.MARK,
        "N": c.DIGIT,
        "Z": c.SPACE,
        "P": c.PUNCTUATION,
        "S": c.SYMBOL,
        "F": c.IGNORED,
    }
    for code in range(c.TABLE_SIZE):
        if not 0xD800 <= code < 0xE000 and code != 10:
            assert tables.classes[code] == expected[kind(chr(code))], hex(code)
            if tables.classes[code] in (c.LETTER, c.DIGIT):
                assert tables.lower[code] == lower(chr(code)), hex(code)
    assert tables.classes[10] == c.LINE_END


def test_scripts_agree_with_the_names_of_letters() -> None:
    tables = c.character_tables()
    for code in np.flatnonzero(np.isin(tables.classes, (c.LETTER, c.MARK))):
        name = unicodedata.name(chr(code), "")
        script = next((s for start, s in _NAMES.items() if name.startswith(start)), None)
        stray = any(start <= code < end for start, end in _STRAY_BLOCKS)
        if script is not None and not stray:
            assert tables.scripts[code] == script, (hex(code), name)
    assert (tables.scripts[0x300:0x370] == c.INHERITED).all()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_decode_reads_utf8(text: str) -> None:
    data = np.frombuffer(text.encode() + b"\0\0\0", np.uint8)
    position, codes = 0, []
    while position < len(data) - 3:
        code, width = c.decode(data, position)
        codes.append(code)
        position += width
    assert codes == [ord(character) for character in text]


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Rumah-rumah besar", ["Rumah", "rumah", "besar"]),
        ("น้ำใจดี", ["น้ำ", "ใ", "จ", "ดี"]),
        ("ນ້ຳໃຈ", ["ນ້ຳ", "ໃ", "ຈ"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("မြန်မာ ဗုဒ္ဓ", ["မြ", "န်", "မာ", "ဗု", "ဒ္ဓ"]),
        ("ปี2024นี้ 3D", ["ปี", "2024", "นี้", "3D"]),
        ("中文AI模型", ["中", "文", "AI", "模", "型"]),
    ],
)
def test_clusters_keep_their_marks(text: str, units: list[str]) -> None:
    assert cut_units(text) == units
