"""A page's HTML in, what to leave out of it; its lines with link marks in, the lines of the article out.

Two kinds of evidence, neither of which looks at the language. First, what the page says of itself: elements for
navigation, roles, and words in `class` and `id` such as `breadcrumb`. Second, where the links are: runs of lines that
are nothing but links are menus (link density and the judgement of blocks by their neighbours are from jusText:
Pomikalek 2011, Removing Boilerplate and Duplicate Content from Web Corpora, section 3.2).
"""

import functools
import re

LINK, LINK_END, HEADING = "\ufdd0", "\ufdd1", "\ufdd2"  # non-characters: no text holds them
MARKS = LINK + LINK_END + HEADING
FRAME_ELEMENTS = (
    *("nav", "footer", "aside", "header:not(:has(h1)):not(:has(h2))", "dialog", "button", "select", "rt", "rp"),
    "[hidden]",
    *(f"[role={role}]" for role in ("navigation", "banner", "contentinfo", "complementary", "search", "dialog")),
    *(f"[role={role}]" for role in ("alertdialog", "menu", "menubar", "toolbar")),
    "[aria-hidden=true]",
    '[style*="display:none"]',
    '[style*="display: none"]',
)
MIN_LINK_SHARE = 0.7  # of a line's characters, to call it a line of links
MIN_RUN_LINES = 3  # lines of links in a row that make a menu
MAX_SELECTORS = 500  # every element is held against every one of them; pages have some dozens


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FRAME = _words(
    "nav navbar navigation navheader navfooter menu menubar submenu breadcrumb breadcrumbs sidebar footer toc "
    "pagination pager cookie cookies adsbygoogle newsletter modal popup"
)
_NOISE = _FRAME | _words(
    "masthead paging consent gdpr share sharing sharedaddy social socials addtoany advert adverts advertisement "
    "advertising ads sponsor sponsored promo lightbox subscribe subscription related recommended recommendations "
    "trending popular skiplink editsection"
)
_HIDDEN = _words("hidden invisible noprint d-none sr-only visually-hidden screen-reader-text skip-link")
# of an element that holds the article, whatever else its name says: `content-sidebar-wrap`
_LAYOUT = _words(
    "content contents main body wrap wrapper container layout inner outer row col column grid has with no without"
)
_VALUE = r"""\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'|([^\s"'<>=`]+))"""
_CLASS, _ID = re.compile(f"class{_VALUE}"), re.compile(f"id{_VALUE}")
_WORD_BREAKS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")
_SEPARATOR = re.compile(f"[|»›>·•/\\-–—,:\\s{MARKS}]+")
# white space that only a mark kept from collapsing
_SPACED_MARKS = re.compile(f"((?:^|(?<=[ \t]))[{MARKS}]+) ")
_CELL_BREAK = re.compile(r" *\t{2,} *")
_ANCHORED = re.compile(f"{LINK}([^{LINK}{LINK_END}]*){LINK_END}?")


def noise_selectors(html: str) -> list[str]:
    """CSS selectors of the first elements whose `class` or `id` names a part of a frame, in the page's order."""
    classes = dict.fromkeys(map("".join, _CLASS.findall(html)))
    ids = dict.fromkeys(map("".join, _ID.findall(html)))
    selectors = [f'[class="{value}"]' for value in classes if names_noise(value)]
    selectors += [f'[id="{value}"]' for value in ids if names_noise(value, is_id=True)]
    return selectors[:MAX_SELECTORS]


@functools.lru_cache(maxsize=50_000)
def names_noise(value: str, is_id: bool = False) -> bool:
    """True where a `class` or `id` is that of a menu, an advertisement and so on.

    Args:
        value: of the attribute, such as `post-share-buttons wide`.
        is_id: ids are often made of a heading's words (`related-work`), so every word must be one of a frame.
    """
    if any(character in value for character in '"\\&\n\r\f\0'):  # would have to be quoted in a selector
        return False
    names = value.lower().split()
    if ":" not in value and not _HIDDEN.isdisjoint(names):  # `hidden md:block` is shown on wide screens
        return True
    words = {word.lower() for word in _WORD_BREAKS.split(value) if word}
    if is_id:
        return bool(words) and words <= _FRAME
    return not words & _LAYOUT and not _NOISE.isdisjoint(words)


def article_lines(marked: str) -> str:
    """The text without its menus: runs of lines of links, and lines of links before the first text and after the last.

    Args:
        marked: the page's text; LINK and LINK_END stand around links, HEADING before headings.
    """
    lines = marked.split("\n")
    dropped = _find_menus(lines) if LINK in marked else set()
    kept: list[str] = []
    for number, line in enumerate(lines):
        clean = "" if number in dropped else _clean_line(line)
        if clean or (kept and kept[-1]):  # one blank line between paragraphs
            kept.append(clean)
    return "\n".join(kept).rstrip("\n")


def _clean_line(line: str) -> str:
    if LINK in line or LINK_END in line or HEADING in line:
        line = _SPACED_MARKS.sub(r"\1", line)
        for mark in MARKS:
            line = line.replace(mark, "")
    line = line.rstrip()
    return _CELL_BREAK.sub("\t", line.lstrip("\t")) if "\t\t" in line else line


def _find_menus(lines: list[str]) -> set[int]:
    """Numbers of the lines that are part of a menu, and of headings that have nothing else under them."""
    filled = [number for number, line in enumerate(lines) if line and not line.isspace()]
    headings = [HEADING in lines[number] for number in filled]
    links = [LINK in lines[n] and not h and _is_of_links(lines[n]) for n, h in zip(filled, headings, strict=True)]
    texts = [place for place in range(len(filled)) if not links[place] and not headings[place]]
    if not texts and len(filled) < MIN_RUN_LINES:  # too little to judge
        return set()
    first, last = (texts[0], texts[-1]) if texts else (len(filled), -1)
    dropped: set[int] = set()
    start = 0
    for end in range(len(filled) + 1):
        if end < len(filled) and links[end]:
            continue
        if end - start >= MIN_RUN_LINES or end <= first or start > last:
            dropped.update(range(start, end))
        start = end + 1
    rest: int | None = None  # the next line that stays
    for place in range(len(filled) - 1, -1, -1):
        if headings[place] and place + 1 in dropped and (rest is None or headings[rest]):
            dropped.add(place)
        rest = rest if place in dropped else place
    return {filled[place] for place in dropped}


def _is_of_links(marked: str) -> bool:
    linked = sum(map(len, _ANCHORED.findall(marked)))
    beside = len(_SEPARATOR.sub("", _ANCHORED.sub("", marked)))
    return linked > 0 and linked >= MIN_LINK_SHARE * (linked + beside)
