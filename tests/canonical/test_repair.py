import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seallm.canonical.repair import MAX_MARKS, RepairPolicy, encodable, repair, repair_counted
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


def test_lost_bytes_come_back_by_their_neighbours() -> None:
    assert repair("ภาษาการกิน".encode().decode("cp1252", "replace")) == "ภาษาการกิน"
    assert repair("Ti\ufffdng Vi\ufffdt") == "Ti\ufffdng Vi\ufffdt"


@pytest.mark.parametrize("text", [_VIETNAMESE + " Đó là điều đầu tiên.", "ภาษาไทยเป็นภาษาที่มีเสียงวรรณยุกต์ และเป็นภาษาแรก"])
def test_mojibake_of_mojibake(text: str) -> None:
    twice = text.encode().decode("cp1252", "replace").encode().decode("cp1252", "replace")
    assert sum(a != b for a, b in zip(repair(twice), text, strict=True)) <= len(text) // 10


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


_ZAWGYI = "ေဝလအမ်ိဳးသား ညီလာခံ ကိုယ္စားလွယ္မ်ားသည္ ႐ုပ္ေသး႐ုပ္ပုံစံမ်ိဳး"
_MIXED = (
    "กนำาํเัิุ่้๊็", "ຫນຳາໍເັິຸົຼ່້", "កសរ្្ាិីុេំះ៉៊័់\u200b", "ကရသဥ၀၇၄င်ေျြွှိီုူါာဲံ့း္ၵႈ\u1060\u1064\u107e\u108f",
    "hoàthuýkhỏeđượccả ", "ＡＢ１２．－／，", "中文。，", "Ã©á»\ufffdà¸\x81ÂÄâ€œ\xa0",
    "\u200b\u200c\u200d\u0301\u0323\xad \n\r\t",
    "abc 012.-", "हिन्दी😀\ufe0f",
)  # fmt: skip
_mixed = st.lists(
    st.one_of(
        *(st.text(letters, min_size=1, max_size=8) for letters in _MIXED), st.sampled_from([_ZAWGYI, _VIETNAMESE])
    ),
    max_size=12,
).map("".join)
_policies = st.builds(
    RepairPolicy,
    zero_width=st.sampled_from(["remove", "keep"]),
    full_width=st.sampled_from(["keep", "ascii"]),
    vietnamese_tones=st.sampled_from(["keep", "new", "old"]),
    zawgyi=st.sampled_from(["convert", "keep"]),
)


@settings(deadline=None, max_examples=500)
@given(_mixed, _policies)
def test_repairing_twice_changes_nothing_under_any_policy(text: str, policy: RepairPolicy) -> None:
    once, _ = repair_counted(text, policy)
    again, counts = repair_counted(once, policy)
    assert again == once
    assert not counts
    assert once == unicodedata.normalize("NFC", once)


@pytest.mark.parametrize(
    ("text", "policy", "expected", "counts"),
    [
        ("plain", {}, "plain", {}),
        ("bell\x07", {}, "bell", {"controls": 1}),
        ("ភាសា\u200bខ្មែរ\u200b។", {}, "ភាសាខ្មែរ។", {"zero_width": 2}),
        (
            "ភាសា\u200b\u200bខ្មែ\u200bរ\u200b ក\u200bា",
            {"zero_width": "keep"},
            "ភាសា\u200bខ្មែ\u200bរ កា",
            {"zero_width": 3},
        ),
        ("ก\u200bข a\u200bb", {"zero_width": "keep"}, "ก\u200bข ab", {"zero_width": 1}),
        ("ที่นำ้", {}, "ที่น้ำ", {"reordered": 1}),
        ("第１２章，ＡＢＣ－１．５。", {}, "第１２章，ＡＢＣ－１．５。", {}),
        ("第１２章，ＡＢＣ－１．５。", {"full_width": "ascii"}, "第12章，ABC-1.5。", {"full_width": 9}),
        ("e\u0301\nb\n\u00e9", {}, "é\nb\né", {"nfc_lines": 1}),
        (_VIETNAMESE + " Hòa, thuý", {"vietnamese_tones": "new"}, _VIETNAMESE + " Hoà, thuý", {"tone_placement": 1}),
        (_VIETNAMESE + " Hòa, thuý", {"vietnamese_tones": "old"}, _VIETNAMESE + " Hòa, thúy", {"tone_placement": 1}),
        (_ZAWGYI, {"zawgyi": "keep"}, _ZAWGYI, {}),
        (_ZAWGYI, {}, "ဝေလအမျိုးသား ညီလာခံ ကိုယ်စားလှယ်များသည် ရုပ်သေးရုပ်ပုံစံမျိုး", {"zawgyi_lines": 1}),
        ("a\ncafÃ©\nb", {}, "a\ncafé\nb", {"mojibake_lines": 1}),
    ],
)
def test_policies_and_counts(text: str, policy: dict[str, str], expected: str, counts: dict[str, int]) -> None:
    assert repair_counted(text, RepairPolicy(**policy)) == (expected, counts)  # type: ignore[arg-type]
