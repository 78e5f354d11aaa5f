import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.errors import MissingExtra
from seallm.corpus.boilerplate import MARKS
from seallm.corpus.extract import decode_page, extract_text

_THAI = "ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำแน่นอนหรือวรรณยุกต์ และใช้กันทั่วประเทศ"


def page(body: str, head: str = "") -> str:
    return f"<!doctype html><html><head>{head}<title>t</title></head><body>{body}</body></html>"


def test_the_article_stays_and_its_frame_goes() -> None:
    links = "".join(f'<li><a href="/{n}">Link {n}</a></li>' for n in range(20))
    body = (
        f"<nav><ul>{links}</ul></nav><script>var x = 'secret';</script><main><article><h1>Padi</h1>"
        "<p>Sawah di lereng bukit ditanami padi dua kali setahun.</p><p>Air datang dari sungai.</p></article></main>"
        f"<aside>{links}</aside><footer>Copyright. Share on Facebook</footer>"
    )
    text = extract_text(page(body).encode())
    assert " ".join(text.split()) == (
        "Padi Sawah di lereng bukit ditanami padi dua kali setahun. Air datang dari sungai."
    )
    assert "setahun.\n" in text  # paragraphs stay apart


@pytest.mark.parametrize("content", [b"", b" \n ", b"<html></html>", page("<nav><a href='/'>Home</a></nav>").encode()])
def test_a_page_without_text_is_empty(content: bytes) -> None:
    assert extract_text(content).strip() == ""


@pytest.mark.parametrize(
    ("encoding", "declared", "head"),
    [
        ("utf-8", "iso-2022-kr", ""),  # the server is wrong
        ("utf-8", None, '<meta charset="windows-1252">'),  # the page is wrong
        ("cp874", "tis-620", ""),
        ("cp874", None, '<meta charset="windows-874">'),
        ("utf-8-sig", None, ""),
        ("utf-16", None, ""),
    ],
)
def test_encodings(encoding: str, declared: str | None, head: str) -> None:
    assert _THAI in extract_text(page(f"<p>{_THAI}</p>", head).encode(encoding), declared)


def test_gb2312_is_read_as_browsers_do() -> None:
    assert decode_page("中文網頁".encode("gbk"), "gb2312") == "中文網頁"


def test_an_unknown_encoding_is_guessed() -> None:
    assert decode_page(("これは日本語の文章です。" * 20).encode("euc-jp"), "no-such-encoding").startswith("これは")


def test_utf8_with_a_broken_spot_loses_only_the_spot() -> None:
    content = _THAI.encode()
    assert decode_page(content[:30] + b"\xff\xfe\xc3\x28" + content[30:], "utf-8").replace("\ufffd", "") == (
        _THAI[:10] + "(" + _THAI[10:]
    )


def test_latin1_with_few_accents() -> None:
    assert decode_page("Le café est fermé.".encode("latin-1"), "iso-8859-1") == "Le café est fermé."


def test_bytes_that_nothing_explains_never_fail() -> None:
    for content in (bytes(range(256)) * 4, b"\xff" * 50, b"\x1b$)C\x0e\xff", b"\xef\xbb\xbf\xff"):
        assert isinstance(extract_text(content, "iso-2022-kr"), str)


@pytest.mark.parametrize("tags", [b"<div>" * 100_000, b"<ARTICLE x=1>" * 50_000, b"<form><div>" * 15_000])
def test_a_page_nested_without_end_is_read_in_no_time(tags: bytes) -> None:
    # the search for main content would take minutes
    assert extract_text(tags + b"<p>text").strip() == "text"


@pytest.mark.parametrize(
    "part",
    [
        "<h2>Menu</h2><p><a href=x>link</a></p>",
        "<div class='nav item-{0}'>Menu</div><div id='menu{0}'></div>",
        "<h1>a",
        "<h1 ",
        "<title>",
    ],
)
def test_a_page_of_one_thing_without_end_is_read_in_no_time(part: str) -> None:
    # four times the page would take sixteen times as long: minutes
    assert isinstance(extract_text("".join(part.format(number) for number in range(50_000)).encode()), str)


_SENTENCE = "<p>Sawah di lereng bukit ditanami padi dua kali setahun dan airnya datang dari sungai besar.</p>"


def lines_of(body: str, head: str = "") -> list[str]:
    return [line for line in extract_text(page(body, head).encode()).split("\n") if line]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>ภาษา<b>ไทย</b>เป็น<a href=x>ภาษา</a>ที่<span>มี</span>ระดับ<wbr>เสียง</p>", "ภาษาไทยเป็นภาษาที่มีระดับเสียง"),
        ("<p>ภาษาต่าง<i>ๆ</i>กัน</p>", "ภาษาต่างๆกัน"),
        ("<p>ភាសា<b>ខ្មែរ</b><span>។</span></p>", "ភាសាខ្មែរ។"),
        ("<p><span>中</span><span>国</span> <code>a</code> 或 <code>b</code></p>", "中国 a 或 b"),
        ("<p>「<b>小时</b>」: 任意整数</p>", "「小时」: 任意整数"),
        ("<p>là <i>à</i> côté</p>", "là à côté"),
        ("<p>ba <a href=x> dua </a> tiga</p>", "ba dua tiga"),
        ("<p>漢<ruby>字<rp>(</rp><rt>zì</rt><rp>)</rp></ruby></p>", "漢字"),
        ("<p>a<br>b<br/>c</p>", "a\nb\nc"),
        ("<pre>if x:\n    y\n\n        z</pre>", "if x:\n    y\n\n        z"),
        (
            "<table><tr><th>Tahun</th><th>Padi</th></tr><tr><td>1990</td><td><b>7</b></td></tr></table>",
            "Tahun\tPadi\n1990\t7",
        ),
    ],
)
def test_inline_elements_and_lines(body: str, text: str) -> None:
    assert extract_text(page(body).encode()) == text


def test_lists_stay() -> None:
    ingredients = "<ul><li>ข้าวเหนียว</li><li>น้ำตาล<ul><li>ทราย</li></ul></li></ul><ol><li>นึ่ง</li><li>คน</li></ol>"
    expected = ["  • ข้าวเหนียว", "  • น้ำตาล", "    • ทราย", "  1. นึ่ง", "  2. คน"]
    for parent in ("article", "main", "div"):
        assert lines_of(f"<{parent}>{_SENTENCE}{ingredients}</{parent}>")[1:] == expected


@pytest.mark.parametrize(
    "frame",
    [
        "<div class='site-nav'><p>away</p></div>",
        '<div class="postShareButtons x">away</div>',
        "<div id=sidebar><p>away</p></div>",
        "<div role=navigation>away</div>",
        "<header><p>away</p></header>",
        "<p hidden>away</p>",
        "<p style='color:red; display: none'>away</p>",
        "<p class='visually-hidden'>away</p>",
        "<p aria-hidden=true>away</p>",
        "<p><a href=1>away</a> | <a href=2>away</a> | <a href=3>away</a></p>",
    ],
)
@pytest.mark.parametrize("is_before", [True, False])
def test_frames_go(frame: str, is_before: bool) -> None:
    article = f"<div>{_SENTENCE * 4}</div>"
    assert "away" not in extract_text(page(frame + article if is_before else article + frame).encode())


@pytest.mark.parametrize(
    "attributes",
    [
        "class='content-sidebar-wrap'",
        "class='container has-menu'",
        "class='hidden md:block'",
        "id='related-work'",
        'class="a&amp;b nav\\""',
    ],
)
def test_what_only_sounds_like_a_frame_stays(attributes: str) -> None:
    assert "setahun" in extract_text(page(f"<div {attributes}>{_SENTENCE * 4}</div>").encode())


def test_a_page_whose_frame_holds_everything_is_believed_less() -> None:
    assert "setahun" in extract_text(page(f"<div class=sidebar>{_SENTENCE * 4}</div>").encode())


def test_a_heading_goes_with_its_menu_and_stays_with_its_text() -> None:
    menu = "".join(f"<li><a href={n}>away {n}</a></li>" for n in range(3))
    body = f"<h1>Padi</h1><ul>{menu}</ul>{_SENTENCE}<h3>Baca juga</h3><ul>{menu}</ul><h2>Air</h2>{_SENTENCE}"
    assert [line[:5] for line in lines_of(body)] == ["Padi", "Sawah", "Air", "Sawah"]


def test_links_within_an_article_stay() -> None:
    body = f"{_SENTENCE}<h2><a href='#a'>Asal padi</a></h2><p><a href=x>Padi liar</a></p>{_SENTENCE}"
    assert lines_of(body)[1:3] == ["Asal padi", "Padi liar"]


def test_the_title_stays() -> None:
    article = f"<main>{_SENTENCE * 4}</main>"
    titled = extract_text(f"<title>Padi &amp; air - Harian</title><h1><b>Padi</b> &amp; air</h1>{article}".encode())
    assert titled.startswith("Padi & air\n\nSawah")
    of_the_site = extract_text(f"<title>Padi - Harian</title><h1>Harian</h1>{article}".encode())
    assert of_the_site.startswith("Sawah")


def test_several_articles_all_stay() -> None:
    assert len(lines_of(f"<article>{_SENTENCE}</article>" * 3)) == 3


def test_a_tag_without_end_costs_no_time() -> None:
    attributes = " ".join(f"data-{number}='x'" for number in range(100_000))
    started = time.process_time()
    assert lines_of(f"<div {attributes}>{_SENTENCE}</div>")[0].startswith("Sawah")
    assert time.process_time() - started < 5  # the parser alone takes over 20 s


def test_trafilatura() -> None:
    pytest.importorskip("trafilatura")
    body = f"<nav><a href=x>Menu</a></nav><article><h1>Padi</h1>{_SENTENCE * 4}</article><footer>Copyright</footer>"
    text = extract_text(page(body).encode(), extractor="trafilatura")
    assert "setahun" in text
    assert "Copyright" not in text
    assert extract_text(b"", extractor="trafilatura") == ""


def test_without_trafilatura(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(MissingExtra, match=r"pip install 'seallm\[extract\]'"):
        extract_text(b"<p>x", extractor="trafilatura")


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet=st.sampled_from("aé中ๆ។\U0001f33e \n\t•|<>&;/\"'=-" + MARKS), max_size=200))
def test_any_page_can_be_read_and_leaves_no_mark(text: str) -> None:
    for html in (text, f"<p class='{text}'>{text}<a>{text}</a><h1>{text}", f"<main>{text}</main><title>{text}"):
        assert not set(extract_text(html.encode("utf-8", "replace"))) & set(MARKS)
