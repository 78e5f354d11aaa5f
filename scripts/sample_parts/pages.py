"""Text in, web pages out: six layouts with navigation, cookie banner, side bar and footer; WARC records around them.

The layouts differ as real sites do: semantic tags, bare tables, nested divs. All text around the articles is ours.
"""

import base64
import gzip
import hashlib
import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sample_parts.sources import Source

LICENCE_LINKS = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "MPL-2.0": "https://www.mozilla.org/MPL/2.0/",
    "MIT": "https://opensource.org/license/mit",
    "WTFPL": "http://www.wtfpl.net/about/",
    "Public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}
PARAGRAPH_CHARACTERS = 900
RECORD_DATE = "2024-03-05T08:00:00Z"


@dataclass(frozen=True)
class Site:
    """One web site: where it is, what it is called, what it looks like."""

    host: str
    name: str
    layout: str
    language: str


@dataclass(frozen=True)
class Page:
    """One page before it is drawn; `text` keeps its lines as paragraphs."""

    site: Site
    path: str
    text: str
    source: Source
    related: tuple[tuple[str, str], ...]  # (path, title) of neighbours
    number: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{self.site.host}/{self.path}"


def title_of(text: str) -> str:
    """The first words of a text, as a headline."""
    line = text.strip().split("\n")[0].lstrip("# ").strip()
    if len(line) <= 60:
        return line
    cut = line[:60]
    return (cut.rsplit(" ", 1)[0] if " " in cut[20:] else cut) + " …"


def paragraphs_of(text: str) -> list[str]:
    """Lines of a text; very long ones are cut at sentence ends."""
    found = []
    for line in (part.strip() for part in text.split("\n")):
        while len(line) > PARAGRAPH_CHARACTERS:
            cut = re.search(r"[.!?。！？။។]”?\s*", line[PARAGRAPH_CHARACTERS // 2 :])
            end = PARAGRAPH_CHARACTERS // 2 + cut.end() if cut else len(line)
            found.append(line[:end].strip())
            line = line[end:]
        found += [line] if line else []
    return found


def _body(text: str, tag: str = "p") -> str:
    rows, is_list = [], False
    for paragraph in paragraphs_of(text):
        item = paragraph.startswith("- ")
        if item != is_list:
            rows.append("<ul>" if item else "</ul>")
            is_list = item
        content = html.escape(paragraph.removeprefix("- "), quote=False)
        rows.append(f"<li>{content}</li>" if item else f"<{tag}>{content}</{tag}>")
    return "\n".join(rows + (["</ul>"] if is_list else []))


def _credit(page: Page, words: Mapping[str, str]) -> str:
    source = page.source
    return (
        f'<p class="credit">{words["credit"]}: {html.escape(source.title)} ({html.escape(source.holder)}). '
        f'<a rel="license" href="{LICENCE_LINKS[source.licence]}">{source.licence}</a></p>'
    )


def _menu(words: Mapping[str, str]) -> str:
    keys = ("home", "news", "about", "contact")
    return "".join(f'<li><a href="/{key}">{words[key]}</a></li>' for key in keys)


def _links(page: Page) -> str:
    return "".join(f'<li><a href="/{path}">{html.escape(title)}</a></li>' for path, title in page.related)


def _head(page: Page, extra: str = "") -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="{page.site.language}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title_of(page.text))} | {page.site.name}</title>\n"
        '<meta name="viewport" content="width=device-width">\n<link rel="stylesheet" href="/style.css">\n'
        f"{extra}</head>\n"
    )


def _date(page: Page) -> str:
    return f"{1 + page.number % 28:02d}.{1 + page.number % 12:02d}.{2015 + page.number % 9}"


def _news(page: Page, words: Mapping[str, str]) -> str:
    script = f'<script>window.stats={{page:{page.number}}};(function(){{document.cookie="seen=1"}})();</script>\n'
    return f"""{_head(page, script)}<body>
<div id="cookie-banner" role="dialog">{words["cookies"]} <button>{words["accept"]}</button></div>
<header><a href="/">{page.site.name}</a><nav><ul>{_menu(words)}</ul></nav>
<form><input placeholder="{words["search"]}"></form></header>
<main><article><h1>{html.escape(title_of(page.text))}</h1>
<p class="byline">{words["published"]} <time>{_date(page)}</time></p>
{_body(page.text)}
<div class="share">{words["share"]}: <a href="#">Facebook</a> <a href="#">X</a> <a href="#">WhatsApp</a></div>
</article></main>
<aside><h3>{words["related"]}</h3><ul>{_links(page)}</ul></aside>
<footer>{_credit(page, words)}<p>© {page.site.name}. {words["rights"]}</p></footer>
</body></html>"""


def _blog(page: Page, words: Mapping[str, str]) -> str:
    return f"""{_head(page)}<body class="post">
<div class="wrap"><div class="top"><a class="logo" href="/">{page.site.name}</a></div>
<main class="entry"><h1>{html.escape(title_of(page.text))}</h1>
{_body(page.text)}
<p class="tags"><a href="/tag/{page.number % 7}">#{page.number % 7}</a>
<a href="/tag/{page.number % 5}">#{page.number % 5}</a></p>
</main>
<nav class="pager"><a href="/{page.number - 1}">« {words["previous"]}</a>
<a href="/{page.number + 1}">{words["next"]} »</a></nav>
<form class="newsletter"><label>{words["newsletter"]}</label><input type="email"><button>OK</button></form>
<section id="comments"><h3>{words["comments"]}</h3><textarea></textarea></section>
<div class="foot">{_credit(page, words)} {words["cookies"]}</div></div></body></html>"""


def _manual(page: Page, words: Mapping[str, str]) -> str:
    return f"""{_head(page)}<body>
<div class="layout"><aside class="sidebar"><a href="/">{page.site.name}</a><ul>{_menu(words)}{_links(page)}</ul></aside>
<div class="page"><ol class="breadcrumb"><li><a href="/">{words["home"]}</a></li><li>{page.number}</li></ol>
<section id="content"><h1>{html.escape(title_of(page.text))}</h1>
{_body(page.text)}
</section>
<div class="pager"><a href="/{page.number - 1}">{words["previous"]}</a> |
<a href="/{page.number + 1}">{words["next"]}</a></div>
</div></div>
<footer>{_credit(page, words)}</footer></body></html>"""


def _table(page: Page, words: Mapping[str, str]) -> str:
    lines = "<BR><BR>\n".join(html.escape(p, quote=False) for p in paragraphs_of(page.text))
    return f"""<HTML LANG="{page.site.language}"><HEAD>
<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=utf-8">
<TITLE>{page.site.name} - {html.escape(title_of(page.text))}</TITLE></HEAD>
<BODY BGCOLOR="#FFFFEE"><CENTER><FONT SIZE=5><B>{page.site.name}</B></FONT></CENTER><HR>
<TABLE WIDTH="100%" BORDER=0><TR VALIGN=TOP><TD WIDTH=160 BGCOLOR="#DDDDCC"><FONT SIZE=2><UL>{_menu(words)}</UL>
<B>{words["read_also"]}</B><UL>{_links(page)}</UL></FONT></TD>
<TD><FONT FACE="serif">
{lines}
</FONT></TD></TR></TABLE>
<HR><FONT SIZE=1>{_credit(page, words)} {words["rights"]}</FONT></BODY></HTML>"""


def _forum(page: Page, words: Mapping[str, str]) -> str:
    paragraphs = paragraphs_of(page.text)
    third = max(2, len(paragraphs) // 3)
    posts = [paragraphs[start : start + third] for start in range(0, len(paragraphs), third)]
    rows = "\n".join(
        f'<div class="post" id="p{k}"><div class="user"><b>user{(page.number * 7 + k) % 97}</b><br>'
        f'{words["published"]} {_date(page)}</div><div class="message">{_body(chr(10).join(post))}</div>'
        f'<div class="tools"><a href="#p{k}">#{k + 1}</a> <a href="#">{words["share"]}</a></div></div>'
        for k, post in enumerate(posts)
    )
    return f"""{_head(page)}<body>
<div class="bar"><ul>{_menu(words)}</ul></div>
<h2>{html.escape(title_of(page.text))}</h2>
{rows}
<div class="reply">{words["comments"]}<form><textarea></textarea></form></div>
<div class="links"><h4>{words["related"]}</h4><ul>{_links(page)}</ul></div>
<div class="footer">{_credit(page, words)}{page.site.name} · {words["cookies"]}</div></body></html>"""


def _magazine(page: Page, words: Mapping[str, str]) -> str:
    data = f'<script type="application/ld+json">{{"@type":"Article","identifier":{page.number}}}</script>\n'
    lines = paragraphs_of(page.text)
    middle = (len(lines) + 1) // 2
    path, title = page.related[0] if page.related else ("", page.site.name)
    link = f'<a href="/{path}">{html.escape(title)}</a>'
    also = f'<div class="inline-promo"><strong>{words["read_also"]}:</strong> {link}</div>'
    return f"""{_head(page, data)}<body>
<div class="modal consent"><div>{words["cookies"]}</div><span class="btn">{words["accept"]}</span></div>
<div class="masthead"><div class="brand">{page.site.name}</div><div class="nav"><ul>{_menu(words)}</ul></div></div>
<div class="grid"><div class="col-main"><div class="headline"><h1>{html.escape(title_of(page.text))}</h1></div>
<div class="story">{_body(chr(10).join(lines[:middle]), "div")}
{also}
{_body(chr(10).join(lines[middle:]), "div")}</div></div>
<div class="col-side"><div class="ad">[ad]</div><h4>{words["related"]}</h4><ul>{_links(page)}</ul></div></div>
<div class="end">{_credit(page, words)}© {page.site.name} {words["rights"]}</div></body></html>"""


LAYOUTS: dict[str, Callable[[Page, Mapping[str, str]], str]] = {
    "news": _news,
    "blog": _blog,
    "manual": _manual,
    "table": _table,
    "forum": _forum,
    "magazine": _magazine,
}


def draw(page: Page, words: Mapping[str, str]) -> bytes:
    """The page as HTML in UTF-8."""
    return LAYOUTS[page.site.layout](page, words).encode("utf-8")


def _record(kind: str, url: str, content_type: str, block: bytes) -> bytes:
    digest = hashlib.sha1(block).digest()
    mark = hashlib.md5(f"{kind} {url}".encode()).hexdigest()
    uuid = f"{mark[:8]}-{mark[8:12]}-4{mark[13:16]}-8{mark[17:20]}-{mark[20:]}"
    target = f"WARC-Target-URI: {url}\r\n" if kind == "response" else ""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\n{target}WARC-Date: {RECORD_DATE}\r\nWARC-Record-ID: <urn:uuid:{uuid}>\r\n"
        f"WARC-Block-Digest: sha1:{base64.b32encode(digest).decode()}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", 9, mtime=0)


def warc_info(name: str) -> bytes:
    """The record that opens a WARC file, as one gzip member."""
    text = f"software: make_sample.py\r\nformat: WARC File Format 1.0\r\nisPartOf: seallm sample {name}\r\n"
    return _record("warcinfo", name, "application/warc-fields", text.encode())


def warc_response(url: str, body: bytes) -> bytes:
    """One answer of a web server, as one gzip member."""
    kind = "Content-Type: text/html; charset=utf-8"
    head = f"HTTP/1.1 200 OK\r\nServer: nginx\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return _record("response", url, "application/http; msgtype=response", head.encode() + body)
