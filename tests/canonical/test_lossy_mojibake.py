import pytest
from hypothesis import given, settings

from seallm.canonical.lossy_mojibake import mend_lossy_lines, mend_thai_windows_874
from tests.corpus.reference import texts

# Universal Declaration of Human Rights (public domain), article 1
_ARTICLES = {
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi. Mọi con người đều được tạo "
    "hóa ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình anh em.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกัน",
    "lo": "ມະນຸດເກີດມາມີສິດເສລີພາບ ແລະ ສະເໝີໜ້າກັນໃນທາງກຽດຕິສັກ ແລະ ທາງສິດດ້ວຍມະນຸດມີສະຕິສຳປັດຊັນຍະ ແລະ ມີມະໂນທຳ",
    "km": "មនុស្សទាំងអស់ កើតមកមានសេរីភាព និងសមភាព ក្នុងផ្នែកសេចក្ដីថ្លៃថ្នូរនិងសិទ្ធិ។ មនុស្ស មានវិចារណញ្ញាណនិងសតិសម្បជញ្ញៈជាប់ពីកំណើត",
    "my": "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊ တူညီလွတ်လပ်သော အခွင့်အရေးများဖြင့် လည်းကောင်း၊ မွေးဖွားလာသူများ ဖြစ်သည်။",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}


def broken(text: str) -> str:
    return text.encode().decode("cp1252", "replace")


@pytest.mark.parametrize("language", _ARTICLES)
def test_lost_bytes_come_back(language: str) -> None:
    article = _ARTICLES[language]
    assert "\ufffd" in broken(article)
    (mended,) = mend_lossy_lines([broken(article)])
    assert len(mended) == len(article)
    assert sum(a != b for a, b in zip(mended, article, strict=True)) <= len(article) // 100


def test_no_break_spaces_that_were_lost_on_the_way_come_back() -> None:
    article = _ARTICLES["vi"] + " Đó là nhà của bà và là thành phố."
    assert mend_lossy_lines([broken(article).replace("\xa0", " ").strip()]) == [article]
    assert mend_lossy_lines([broken(article).replace("\xa0 ", " ").strip()]) == [article]
    assert mend_lossy_lines([broken(article + " và").strip()]) == [article + " và"]


def test_short_lines_follow_their_text() -> None:
    lines = [_ARTICLES["vi"], "Điều 1", "", "plain", "Đ"]
    assert mend_lossy_lines([broken(line) for line in lines]) == [*lines[:4], "Đ"]
    assert mend_lossy_lines([broken("Đ")]) == [broken("Đ")]


@pytest.mark.parametrize(
    "line",
    [
        "In the table, Ã© stands for é and â€œ for a quotation mark; \ufffd is a lost byte.",
        "São Paulo – É» \ufffd naïve façade",
        "damaged caf\ufffd, na\ufffdve, fa\ufffdade, Gr\ufffd\ufffde",
        "ภาษา\ufffdไทย Ã\ufffd มี á»\ufffd อักษร",
        "\ufffd" * 40,
    ],
)
def test_odd_characters_alone_stay(line: str) -> None:
    assert mend_lossy_lines([line]) == [line]


def test_capitals_stay_capitals() -> None:
    text = "HỘI ĐỒNG NHÂN DÂN THÀNH PHỐ ĐỀ NGHỊ CÁC SỞ BỔ SUNG HỒ SƠ. Ông Ôn Đình Đài ở Đà Lạt, Ủy ban."
    assert mend_lossy_lines([broken(text)]) == [text]


def test_thai_through_windows_874() -> None:
    thai = _ARTICLES["th"]
    wrong = "".join(c if (c := bytes([b]).decode("cp874", "ignore")) else chr(b) for b in thai.encode())
    assert mend_thai_windows_874(wrong) == thai
    assert mend_thai_windows_874(thai) == thai


@settings(deadline=None)
@given(texts)
def test_sound_lines_stay_sound(text: str) -> None:
    if not any("\x80" <= c <= "\u02ff" or "\u2010" <= c <= "\u2122" or c == "\ufffd" for c in text):
        assert mend_lossy_lines(text.split("\n")) == text.split("\n")
