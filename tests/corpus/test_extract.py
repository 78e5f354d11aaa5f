import pytest

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
