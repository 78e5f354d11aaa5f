"""The chat page: what is served, and, where Chromium is installed, how it behaves."""

import re
import time
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from seallm.base.records import Message
from seallm.model.generation import SamplingSettings
from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings, make_app
from seallm.serve.loading import load_engine
from seallm.web.guard import SECURITY_HEADERS, GuardSettings
from tests.serve.browser import CHROMIUM, Browser, open_browser
from tests.serve.live_server import live_server
from tests.serve.small_model import ANSWERS, HOSTILE

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PAGE, SHARED = resources.files("seallm.serve") / "page", resources.files("seallm.web") / "page"
FILES = sorted([*PAGE.iterdir(), *SHARED.iterdir()], key=lambda file: file.name)
SCRIPTS = [file for file in FILES if file.name.endswith(".js")]
TURNS = "document.getElementById('turns')"
MARKUP = "[...document.querySelectorAll('.text *')].map(e => e.tagName).filter(name => name !== 'P')"
IDLE = "document.querySelector('.busy') === null"
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_served_with_its_policy(shared_engine: Engine, file: Traversable) -> None:
    settings = ServerSettings(GuardSettings(api_key="k"))  # the page itself needs none
    client = TestClient(make_app(shared_engine, settings), base_url="http://localhost")
    response = client.get("/" if file.name == "index.html" else f"/{file.name}")
    assert response.content == file.read_bytes()
    media_type = MEDIA_TYPES[file.name.rpartition(".")[2]]
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert response.headers["content-security-policy"] == SECURITY_HEADERS["content-security-policy"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere(file: Traversable) -> None:
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?://[\w]|[^:]//[a-z]+\.[a-z]|@import|url\(", text)


def test_text_can_only_become_text() -> None:
    script = "".join(file.read_text(encoding="utf-8") for file in SCRIPTS)
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc|setHTML"
    assert not re.findall(sinks, script)
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"\son\w+=|\sstyle=|<style|<script>", page)


@pytest.fixture(scope="module")
def url(small_run: Path) -> Iterator[str]:
    engine = load_engine(small_run)
    settings = ServerSettings(sampling=SamplingSettings(max_new_tokens=200, temperature=0.0))
    with live_server(engine, settings) as port:
        yield f"http://127.0.0.1:{port}/"
    engine.close()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(tab: Browser, url: str) -> Browser:
    """The page as on a first visit, with greedy answers."""
    tab.look_like(1000, 700)
    tab.open(url)
    tab.evaluate("sessionStorage.clear()")
    tab.evaluate("sessionStorage.setItem('seallm', JSON.stringify({temperature: 0}))")
    tab.open(url)
    tab.messages.clear()
    return tab


def ask(page: Browser, text: str) -> None:
    page.type(text)
    page.evaluate("document.getElementById('send').click()")
    page.wait_until(f"{TURNS}.children.length > 0 && {IDLE}")


def turns(page: Browser) -> list[tuple[str, str]]:
    """Role and text of every turn that is shown."""
    script = f"[...{TURNS}.children].map(e => [e.classList[1], e.querySelector('.text').textContent])"
    return [(role, text) for role, text in page.evaluate(script)]


@needs_chromium
def test_a_conversation(page: Browser) -> None:
    assert page.evaluate("document.getElementById('model').textContent") == "small/sft"
    ask(page, "สวัสดี")
    assert turns(page) == [("user", "สวัสดี"), ("assistant", ANSWERS["สวัสดี"])]
    assert page.evaluate("[...document.querySelectorAll('.text')].map(e => e.lang)") == ["th", "th"]
    assert re.fullmatch(r"\d+ / 512 tokens", page.evaluate("document.getElementById('room').textContent"))
    page.open(page.evaluate("location.href"))
    assert len(turns(page)) == 2
    page.evaluate("document.querySelector('.turn.assistant .again').click()")
    page.wait_until(IDLE)
    assert turns(page) == [("user", "สวัสดี"), ("assistant", ANSWERS["สวัสดี"])]
    page.evaluate("document.querySelector('.turn.user .edit').click()")
    page.evaluate("document.getElementById('message').value = ''")
    ask(page, "Count")
    assert turns(page) == [("user", "Count"), ("assistant", ANSWERS["Count"])]
    page.evaluate("document.getElementById('new').click()")
    assert turns(page) == []
    assert not page.evaluate("document.getElementById('welcome').hidden")
    assert not [message for message in page.messages if '"error"' in message]


@needs_chromium
def test_a_message_that_never_fits_costs_no_history(page: Browser) -> None:
    ask(page, "Hello")
    ask(page, "Count")
    ask(page, "word " * 600)
    assert "512 positions" in page.evaluate("document.querySelector('.turn:last-child .note').textContent")
    assert page.evaluate("document.querySelectorAll('.forgotten').length") == 0


@needs_chromium
def test_hostile_text_stays_text(page: Browser) -> None:
    ask(page, "Attack")
    assert turns(page)[1] == ("assistant", HOSTILE)
    ask(page, HOSTILE)
    assert turns(page)[2] == ("user", HOSTILE)
    assert page.evaluate(MARKUP) == []
    assert page.evaluate("document.title") == "small/sft"
    page.open(page.evaluate("location.href"))  # and after a reload, from storage
    assert page.evaluate(MARKUP) == []
    assert page.evaluate("document.title") == "small/sft"


@needs_chromium
def test_markup_that_got_in_by_a_mistake_would_not_run(page: Browser) -> None:
    attempt = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=document.title=1>')"
    assert "TrustedHTML" in page.evaluate(
        f"(() => {{ try {{ {attempt}; return '' }} catch (e) {{ return String(e) }} }})()"
    )
    assert page.evaluate("document.title") == "small/sft"


@needs_chromium
def test_keys(page: Browser) -> None:
    page.type("one")
    page.press("Enter", 13, modifiers=8)  # with Shift
    page.call("Input.insertText", text="two")
    assert page.evaluate("document.getElementById('message').value") == "one\ntwo"
    assert turns(page) == []
    page.press("Enter", 13)
    page.wait_until(IDLE)
    assert turns(page)[0] == ("user", "one\ntwo")


@needs_chromium
def test_stopping(tab: Browser, small_run: Path) -> None:
    engine = load_engine(small_run)
    endless = engine.request([Message("user", "Hello")], SamplingSettings(400, 2.0), num_answers=10_000)
    other = engine.stream(endless)
    next(other)  # the page's request will wait behind this one
    with live_server(engine, ServerSettings()) as port:
        tab.open(f"http://127.0.0.1:{port}/")
        tab.type("Count")
        tab.press("Enter", 13)
        tab.wait_until("!document.getElementById('stop').hidden")
        deadline = time.monotonic() + 20
        while engine.num_pending < 2:
            assert time.monotonic() < deadline
        tab.press("Escape", 27)
        tab.wait_until(f"{IDLE} && document.getElementById('stop').hidden")
        assert tab.evaluate("document.querySelector('.turn:last-child .note').textContent") == "Stopped."
        while engine.num_pending > 1:
            assert time.monotonic() < deadline, "the server still works for it"
        tab.call("Page.navigate", url="about:blank")
    engine.close()


@needs_chromium
def test_a_key_is_asked_for(tab: Browser, shared_engine: Engine) -> None:
    settings = ServerSettings(GuardSettings(api_key="right"), sampling=SamplingSettings(100, 0.0))
    with live_server(shared_engine, settings) as port:
        tab.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        tab.wait_until("document.getElementById('settings')?.open && !document.getElementById('key-box').hidden")
        for key in ("wrong", "right"):
            tab.evaluate("document.getElementById('key').select()")
            tab.call("Input.insertText", text=key)
            tab.press("Enter", 13)
            if key == "wrong":
                tab.wait_until("document.getElementById('about-key').textContent.includes('not the server')")
                tab.wait_until("document.getElementById('settings').open")
        tab.wait_until("document.getElementById('model').textContent === 'small/sft'")
        tab.evaluate("document.getElementById('temperature').value = 0")
        tab.evaluate("document.getElementById('temperature').dispatchEvent(new Event('input'))")
        ask(tab, "Count")
        assert turns(tab)[1] == ("assistant", ANSWERS["Count"])
        tab.call("Page.navigate", url="about:blank")


@needs_chromium
@pytest.mark.parametrize("width", [320, 1000])
def test_nothing_is_wider_than_the_window(page: Browser, width: int) -> None:
    page.look_like(width, 640, phone=width < 500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ask(page, "x" * 300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "document.getElementById('scroll').scrollWidth <= document.getElementById('scroll').clientWidth"
    )
