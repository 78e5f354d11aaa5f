import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError, RecipeError
from seallm.corpus import personal_candidates as c
from seallm.corpus.personal import MaskedTexts, check_placeholder, mask_personal
from seallm.corpus.personal_rules import TYPES
from tests.corpus.reference import texts


def mask(text: str, language: str = "en", form: str = "<{type}>") -> str:
    return str(mask_personal(pa.array([text], pa.large_string()), np.array([language]), form).texts[0])


# every number below is made up; those with check digits were given right ones
MASKED = [
    ("en", "Write to jane.doe+work@gmail.com, please.", "Write to <email>, please."),
    ("en", "Call me at (212) 456-7890 after six.", "Call me at <phone> after six."),
    ("en", "Server log: 203.150.12.77 opened the page", "Server log: <ip> opened the page"),
    ("en", "from 2405:9800:b540:1a2b::17 at noon", "from <ip> at noon"),
    ("en", "His SSN is 536-90-4399.", "His SSN is <id>."),
    ("en", "FIN: S1234567D, valid until May", "FIN: <id>, valid until May"),
    ("en", "card 4539 1488 0343 6467 exp 09/27", "card <card> exp 09/27"),
    ("en", "AmEx 3782-822463-10005.", "AmEx <card>."),
    ("zh", "请联系王先生，手机13812345678。", "请联系王先生，手机<phone>。"),
    ("zh", "电话：０１０－６２７８ ９０１２", "电话：<phone>"),
    ("zh", "身份证号11010519491231002X，住址不详", "身份证号<id>，住址不详"),
    ("zh", "邮箱xiaoming@163.com联系", "邮箱<email>联系"),
    ("zh", "微信同号 138 0013 8765", "微信同号 <phone>"),
    ("vi", "Liên hệ anh Nam: 0912 345 678 (Zalo)", "Liên hệ anh Nam: <phone> (Zalo)"),
    ("vi", "ĐT: 024.3825.1234 - Fax 024.3825.1235", "ĐT: <phone> - Fax <phone>"),
    ("vi", "CCCD số 079203012345 cấp ngày 12/05/2021", "CCCD số <id> cấp ngày 12/05/2021"),
    ("vi", "số CMND 271234567 do CA Đồng Nai cấp", "số CMND <id> do CA Đồng Nai cấp"),
    ("vi", "gọi +84 (0) 903 123 456 để đặt", "gọi <phone> để đặt"),
    ("id", "WA 0812-3456-7890 atau email budi@yahoo.co.id", "WA <phone> atau email <email>"),
    ("id", "NIK: 3173014508900012", "NIK: <id>"),
    ("id", "NPWP 01.312.166.0-091.000", "NPWP <id>"),
    ("id", "Hub. (021) 5551234 ext 12", "Hub. <phone> ext 12"),
    ("id", "pesan di https://wa.me/6281234567890 ya", "pesan di https://wa.me/<phone> ya"),
    ("th", "โทร.081-234-5678 คุณสมชาย", "โทร.<phone> คุณสมชาย"),
    ("th", "เบอร์โทรศัพท์ ๐๘๑ ๒๓๔ ๕๖๗๘", "เบอร์โทรศัพท์ <phone>"),
    ("th", "เลขบัตรประชาชน 1-1002-00345-67-1", "เลขบัตรประชาชน <id>"),
    ("th", "ผู้ร้อง 3100600445635 ลงชื่อ", "ผู้ร้อง <id> ลงชื่อ"),
    ("th", "อีเมลsomchai@hotmail.co.thครับ", "อีเมล<email>ครับ"),
    ("ms", "No. KP 850412-10-5347 telah", "No. KP <id> telah"),
    ("ms", "hubungi Ali di talian 012-345 6789.", "hubungi Ali di talian <phone>."),
    ("ms", "Tel : 03 4023 3270Fax : 03 4023 3278", "Tel : <phone>Fax : <phone>"),
    ("km", "ទូរស័ព្ទ ០១២ ៣៤៥ ៦៧៨", "ទូរស័ព្ទ <phone>"),
    ("km", "លេខ +855 12 345 678 ឬ sok@gmail.com", "លេខ <phone> ឬ <email>"),
    ("km", "អត្តសញ្ញាណប័ណ្ណលេខ 012345678", "អត្តសញ្ញាណប័ណ្ណលេខ <id>"),
    ("lo", "ໂທ: 020 5512 3456", "ໂທ: <phone>"),
    ("lo", "ເບີໂທ ໐໒໐ ໕໕໑໒ ໓໔໕໖ ຂອງຂ້ອຍ", "ເບີໂທ <phone> ຂອງຂ້ອຍ"),
    ("my", "ဖုန်း ၀၉ ၇၈၁ ၂၃၄ ၅၆၇", "ဖုန်း <phone>"),
    ("my", "မှတ်ပုံတင် ၁၂/အကမ(နိုင်)၁၂၃၄၅၆ ဖြစ်သည်", "မှတ်ပုံတင် <id> ဖြစ်သည်"),
    ("my", "Aung Aung, NRC 12/OUKAMA(N)123456", "Aung Aung, NRC <id>"),
    ("tl", "I-text si Ana sa 0917 123 4567.", "I-text si Ana sa <phone>."),
    ("tl", "SSS 34-1234567-8 at TIN No. 123-456-789-000", "SSS <id> at TIN No. <id>"),
    ("tl", "Salt Lake City, UT 84116, (801) 596-1887, email", "Salt Lake City, UT 84116, <phone>, email"),
    ("tl", "PhilSys 1234-5678-9012-3456", "PhilSys <id>"),
]


@pytest.mark.parametrize(("language", "text", "expected"), MASKED)
def test_is_masked(language: str, text: str, expected: str) -> None:
    assert mask(text, language) == expected


UNTOUCHED = [
    ("en", "From 1990-2001, on 2023-11-23 and 23/11/2023 at 12:34:56."),
    ("en", "ISBN 978-0-306-40615-7, ISBN 0-8044-2957-X, ISSN 2049-3630"),
    ("en", "Version 10.0.19045.3693, section 1.2.3.4, v103.12.4.1 and 91.0.4472.114"),
    ("en", "coordinates 13.7563309, 100.5017651 and 3.141592653589793238"),
    ("en", '{"time": 1700000000016, "id": 4532015112830366471}'),
    ("en", "ping 192.168.1.15, 127.0.0.1, 8.8.8.8 or fe80::1ff:fe23:4567:890a on 10.0.0.0/8"),
    ("en", "see 550e8400-e29b-41d4-a716-446655440000 and 3f2504e04f8911d39a0c0305e82c3301"),
    ("en", "git@github.com, someone@example.com, photo@2x.png, @handle, a @ b"),
    ("en", "std::vector<int> a::b::c; 00:1A:2B:3C:4D:5E"),
    ("en", "https://shop.example.org/item?id=4539148803436467&t=0812345678"),
    ("en", "population 12 345 678, then 67 890 123, then 8 901 234 567"),
    ("en", "Hotline 1-800-555-4567 is free."),
    ("en", "In the film he rings (212) 555-0142, in the manual +1-555-0123."),
    ("en", "Offices: info@company.co.th, webmaster@moe.gov.my; lists: boot@lists.debian.org, vi@googlegroups.com"),
    ("zh", "2023年11月23日，销售额为13800138000元，同比增长12.5%"),
    ("zh", "成立于1949-1950年，人口1400000000"),
    ("vi", "Nghị định 137/2015/NĐ-CP ngày 31/12/2015, giá 1.250.000.000 đồng"),
    ("vi", "năm 1954-1975, dân số 96.208.984 người"),
    ("id", "UU No. 11/2020, harga Rp 1.500.000.000, tahun 2019/2020"),
    ("th", "พ.ศ. 2550-2560 ราคา 12,345,678.90 บาท มาตรา 112/1"),
    ("th", "ปี ๒๕๕๐-๒๕๖๐ จำนวน ๑๒๓,๔๕๖,๗๘๙ คน"),
    ("ms", "RM 12 500 000, Akta 1972/2016, tahun 1957-2007"),
    ("km", "ឆ្នាំ ១៩៧៥-១៩៧៩ ចំនួន ១២.៣៤៥.៦៧៨ រៀល"),
    ("lo", "ປີ 1975-2025 ຈຳນວນ 12.345.678 ກີບ"),
    ("my", "၁၉၄၈-၁၉၆၂ ခုနှစ် ၁၂၃၄၅၆၇၈ ကျပ်"),
    ("tl", "Batas Republika 10931, noong 1986-1992, PHP 1,234,567.89"),
]


@pytest.mark.parametrize(("language", "text"), UNTOUCHED)
def test_is_left_alone(language: str, text: str) -> None:
    array = pa.array([text], pa.large_string())
    masked = mask_personal(array, np.array([language]))
    assert masked.texts[0].as_py() == text
    assert masked.texts is array


def test_counts_by_type_and_text() -> None:
    rows = ["nothing here", "a@b.co and c@d.co, +66 81 234 5678", ""]
    masked = mask_personal(pa.array(rows, pa.large_string()), np.array(["en"] * 3))
    assert masked.texts.to_pylist() == ["nothing here", "<email> and <email>, <phone>", ""]
    assert masked.texts.type == pa.large_string()
    assert masked.counts.dtype == np.int32
    assert masked.counts.tolist() == [[0] * len(TYPES), [2, 1, 0, 0, 0], [0] * len(TYPES)]


def test_no_texts() -> None:
    masked = mask_personal(pa.array([], pa.large_string()), np.array([], dtype="U2"))
    assert masked.counts.shape == (0, len(TYPES))


def test_a_slice_of_an_array() -> None:
    array = pa.array(["x", "mail a@b.co", "y"], pa.large_string())[1:]
    assert mask_personal(array, np.array(["en", "en"])).texts.to_pylist() == ["mail <email>", "y"]


def test_a_null_is_refused() -> None:
    with pytest.raises(DataError, match="null"):
        mask_personal(pa.array(["a", None], pa.large_string()), np.array(["en", "en"]))


@pytest.mark.parametrize(
    "form", ["<|{type}|>", "</{type}>", "{type}", "<type>", "<{type}_1>", "[@{type}]", "<<{type}>>"]
)
def test_a_form_that_could_be_a_control_token_is_refused(form: str) -> None:
    with pytest.raises(RecipeError, match="placeholder"):
        check_placeholder(form)


def test_another_form() -> None:
    assert mask("a@b.co", form="[{type}]") == "[email]"


_VALUES = [
    "0812345678",
    "+66 81 234 5678",
    "a@b.co",
    "4539148803436467",
    "203.150.12.77",
    "2023",
    "12-3456",
    "๐๘๑",
    "2001:db8:1:2::3",
]
_WORDS = ["tel", "โทร", "ĐT:", "ID card", "isbn", "(", ")", "+", "/", " ", "-", ".", ",", "\n", "x", "ip", "手机", "no"]
_lines = st.lists(st.sampled_from([*_VALUES, *_WORDS]), max_size=14).map("".join)


def masked_rows(rows: list[str], language: str) -> MaskedTexts:
    return mask_personal(pa.array(rows, pa.large_string()), np.array([language] * len(rows)))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(_lines, texts), min_size=1, max_size=3), st.sampled_from(["en", "th", "vi", "zh", "ms"]))
@example(["tel 0812345678 0212345678 0812345678", "081-234-5678/081-234-5679"], "th")
def test_masking_twice_changes_nothing(rows: list[str], language: str) -> None:
    once = masked_rows(rows, language)
    assert masked_rows(once.texts.to_pylist(), language).texts.to_pylist() == once.texts.to_pylist()
    for row, text in enumerate(rows):  # neighbours do not matter
        assert masked_rows([text], language).texts.to_pylist() == [once.texts[row].as_py()]


_DIGIT = "[0-9๐-๙໐-໙០-៩၀-၉႐-႙０-９]"
_PLAIN, _ROUND = "[ ./\\-‐‑‒–－]", "[()（）]"
_RUN = re.compile(f"{_DIGIT}+(?:(?:{_PLAIN}|{_ROUND}|{_ROUND}(?:{_PLAIN}|{_ROUND})|{_PLAIN}{_ROUND}){_DIGIT}+)*")


def find_plainly(text: str) -> list[tuple[int, int, int]]:
    """Candidates as places of characters, by regular expressions."""
    found, position = [], 0
    while position < len(text):
        character = text[position]
        first, last, kind, good = position, position + 1, -1, False
        if character in "@＠":
            local = re.search(r"[A-Za-z0-9._%+-]{0,64}$", text[:position])
            domain = re.match(r"[A-Za-z0-9.-]*", text[position + 1 :])
            assert local
            assert domain
            first, good, kind = local.start(), bool(local.group()) and "." in domain.group(), c.ADDRESS
            last = position + 1 + domain.end() if good else last
        elif character == ":":
            before, after = (
                re.search(r"[0-9a-fA-F:]{0,64}$", text[:position]),
                re.match("[0-9a-fA-F:]{0,64}", text[position:]),
            )
            assert before
            assert after
            first, good, kind = before.start(), after.group().count(":") >= 3, c.HEXADECIMAL
            last = position + after.end() if good else last
        elif run := _RUN.match(text, position):
            last, kind = run.end(), c.NUMBER
            groups, between = re.findall(f"{_DIGIT}+", run.group()), re.split(f"{_DIGIT}+", run.group())[1:-1]
            nrc = len(groups[0]) == 6 and bool(re.search(r"\) ?$", text[:position]))
            nric = len(groups[0]) == 7 and re.match("[A-Z]", text[position - 1 : position] if position else "")
            nric = nric and re.match("[A-Z]", text[position + 7 : position + 8]) and run.group()[:7].isascii()
            dots = sum(b[0] == "." for b in between)
            good = sum(map(len, groups)) >= 8 or dots >= 3 or nrc or bool(nric)
        if good:
            found.append((first, last, kind))
        position = last
    return found


_soup = st.lists(
    st.sampled_from([*"0123456789@:.-/() ()af", *"๐๙໐០၀႐９（）－＠–é", "A1234567B", ")123456", "a@b.c"]), max_size=60
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(_soup.map("".join), texts), min_size=1, max_size=3))
@example(["", "1", "😀", "1" * 5000, "a@" + "b." * 200, ":" * 300, "(N) 123456", "12345678"])
def test_kernel_equals_the_plain_reading(rows: list[str]) -> None:
    expected = []
    for row, text in enumerate(rows):
        for first, last, kind in find_plainly(text):
            if kind == c.ADDRESS and last - first > 200:
                return  # the limits on lengths are counted in bytes
            expected.append([row, len(text[:first].encode()), len(text[:last].encode()), kind])
    assert c.find_candidates(pa.array(rows, pa.large_string())).tolist() == expected


def test_more_candidates_than_room() -> None:
    found = c.find_candidates(pa.array(["12345678, " * 3000]))
    assert len(found) == 3000
    assert (np.diff(found[:, 1]) == 10).all()


def test_a_table_of_numbers_takes_no_longer_than_its_length() -> None:
    # a run of digits has no end here: every group starts stretches of its own
    assert mask("12 345 678 " * 5_000) == "12 345 678 " * 5_000
