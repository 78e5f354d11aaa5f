import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seallm.corpus.repair import MAX_MARKS, encodable, repair
from tests.corpus.reference import texts

_VIETNAMESE = "Tiếng Việt có sáu thanh điệu, và được viết bằng chữ Quốc ngữ."
_BURMESE = "မြန်မာဘာသာသည် မြန်မာနိုင်ငံ၏ ရုံးသုံးဘာသာ ဖြစ်သည်။"

_broken = texts.map(lambda text: text.encode().decode("latin-1"))
_invisible = st.text("ab \n\r\t\v\f\x00\x85\u200b\u200c\u200d\u2028\ufeff\xadកिम\u0301e😀‍Ã©à¸\x81\ud800", max_size=30)


@settings(deadline=None, max_examples=400)
@given(st.one_of(texts, _broken, _invisible))
@example("a\u200b\u0301")
@example("e\u200d\u0301\u200d")
@example("Ã\u0083Â©")
@example("\ud83d\ude00 \ud800")
def test_repairing_twice_changes_nothing(text: str) -> None:
    once = repair(text)
    assert repair(once) == once
    assert once == unicodedata.normalize("NFC", once)
    once.encode("utf-8")
    assert not set(once) & set("\x00\r\u200b\ufeff\xad\x85")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("Tie\u0302\u0301ng Vie\u0323\u0302t", "Tiếng Việt"),
        ("ភាសា\u200bខ្មែរ\u200b", "ភាសាខ្មែរ"),
        ("ไทย\u200bไทย\ufeff", "ไทยไทย"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("a  \n \n\n\n b\t\n", "a\n\n b"),
        ("no\xa0break", "no break"),
        ("co\xadoperate", "cooperate"),
        ("bell\x07 and\x1b[0m", "bell and[0m"),
        ("क्\u200dष", "क्\u200dष"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("မြန်\u200cမာ", "မြန်မာ"),
        ("a\u200db\u200c", "ab"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("\u202eright to left\u202c", "right to left"),
        ("flag \U000e0067\U000e0062", "flag"),
        ("\ud83d\ude00", "😀"),
        ("\ud800x", "\ufffdx"),
        ("\u3000中文", "\u3000中文"),
    ],
)
def test_literal_cases(text: str, expected: str) -> None:
    assert repair(text) == expected


@pytest.mark.parametrize(
    "text", [_VIETNAMESE, _BURMESE, "ภาษาไทยมีวรรณยุกต์", "中文是一种语言", "It’s “quoted” – see café"]
)
def test_mojibake_is_mended(text: str) -> None:
    assert repair(text.encode().decode("latin-1")) == text


def test_mojibake_through_windows_1252() -> None:
    text = "Hôm nay nắng rất đẹp và tôi đi làm"  # none of its bytes is undefined there
    assert repair("# Tiêu đề\n" + text.encode().decode("cp1252", "replace")).endswith("\n" + text)


def test_lost_bytes_stay_visible() -> None:
    mended = repair("ภาษาการกิน".encode().decode("cp1252", "replace"))
    assert mended.startswith("ภาษา")
    assert "\ufffd" in mended


@pytest.mark.parametrize(
    "text", ["Ça va à la fête, naïve façade", "Größe ß “Zitat”", _VIETNAMESE.upper(), "São Paulo – É»", "ÃO À Â"]
)
def test_sound_text_is_left_alone(text: str) -> None:
    assert repair(text) == text


def test_encodable_keeps_sound_text_as_it_is() -> None:
    assert encodable(_BURMESE) is _BURMESE


@pytest.mark.parametrize("pair", ["\u0301\u0323", "\U0001e8d0\U0001e944"])
def test_marks_piled_up_without_end_are_cut_in_no_time(pair: str) -> None:
    # ordering them all would take minutes
    text = repair("a" + pair * 300_000 + "b")
    assert len(unicodedata.normalize("NFD", text)) == MAX_MARKS + 2
    assert repair(text) == text
