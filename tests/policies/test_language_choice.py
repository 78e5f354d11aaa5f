import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.policies.language_choice import choose_language

CODES = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("How do I cook rice for my family?", "en"),
        ("怎么煮米饭？", "zh"),
        ("Làm thế nào để nấu cơm cho gia đình?", "vi"),
        ("Bagaimana cara memasak nasi, karena saya ingin belajar?", "id"),
        ("Bagaimanakah nasi dimasak, kerana saya mahu belajar?", "ms"),
        ("หุงข้าวอย่างไร", "th"),
        ("ຫຸງເຂົ້າແນວໃດ", "lo"),
        ("តើដាំបាយយ៉ាងម៉េច?", "km"),
        ("ထမင်း ဘယ်လိုချက်ရမလဲ။", "my"),
        ("Paano magluto ng kanin para sa mga bata?", "tl"),
        ("", "en"),
        ("12 + 3 = ?", "en"),
        ("Γειά", "en"),
    ],
)
def test_a_text_is_in_its_language(text: str, code: str) -> None:
    assert choose_language(text, CODES) == code


def test_only_languages_of_the_pack_are_chosen() -> None:
    assert choose_language("How do I cook rice?", ["th"]) == "th"
    assert choose_language("How do I cook rice?", ["th", "vi"]) == "vi"


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=50))
def test_any_text_has_one(text: str) -> None:
    assert choose_language(text, CODES) in CODES
