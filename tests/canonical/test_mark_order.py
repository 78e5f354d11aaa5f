import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.canonical.mark_order import order_burmese, order_khmer, order_thai_and_lao


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        ("กี่", "กี่"),  # the right order stays
        ("ก่ี", "กี่"),
        ("ที่้้", "ที่้"),  # one tone twice, and another that is left to the reader
        ("น้ำ", "น้ำ"),
        ("นำ้", "น้ำ"),
        ("นํ้า", "น้ำ"),
        ("น้ํา", "น้ำ"),
        ("ทํา", "ทำ"),
        ("เเม่", "แม่"),
        ("เเเ", "เเเ"),
        ("มากกก", "มากกก"),
        ("ບ່ໍ", "ບໍ່"),
        ("ບໍ່", "ບໍ່"),
        ("ນໍ້າ", "ນ້ຳ"),
        ("ທຳ່", "ທ່ຳ"),
        ("ຄໍາ", "ຄຳ"),
        ("ເເມ່", "ແມ່"),
        ("ຫິຼ", "ຫຼິ"),
        ("ຊີີວິດ", "ຊີວິດ"),
    ],
)
def test_thai_and_lao(typed: str, ordered: str) -> None:
    assert order_thai_and_lao(typed) == (ordered, int(typed != ordered))


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        ("ទិ្ធ", "ទ្ធិ"),
        ("សង្រ្គាម", "សង្គ្រាម"),
        ("ស្រ្តី", "ស្ត្រី"),
        ("ប៉្រា", "ប្រ៉ា"),
        ("ម័្ព", "ម្ព័"),
        ("កំុ", "កុំ"),
        ("រេីន", "រើន"),
        ("កេាះ", "កោះ"),
        ("សុី", "ស៊ី"),
        ("យុីង", "យ៉ីង"),
        ("ក្្រ", "ក្រ"),
        ("ភាសាខ្មែរ", "ភាសាខ្មែរ"),
        ("ព្រះរាជាណាចក្រកម្ពុជា", "ព្រះរាជាណាចក្រកម្ពុជា"),
    ],
)
def test_khmer(typed: str, ordered: str) -> None:
    assert order_khmer(typed) == (ordered, int(typed != ordered))


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        ("ကုိ", "ကို"),
        ("ကံု", "ကုံ"),
        ("ကေျာင်း", "ကျောင်း"),
        ("ကြှွ", "ကြွှ"),
        ("မြန်မာ", "မြန်မာ"),
        ("ကျွန်ုပ်", "ကျွန်ုပ်"),
        ("ယောက်ျား", "ယောက်ျား"),
        ("ဥာဏ်ဥ်", "ဥာဏ်ဉ်"),
        ("၀ိဇ္ဇာ", "ဝိဇ္ဇာ"),
        ("၂၀၁၀", "၂၀၁၀"),
        ("၄င်း", "၎င်း"),
        ("သ့ို", "သို့"),
    ],
)
def test_burmese(typed: str, ordered: str) -> None:
    assert order_burmese(typed) == (ordered, int(typed != ordered))


_typed = st.text("กนำาํเัิีุู่้๊็ຫນຳາໍເັິຸົຼ່້กิ", max_size=24) | st.text("កសរ្្ាិីុេំះ៉៊័់", max_size=24) | st.text("ကရသဥ၀၇၄င်ေျြွှိီုူါာဲံ့း္", max_size=24)


@settings(deadline=None, max_examples=300)
@given(_typed)
def test_no_letter_is_lost_and_twice_is_once(typed: str) -> None:
    def ordered(text: str) -> str:
        for order in (order_thai_and_lao, order_khmer, order_burmese):
            text = unicodedata.normalize("NFC", order(text)[0])
        return text

    once = typed
    for _ in range(10):
        once = ordered(once)
    assert ordered(once) == once
    letters = re.compile("[กนຫນកសរကသ]")
    assert letters.findall(once) == letters.findall(typed) or "\u1047" in typed
