"""The review page in a real browser, where Chromium is installed."""

import re
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from seallm.review.annotators import invite
from seallm.review.database import FILE, Database
from seallm.review.export import export
from seallm.review.store import fill, open_reviews
from tests.review.live import live_review
from tests.review.rows import CONVERSATIONS, HOSTILE, pair, write
from tests.serve.browser import CHROMIUM, Browser, open_browser

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PAGE = resources.files("seallm.review") / "page"
READY = "!document.getElementById('take-back').disabled"
SHOWN = "document.getElementById('item')?.hidden === false"
DONE = "document.getElementById('nothing')?.hidden === false"


@pytest.mark.parametrize("name", ["index.html", "page.css", "page.js"])
def test_nothing_comes_from_elsewhere_and_text_stays_text(name: str) -> None:
    text = (PAGE / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?:|//[a-z]+\.[a-z]|@import|url\(", text)
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc|setHTML"
    assert not re.findall(sinks, text)
    assert not re.findall(r"\son\w+=|\sstyle=|<style|<script>", text)


class Reviewer:
    """Somebody at the page."""

    def __init__(self, tab: Browser, port: int) -> None:
        self.tab, self.url = tab, f"http://127.0.0.1:{port}/"

    def go(self, fragment: str = "", until: str = SHOWN) -> None:
        self.tab.call("Page.navigate", url="about:blank")
        self.tab.call("Page.navigate", url=self.url + fragment)
        self.tab.wait_until(f"document.readyState === 'complete' && {until}")
        self.tab.wait_until(READY)

    def come(self, name: str, until: str = SHOWN) -> None:
        """As by an invitation, which replaces whoever was there before."""
        self.go("#" + urlencode({"name": name}), until)

    def text(self, identity: str) -> str:
        return str(self.tab.evaluate(f"document.getElementById('{identity}').textContent"))

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.tab.evaluate(f"[...document.querySelectorAll('{selector}')].map(e => e.textContent)")
        return found

    def press(self, key: str, modifiers: int = 0, until: str = f"{SHOWN} || {DONE}") -> None:
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Escape": 27}
        self.tab.press(key, codes.get(key, ord(key[0].upper())), modifiers)
        self.tab.wait_until(READY)
        self.tab.wait_until(until)

    def click(self, identity: str) -> None:
        self.tab.evaluate(f"document.getElementById('{identity}').click()")
        self.tab.wait_until(READY)

    def is_comparison(self) -> bool:
        return self.text("task") == "Which answer is better?"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.look_like(1100, 760)
        yield browser


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def longer_side(reviewer: Reviewer) -> str:
    left, right = reviewer.texts("#left .text")[0], reviewer.texts("#right .text")[0]
    return "ArrowLeft" if len(left) > len(right) else "ArrowRight"


@needs_chromium
def test_a_whole_session_of_two_annotators(tab: Browser, folder: Path) -> None:
    fill(folder, overlap=1.0)
    database = open_reviews(folder)
    with live_review(database) as port:
        reviewer = Reviewer(tab, port)
        tab.messages.clear()
        reviewer.go(until="document.getElementById('door')?.hidden === false")
        assert tab.evaluate("document.activeElement.id") == "name"
        tab.call("Input.insertText", text="สมหญิง")
        tab.press("Enter", 13)
        tab.wait_until(SHOWN)
        for _ in range(7):
            tab.wait_until(READY)
            if reviewer.is_comparison():
                reviewer.press("2", until=SHOWN)
                reviewer.press(longer_side(reviewer))
            elif reviewer.text("item-language").startswith("ລາວ"):
                reviewer.press("e", until=SHOWN)
                tab.call("Input.insertText", text=" ສູ້ໆ")
                reviewer.press("Enter", modifiers=2)
            else:
                reviewer.press("a")
        assert tab.evaluate(DONE)
        assert "You judged 7" in reviewer.text("nothing-about")
        reviewer.click("take-back")
        assert tab.evaluate(SHOWN)
        assert "Taken back" in reviewer.text("status")
        reviewer.press("s")
        reviewer.come("Bo")
        while tab.evaluate(SHOWN):
            tab.wait_until(READY)
            reviewer.press(longer_side(reviewer) if reviewer.is_comparison() else "a")
        assert not [message for message in tab.messages if '"error"' in message]
        tab.call("Page.navigate", url="about:blank")
    report = export(folder, folder / "out")
    assert rows(database, "SELECT annotator, count(*) FROM judgements WHERE verdict <> 'skip' GROUP BY 1") == [
        ("Bo", 7),
        ("สมหญิง", 6),
    ]
    assert report["comparisons"]["th"]["reasons"].get("unnatural language", 0) >= 1
    assert [m["model"] for m in report["comparisons"]["th"]["models"]] == ["dpo", "sft"]  # the longer answers
    assert report["conversations"]["all"]["edited"]["count"] + report["conversations"]["all"]["accepted"]["count"] == 4
    edited = rows(database, "SELECT detail FROM judgements WHERE verdict = 'edit'")
    assert len(edited) <= 1
    assert all("ສູ້ໆ" in detail for (detail,) in edited)


@needs_chromium
def test_hostile_text_stays_text(tab: Browser, tmp_path: Path) -> None:
    hostile = {"messages": [{"role": "user", "content": HOSTILE}, {"role": "assistant", "content": HOSTILE}]}
    compared = {**pair(1), "category": HOSTILE, "prompt": HOSTILE, "language": "<b>x</b>"}
    compared["answers"][0]["text"] = HOSTILE
    fill(write(tmp_path, "a.jsonl", [{**hostile, "language": HOSTILE[:40]}, compared]), overlap=1.0)
    with live_review(open_reviews(tmp_path)) as port:
        reviewer = Reviewer(tab, port)
        reviewer.come("Ann <i>x</i>")
        for _ in range(2):
            assert HOSTILE in reviewer.texts("#item .text")
            assert (
                tab.evaluate("document.querySelectorAll('#item .text *, #language option *, .about span *').length")
                == 0
            )
            if not reviewer.is_comparison():
                reviewer.press("e", until=SHOWN)
                assert tab.evaluate("document.querySelector('#turns textarea').value") == HOSTILE
                reviewer.press("Escape")
            assert tab.evaluate("document.title") == "Review"
            reviewer.press("s")
        tab.call("Page.navigate", url="about:blank")


@needs_chromium
def test_an_edit_outlives_a_reload_and_an_undo_brings_it_back(tab: Browser, folder: Path) -> None:
    fill(folder, overlap=0.0)
    database = open_reviews(folder)
    with live_review(database) as port:
        reviewer = Reviewer(tab, port)
        reviewer.come("Ann")
        tab.evaluate("document.getElementById('language').value = '=km'")
        tab.evaluate("document.getElementById('language').dispatchEvent(new Event('change'))")
        tab.wait_until(f"{READY} && document.getElementById('item-language').textContent.startsWith('ខ្មែរ')")
        assert tab.evaluate("document.querySelector('#turns .text').lang") == "km"
        reviewer.press("e", until=SHOWN)
        assert tab.evaluate("document.getElementById('save-edit').disabled")
        tab.call("Input.insertText", text="បន្ថែម")
        reviewer.go()
        assert tab.evaluate("[...document.querySelectorAll('#turns textarea')].at(-1).value").endswith("បន្ថែម")
        reviewer.press("n", until=SHOWN)  # a letter in a field is a letter
        reviewer.click("save-edit")
        tab.wait_until(DONE)
        assert rows(database, "SELECT verdict FROM judgements") == [("edit",)]
        reviewer.press("u")
        assert tab.evaluate("[...document.querySelectorAll('#turns textarea')].at(-1).value").endswith("បន្ថែម")
        reviewer.press("Escape")
        reviewer.press("r")
        assert rows(database, "SELECT verdict FROM judgements") == [("reject",)]
        tab.evaluate("localStorage.clear()")
        tab.call("Page.navigate", url="about:blank")


@needs_chromium
def test_a_judgement_waits_for_a_busy_database_and_a_server_that_is_away(tab: Browser, folder: Path) -> None:
    fill(folder, overlap=0.0)
    database = Database(folder / FILE, busy_seconds=0.05)
    with live_review(database) as port:
        reviewer = Reviewer(tab, port)
        reviewer.come("Ann")
        other = sqlite3.connect(folder / FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        tab.press("s", 83)
        tab.wait_until(
            "document.getElementById('status').textContent.startsWith('Not saved yet. The database is in use')"
        )
        other.execute("ROLLBACK")
        other.close()
        tab.wait_until(READY)
        assert rows(database, "SELECT count(*) FROM judgements") == [(1,)]
        tab.call("Page.stopLoading")
        port_again = port
    tab.press("s", 83)
    tab.wait_until("document.getElementById('status').textContent.includes('The server cannot be reached')")
    with live_review(database, port_again):
        tab.wait_until(READY)
        assert rows(database, "SELECT count(*) FROM judgements") == [(2,)]
        tab.evaluate("localStorage.clear()")
        tab.call("Page.navigate", url="about:blank")


@needs_chromium
def test_an_invitation_and_a_wrong_token(tab: Browser, folder: Path) -> None:
    fill(folder)
    database = open_reviews(folder)
    token = invite(database, "Ann", ["km", "my"])
    with live_review(database) as port:
        reviewer = Reviewer(tab, port)
        reviewer.go(
            "#" + urlencode({"name": "Ann", "token": "wrong"}), "document.getElementById('door')?.hidden === false"
        )
        assert "token is wrong" in reviewer.text("door-alert")
        tab.wait_until("!document.getElementById('token-box').hidden")
        tab.evaluate("document.getElementById('token').focus()")
        tab.call("Input.insertText", text=token)
        tab.press("Enter", 13)
        tab.wait_until(SHOWN)
        assert len(reviewer.texts("#language option")) == 3
        assert "token" not in tab.evaluate("location.href")
        reviewer.click("go")
        assert tab.evaluate("document.getElementById('door').hidden") is False
        assert "Ann" not in tab.evaluate("localStorage.getItem('review')")
        tab.call("Page.navigate", url="about:blank")


@needs_chromium
def test_nothing_is_wider_than_the_window_and_all_has_a_name(tab: Browser, tmp_path: Path) -> None:
    long = {**pair(1), "prompt": "x" * 300, "language": "my", "category": "y" * 60}
    fill(write(tmp_path, "a.jsonl", [long, *CONVERSATIONS]), overlap=0.0)
    with live_review(open_reviews(tmp_path)) as port:
        reviewer = Reviewer(tab, port)
        reviewer.come("A rather long name of somebody")
        unnamed = "[...document.querySelectorAll('button, select, textarea, input')].filter(e => !e.labels?.length"
        unnamed += " && !e.textContent.trim() && !e.getAttribute('aria-label')).map(e => e.outerHTML)"
        for width in (320, 390, 1100):
            tab.look_like(width, 640)
            for _ in range(2):
                assert tab.evaluate("document.documentElement.scrollWidth") <= width
                assert tab.evaluate("document.getElementById('scroll').scrollWidth <= innerWidth")
                assert tab.evaluate(unnamed) == []
                reviewer.press("s")
        tab.evaluate("localStorage.clear()")
        tab.call("Page.navigate", url="about:blank")
