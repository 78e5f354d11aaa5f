"""Parts of documents in, WARC files and the truth about every page out.

Most pages hold one part. Among them are exact copies, near copies, pages in other languages, junk, an empty page, a
page that is not UTF-8, and a damaged gzip member: work for the corpus stage, with a truth file to check it against.
"""

import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sample_parts.pages import LAYOUTS, Page, Site, draw, title_of, warc_info, warc_response
from sample_parts.sources import LANGUAGES, SPACED, Part, Row, Source, is_in_language, prose_share

FILES = {"news": "news", "magazine": "news", "blog": "blogs", "forum": "blogs", "manual": "manuals", "table": "manuals"}
MIXED_EVERY = 9  # one good page in nine goes to the file with the junk
EXACT_COPIES = 2
NEAR_COPIES = 2
NEAR_SHARE = 0.04
NEAR_RUN_UNITS = 4  # changed words stand together, as an edited phrase does
CLUSTERS_PER_WORD = 4
REAL_PAGES = 10
REAL_PAGE_BYTES = (9_000, 24_000)


@dataclass(frozen=True)
class Entry:
    """One stored answer of a web server and what is known about it."""

    file: str
    url: str
    body: bytes
    kind: str
    language: str | None
    source: str
    licence: str
    copy_of: str | None = None

    def truth(self) -> dict[str, str | None]:
        """Its line in truth.jsonl."""
        keys = ("url", "kind", "language", "source", "licence", "copy_of", "file")
        return {key: getattr(self, key) for key in keys}


def sites_of(texts: Row, language: str) -> list[Site]:
    """The three sites of a language; neighbouring languages get other layouts."""
    layouts = list(LAYOUTS)
    first = 3 * LANGUAGES.index(language) % 5
    return [
        Site(host, name, layouts[(first + 2 * k) % len(layouts)], language)
        for k, (host, name) in enumerate(texts["sites"][language])
    ]


def real_pages(data: Path, language: str) -> dict[str, bytes]:
    """Original HTML of LibreOffice Help by document id, and of the UDHR: pages whose layout is not ours."""
    folder = data / "html" / language
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("lo_*.html")) if folder.exists() else []:
        body = path.read_bytes()
        text = re.sub(r"<[^>]+>", "", re.sub(r"<(script|style|head).*?</\1>", "", body.decode("utf-8"), flags=re.S))
        lines = "\n".join(line for line in text.split("\n") if line.strip())
        fits = REAL_PAGE_BYTES[0] <= len(body) <= REAL_PAGE_BYTES[1]
        if fits and is_in_language(lines, language) and prose_share(lines, language) > 0.5:
            found[path.stem] = body
    chosen = dict(list(found.items())[:: max(1, len(found) // REAL_PAGES)][:REAL_PAGES])
    if language != "lo":  # a third of all Lao prose: kept in parts, so that no single draw takes it away
        chosen |= (
            {path.stem: path.read_bytes() for path in sorted(folder.glob("udhr_*.html"))} if folder.exists() else {}
        )
    return chosen


def real_entries(data: Path, language: str, sources: dict[str, Source]) -> Iterator[Entry]:
    """Entries for the original pages."""
    for stem, body in real_pages(data, language).items():
        is_help = stem.startswith("lo_")
        source = sources["libreoffice-help" if is_help else "udhr"]
        url = f"https://{'office-help' if is_help else 'udhr'}.example/{language}/{stem}.html"
        yield Entry("manuals", url, body, "html", language, source.name, source.licence)


def page_entries(parts: list[Part], language: str, texts: Row, rng: random.Random) -> list[tuple[Page, Entry]]:
    """One page a part, on the language's sites in turn."""
    sites = sites_of(texts, language)
    placed = []
    for number, part in enumerate(parts):
        site = sites[number % len(sites)]
        neighbours = rng.sample(range(len(parts)), min(6, len(parts)))
        related = tuple((f"{language}/{k}", title_of(parts[k].text)) for k in neighbours if k != number)[:5]
        page = Page(site, f"{language}/{number}.html", part.text, part.source, related, number)
        file = "mixed" if number % MIXED_EVERY == MIXED_EVERY - 1 else FILES[site.layout]
        placed.append((page, _entry(page, file, "good", texts)))
    return placed


def _entry(page: Page, file: str, kind: str, texts: Row, copy_of: str | None = None) -> Entry:
    body = draw(page, texts["words"][page.site.language])
    return Entry(file, page.url, body, kind, page.site.language, page.source.name, page.source.licence, copy_of)


def copies(placed: list[tuple[Page, Entry]], texts: Row, rng: random.Random) -> Iterator[Entry]:
    """Exact copies (the same page at another address; the same text on another site) and near copies."""
    long_enough = [page for page, entry in placed if len(entry.body) > 2_500 and page.source.name != "tldr-pages"]
    originals = rng.sample(long_enough, EXACT_COPIES + NEAR_COPIES)
    sites = sites_of(texts, originals[0].site.language)
    for k, page in enumerate(originals):
        path = f"{page.site.language}/copy-{page.number}.html"
        other = sites[(sites.index(page.site) + 1) % len(sites)]
        if k == 0:
            yield replace(_entry(page, "blogs", "exact", texts, page.url), url=f"https://{page.site.host}/{path}")
        elif k < EXACT_COPIES:
            yield _entry(replace(page, site=other, path=path), "news", "exact", texts, page.url)
        else:
            text = near_text(page.text, page.site.language, rng)
            yield _entry(replace(page, path=path, text=text), "manuals", "near", texts, page.url)


def clusters(text: str) -> list[str]:
    """Base characters with their marks, so that no mark is torn off."""
    found: list[str] = []
    for character in text:
        if found and unicodedata.category(character) in ("Mn", "Mc", "Cf"):
            found[-1] += character
        else:
            found.append(character)
    return found


def near_text(text: str, language: str, rng: random.Random) -> str:
    """The text with about 4 % of its words replaced by others of its own, in runs of four."""
    spaced = language in SPACED
    units = re.split(r"(?<=\s)", text) if spaced else clusters(text)
    run = NEAR_RUN_UNITS * (1 if spaced else CLUSTERS_PER_WORD)
    words = [unit for unit in units if unit.strip() and "\n" not in unit]
    for _ in range(max(1, round(NEAR_SHARE * len(units) / run))):
        start = rng.randrange(max(1, len(units) - run))
        for k in range(start, min(start + run, len(units))):
            units[k] = units[k] if "\n" in units[k] else rng.choice(words)
    return unicodedata.normalize("NFC", "".join(units))


def junk_texts(rng: random.Random) -> list[str]:
    """Spam, link lists, repeated lines, symbols, random letters, bare numbers."""

    def word() -> str:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randrange(2, 11)))

    def links(count: int) -> str:
        return "\n".join(f"http://{word()}.example/{word()}?q={rng.randrange(10**6)}" for _ in range(count))

    return [
        (f"{word()} {word()} buy cheap online now best price free shipping ") * 40,
        "slot gacor maxwin hari ini daftar sekarang bonus 100% " * 40,
        links(60),
        links(30) + "\n" + " | ".join(word() for _ in range(120)),
        "\n".join(["Click here to continue reading the full story"] * 60),
        "\n".join(["ดูหนังออนไลน์ฟรี คลิกที่นี่"] * 60),
        "".join(rng.choice("#@*~^|{}[]=+-_/\\") for _ in range(1_500)),
        "★☆♥♦ " * 400,
        " ".join(word() for _ in range(400)),
        " ".join(word() for _ in range(350)),
        "\n".join(" ".join(f"{rng.randrange(10**5):5d}" for _ in range(8)) for _ in range(60)),
        "Page not found. Go back. " * 3,
    ]


def odd_entries(parts: dict[str, Part], texts: Row, sources: dict[str, Source], rng: random.Random) -> Iterator[Entry]:
    """Foreign pages, junk, an empty page, an answer without a body, and a page with bytes that are not UTF-8."""
    own = sources["seallm-sample"]
    site = Site("mixed.example", "Mixed", "blog", "en")
    for language, sentences in texts["foreign"].items():
        for number in range(3):
            order = rng.sample(sentences, len(sentences))
            page = Page(site, f"{language}/{number}.html", "\n".join(order), own, (), number)
            yield replace(_entry(page, "mixed", "foreign", texts), language=language)
    for number, text in enumerate(junk_texts(rng)):
        layout = replace(site, layout=list(LAYOUTS)[number % len(LAYOUTS)])
        page = Page(layout, f"junk/{number}.html", text, own, (), number)
        yield replace(_entry(page, "mixed", "junk", texts), language=None)
    bare = b"<!DOCTYPE html><html><head><title></title></head><body></body></html>"
    for number, body in enumerate((bare, b"")):
        url = f"https://mixed.example/empty/{number}.html"
        yield Entry("mixed", url, body, "empty", None, own.name, own.licence)
    part = parts["th"]
    page = Page(sites_of(texts, "th")[0], "th/broken-bytes.html", part.text, part.source, (), 1)
    entry = _entry(page, "mixed", "invalid_utf8", texts)
    middle = len(entry.body) // 2
    body = entry.body[:middle] + b"\xff\xfe\x80" + entry.body[middle + 1 :]
    yield replace(entry, body=body)


def damaged_entry(part: Part, texts: Row) -> Entry:
    """A page whose gzip member breaks off in the middle."""
    page = Page(sites_of(texts, part.language)[0], f"{part.language}/cut-off.html", part.text, part.source, (), 2)
    return _entry(page, "mixed", "damaged", texts)


def warc_bytes(name: str, entries: list[Entry]) -> bytes:
    """One WARC file: gzip members one after the other; a damaged one is cut at half its length."""
    members = [warc_info(name)]
    for entry in entries:
        member = warc_response(entry.url, entry.body)
        members.append(member[: len(member) // 2] if entry.kind == "damaged" else member)
    return b"".join(members)


def place(entries: list[Entry], damaged: Entry, rng: random.Random) -> dict[str, list[Entry]]:
    """Entries by file, in random order; the damaged one at two thirds of the mixed file."""
    files: dict[str, list[Entry]] = {}
    for entry in entries:
        files.setdefault(entry.file, []).append(entry)
    for listed in files.values():
        rng.shuffle(listed)
    files["mixed"].insert(2 * len(files["mixed"]) // 3, damaged)
    return files
