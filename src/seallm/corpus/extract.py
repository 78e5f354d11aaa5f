"""A page's bytes in, the text a reader would call its article out.

The encoding is judged by the bytes first and by what the page claims second, because servers are often wrong and valid
UTF-8 beyond ASCII hardly ever arises by chance. Resiliparse parses the page and keeps its main content: navigation,
side bars, cookie notes and footers go; paragraphs and list items keep their lines.
"""

import codecs
import re
from contextlib import suppress

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

# WHATWG names that Python's codecs lack
_PYTHON_CODECS = {"windows-874": "cp874", "iso-8859-8-i": "iso-8859-8", "x-mac-cyrillic": "mac-cyrillic"}
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# resiliparse's search for main content takes quadratic time in the nesting of these; browsers cut at 512
_NESTED = re.compile("<(/?)(?:div|article)\\b", re.IGNORECASE)
MAX_NESTING = 1_000
_ESCAPE = b"\x1b"  # opens the 7-bit encodings of East Asia, which would pass for UTF-8


def extract_text(page: bytes, declared_encoding: str | None = None) -> str:
    """The main text of an HTML page; empty where it has none. A page nested out of all measure is read in full.

    Args:
        page: the page as it was sent.
        declared_encoding: the `charset` of the HTTP header, if there was one.
    """
    html = decode_page(page, declared_encoding)
    return str(extract_plain_text(html, main_content=not _is_too_deep(html), preserve_formatting=True, alt_texts=False))


def _is_too_deep(html: str) -> bool:
    if html.count("<") <= MAX_NESTING:
        return False
    depth = deepest = 0
    for tag in _NESTED.finditer(html):
        depth += -1 if tag[1] else 1
        deepest = max(deepest, depth)
    return deepest > MAX_NESTING


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
