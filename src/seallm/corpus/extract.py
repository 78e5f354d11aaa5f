"""A page's bytes in, the text a reader would call its article out.

The encoding is judged by the bytes first and by what the page claims second, because servers are often wrong and valid
UTF-8 beyond ASCII hardly ever arises by chance. Resiliparse parses the page and lays out its text; what is frame and
what is article is judged in `boilerplate`. Resiliparse's own search for main content is not used: it loses every text
node of one character beyond ASCII (a Thai mai yamok or a Chinese word between two tags) and lists without sentences.
Headings, list items, table cells, `<br>` and `<pre>` keep their lines; inline elements never split a word.
"""

import codecs
import re
from contextlib import suppress
from html import unescape
from typing import Literal

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from seallm.base.errors import MissingExtra
from seallm.corpus.boilerplate import FRAME_ELEMENTS, HEADING, LINK, LINK_END, MARKS, article_lines, noise_selectors

Extractor = Literal["resiliparse", "trafilatura"]

# WHATWG names that Python's codecs lack
_PYTHON_CODECS = {"windows-874": "cp874", "iso-8859-8-i": "iso-8859-8", "x-mac-cyrillic": "mac-cyrillic"}
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_OPENS_LINK, _CLOSES_LINK = re.compile(r"<[aA](?=[\s>])"), re.compile(r"</[aA]\s*>")
_OPENS_HEADING = re.compile(r"<[hH][1-6](?=[\s>])[^<>]*>")
_ARTICLE_TAG = re.compile(r"<(/?)(main|article)(?=[\s>])", re.IGNORECASE)
# of elements that may stay open: a page of nothing else would be searched to its end from each of them
_OPENS_TITLE, _OPENS_MAIN_HEADING = (re.compile(rf"<{name}(?=[\s>])", re.IGNORECASE) for name in ("title", "h1"))
_TITLE, _MAIN_HEADING = (re.compile(rf"[^>]*>(.*?)</{name}", re.IGNORECASE | re.DOTALL) for name in ("title", "h1"))
_TAG = re.compile("<[^<>]*>")
# the parser takes time in the square of a tag's attributes; no reader sees any of a tag of this size
_ENDLESS_TAG = re.compile(r"<([a-zA-Z][a-zA-Z0-9]*)[^<>]{65536,}>")
MIN_ARTICLE_CHARACTERS = 250  # with less, the page's own names for its parts are not believed
_ESCAPE = b"\x1b"  # opens the 7-bit encodings of East Asia, which would pass for UTF-8


def extract_text(page: bytes, declared_encoding: str | None = None, extractor: Extractor = "resiliparse") -> str:
    """The main text of an HTML page; empty where it has none.

    Args:
        page: the page as it was sent.
        declared_encoding: the `charset` of the HTTP header, if there was one.
        extractor: `trafilatura` is slower, and stricter about what is main text.

    Raises:
        MissingExtra: trafilatura is not installed.
    """
    html = _ENDLESS_TAG.sub(r"<\1>", decode_page(page, declared_encoding))
    return _extract_by_rules(html) if extractor == "resiliparse" else _extract_by_trafilatura(html)


def _extract_by_trafilatura(html: str) -> str:
    try:
        import trafilatura
    except ImportError:
        raise MissingExtra("trafilatura", "extract") from None
    return str(trafilatura.extract(html, include_comments=False) or "") if html.strip() else ""


def _extract_by_rules(html: str) -> str:
    """The article by the page's own names for its parts; where that leaves next to nothing, by ever fewer of them."""
    noise = noise_selectors(html)
    part = _article_element(html)
    title = _title_outside(html, part)
    best = ""
    for attempt in dict.fromkeys(((part, tuple(noise)), (html, tuple(noise)), (html, ()))):
        text = _lay_out(*attempt)
        if len(text) > 4 * len(best):  # a little more is frame
            best = text
        if len(best) >= MIN_ARTICLE_CHARACTERS:
            break
    is_missing = title and best and title not in " ".join(best[: 8 * len(title) + 500].split())
    return f"{title}\n\n{best}" if is_missing else best


def _lay_out(html: str, noise: tuple[str, ...]) -> str:
    marked = _OPENS_LINK.sub(f"{LINK}<a", _remove_marks(html))
    marked = _CLOSES_LINK.sub(f"</a>{LINK_END}", marked)
    marked = _OPENS_HEADING.sub(f"\\g<0>{HEADING}", marked)
    skipped = [*FRAME_ELEMENTS, *noise]
    text = extract_plain_text(marked, preserve_formatting=True, alt_texts=False, skip_elements=skipped)
    return article_lines(str(text))


def _remove_marks(html: str) -> str:
    return "".join(character for character in html if character not in MARKS) if any(m in html for m in MARKS) else html


def _article_element(html: str) -> str:
    """The page's only `<main>`, or else its only `<article>`; the page itself where it has none or several."""
    tags = list(_ARTICLE_TAG.finditer(html))
    for name in ("main", "article"):
        opens = [tag.start() for tag in tags if not tag[1] and tag[2].lower() == name]
        closes = [tag.start() for tag in tags if tag[1] and tag[2].lower() == name]
        if len(opens) == 1 and closes and closes[-1] > opens[0]:
            return html[opens[0] : closes[-1]]
    return html


def _title_outside(html: str, part: str) -> str:
    """The page's only `<h1>`, where it lies outside the article and the page's `<title>` opens with it."""
    headings, titles = list(_OPENS_MAIN_HEADING.finditer(html)), _OPENS_TITLE.search(html)
    heading = _MAIN_HEADING.match(html, headings[0].end()) if len(headings) == 1 else None
    title = _TITLE.match(html, titles.end()) if titles else None
    if heading is None or title is None or (part is not html and heading[0] in part):
        return ""
    shown, named = (" ".join(unescape(_TAG.sub("", found[1])).split()) for found in (heading, title))
    return shown if shown and named.startswith(shown) else ""


def decode_page(page: bytes, declared_encoding: str | None = None) -> str:
    """The page as text; what no encoding explains becomes U+FFFD, never an error."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if page.startswith(mark):
            return page[len(mark) :].decode(encoding, "replace")
    as_utf8 = page.decode("utf-8", "replace")
    damaged = as_utf8.count("\ufffd")
    if not damaged and _ESCAPE not in page:
        return as_utf8
    whole = sum(1 for character in as_utf8 if character > "\x7f") - damaged
    if damaged and whole >= damaged:  # UTF-8 with a few broken spots
        return as_utf8
    claims = (declared_encoding, detect_encoding(page, from_html_meta=True), detect_encoding(page))
    for claim in claims:
        if claim and not _is_utf8(claim):
            with suppress(
                LookupError, UnicodeDecodeError
            ):  # a name or bytes that the claim does not explain: try the next
                return page.decode(_python_codec(claim))
    return as_utf8


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii", "us-ascii")


def _python_codec(encoding: str) -> str:
    # browsers read gb2312 as gbk, iso-8859-1 as windows-1252 and so on, and so do we
    name = map_encoding_to_html5(encoding, fallback_utf8=False) or encoding
    return _PYTHON_CODECS.get(name, name)
