"""The chat page in Chromium, beyond a conversation: Markdown, comparison, batches, policies, prices, downloads."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seallm.base.sampling import SamplingSettings
from seallm.model.plain_text import PlainText
from seallm.serve.comparing import Comparing, Judgement
from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings
from seallm.serve.page_api import PageParts
from tests.serve.browser import CHROMIUM, Browser, open_browser
from tests.serve.live_server import live_server
from tests.serve.small_model import ANSWERS, HOSTILE, OTHER_ANSWERS, byte_tokenizer

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
IDLE = "document.querySelector('.busy') === null"
MARKDOWN = [
    ("plain\nlines\n\nnew", "<p>plain\nlines</p><p>new</p>"),
    ("**b** *i* ~~s~~ `c` snake_case_name 2*3*4", "<p>{strong:b} {em:i} {s:s} {code:c} snake_case_name 2{em:3}4</p>"),
    ("*a **b** c* and **open", "<p>{em:a {strong:b} c} and **open</p>"),
    ("# Big\n### Small", "<h3>Big</h3><h5>Small</h5>"),
    ("- a\n  - b\n- c\n\nend", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul><p>end</p>"),
    ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    ("> q\n> - r", "<blockquote><p>q</p><ul><li>r</li></ul></blockquote>"),
    ("```html\n<b>*x*\n```\nafter", '<pre tabindex="0" title="html">{code:&lt;b&gt;*x*}</pre><p>after</p>'),
    ("```\nopen", '<pre tabindex="0" title="">{code:open}</pre>'),
    ("---", "<hr>"),
    (
        "| a | b |\n|---|:-:|\n| 1 | 2 | 3 |",
        '<div class="wide" tabindex="0"><table><tbody><tr><th>a</th><th>b</th></tr>'
        "<tr><td>1</td><td>2</td></tr></tbody></table></div>",
    ),
    ("\\*not\\* <b>&amp;</b>", "<p>*not* &lt;b&gt;&amp;amp;&lt;/b&gt;</p>"),
    ("[x](javascript:alert(1)) [y](data:text/html,z) [z](//evil)", None),
    ("*" * 5_000 + "[" * 5_000 + "> " * 5_000 + "- " * 200, None),
]


@pytest.fixture(scope="module")
def judgements() -> list[Judgement]:
    return []


@pytest.fixture(scope="module")
def url(shared_engine: Engine, other_engine: Engine, judgements: list[Judgement]) -> Iterator[str]:
    base = PlainText(byte_tokenizer(["x"], 265)), "base"
    settings = ServerSettings(sampling=SamplingSettings(max_new_tokens=200, temperature=0.0), base=base)

    def identify(text: str) -> str | None:
        return "th" if "ค" in text else None

    parts = PageParts(identify, Comparing((shared_engine, other_engine), judgements.append), max_batch_rows=100)
    with live_server(shared_engine, settings, parts) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(tab: Browser, url: str) -> Browser:
    """The page as on a first visit, with greedy answers."""
    tab.look_like(1000, 700)
    tab.open(url)
    tab.evaluate("sessionStorage.setItem('seallm', JSON.stringify({temperature: 0}))")
    tab.open(url)
    tab.evaluate("document.title = 'safe'")
    return tab


def click(page: Browser, selector: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def ask(page: Browser, text: str) -> None:
    page.type(text)
    page.press("Enter", 13)
    page.wait_until(f"{IDLE} && document.getElementById('message').value === ''")


def texts(page: Browser, selector: str) -> list[str]:
    found = page.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")
    return [str(text) for text in found]


def rendered(page: Browser, text: str) -> str:
    script = "(async () => { const {render} = await import('./markdown.js'); const e = document.createElement('div');"
    script += (
        f"render(e, {json.dumps(text)}); document.body.append(e); const h = e.innerHTML; e.remove(); return h }})()"
    )
    return str(page.evaluate(script)).replace(' lang=""', "")


def test_markdown(page: Browser) -> None:
    for text, expected in MARKDOWN:
        found = rendered(page, text)
        if expected is None:
            assert not re.findall("<(?:a|img|script)", found), text[:80]
            continue
        while "{" in expected:
            head, _, tail = expected.rpartition("{")
            inner, _, rest = tail.partition("}")
            name, _, content = inner.partition(":")
            expected = f"{head}<{name}>{content}</{name}>{rest}"
        assert found == expected
    assert "<img" not in rendered(page, "![p](https://e.invalid/p.png)")
    link = rendered(page, "[a](https://a.invalid/x_y_z) https://b.invalid/.")
    assert link.count("<a") == 2
    assert 'href="https://b.invalid/"' in link
    assert link.count('rel="noopener noreferrer nofollow"') == 2
    assert 'lang="lo"' in rendered(page, "Lao:\n\nສະບາຍດີ")
    assert page.evaluate("document.title") == "safe"


def test_language_price_and_policy_of_a_message(page: Browser) -> None:
    page.type("สวัสดี")
    page.wait_until("document.getElementById('meter').textContent !== ''")
    (price,) = texts(page, "#meter")
    assert price.split(" ")[1:] == ["tokens", "·", "18", "in", "base", f"({18 / int(price.split()[0]):.1f}×)"]
    page.press("Enter", 13)
    page.wait_until(f"{IDLE} && !document.querySelector('.turn.assistant .language').hidden")
    assert texts(page, ".turn.assistant .language") == ["Thai"]
    ask(page, "Count")
    page.open(page.evaluate("location.href"))
    assert texts(page, ".turn.assistant .language")[0] == "Thai"
    click(page, "#open-settings")
    options = page.evaluate("[...document.getElementById('policy').options].map(o => o.value)")
    assert options[:2] == ["", "default"]
    page.evaluate("document.getElementById('policy').value = 'th'")
    page.evaluate("document.getElementById('policy').dispatchEvent(new Event('input'))")
    page.press("Escape", 27)
    page.evaluate(
        "window.sent = []; window.plain = fetch; window.fetch = (u, h) => { sent.push(h?.body); return plain(u, h) }"
    )
    click(page, "#new")
    ask(page, "Hello")
    (body,) = (b for b in page.evaluate("sent") if b and "messages" in b)
    assert json.loads(body)["policy"] == "th"


def test_the_conversation_is_downloaded(page: Browser) -> None:
    ask(page, "สวัสดี")
    page.wait_until("!document.querySelector('.turn.assistant .language').hidden")
    page.evaluate("window.saved = new Promise(r => { URL.createObjectURL = b => { b.text().then(r); return '#' } }); 0")
    click(page, "#export")
    record = json.loads(page.evaluate("saved"))
    assert [message["content"] for message in record["messages"]] == ["สวัสดี", ANSWERS["สวัสดี"]]
    assert (record["language"], record["model"]) == ("th", "small/sft")


def test_two_models_side_by_side(page: Browser, judgements: list[Judgement]) -> None:
    click(page, "#tab-compare")
    ask(page, "Hello")
    shown = texts(page, ".sides .text")
    assert sorted(shown) == sorted([ANSWERS["Hello"], OTHER_ANSWERS["Hello"]])
    assert texts(page, ".name") == ["Left", "Right"]
    assert page.evaluate("document.activeElement.dataset.verdict") == "left"
    page.press("2", 50)  # without a name it is asked for
    assert page.evaluate("document.activeElement.tagName") == "INPUT"
    assert not judgements
    page.call("Input.insertText", text="Noy 2")
    page.evaluate("for (const time of [1, 2]) document.querySelector('[data-verdict=right]').click()")  # by mistake
    page.wait_until("document.querySelector('.verdicts').hidden")
    assert texts(page, ".pair .note") == ["You said: right is better."]
    (judgement,) = judgements
    assert (judgement.annotator, judgement.verdict, judgement.pair.texts) == ("Noy 2", "right", tuple(shown))
    names = {ANSWERS["Hello"]: "small/sft", OTHER_ANSWERS["Hello"]: "other/sft"}
    assert texts(page, ".name") == [names[text] for text in shown]
    ask(page, "Count")
    page.open(page.evaluate("location.href"))  # it outlives a reload, verdict and all
    assert texts(page, ".question") == ["Hello", "Count"]
    assert texts(page, ".name")[:2] == [names[text] for text in shown]
    click(page, "#new")
    ask(page, "Attack")
    assert page.evaluate("document.querySelectorAll('.pair img, .pair script, .pair a').length") == 0
    assert page.evaluate("document.title") != "owned"
    assert page.evaluate("document.getElementById('send').disabled")  # a judgement is waited for
    click(page, ".skip")
    page.type("Count")
    assert not page.evaluate("document.getElementById('send').disabled")


def test_a_comparison_goes_on_when_its_history_is_too_long(page: Browser) -> None:
    pairs = [{"question": "word " * 200, "texts": ["a", "b"], "id": None} for _ in range(3)]
    page.evaluate(f"sessionStorage.setItem('seallm', JSON.stringify({{tab: 'compare', pairs: {json.dumps(pairs)}}}))")
    page.open(page.evaluate("location.href"))
    ask(page, "Hello")
    assert all(texts(page, ".pair:last-child .sides .text"))
    assert not page.evaluate("document.querySelector('.pair:last-child .note').classList.contains('alert')")


def drop(page: Browser, name: str, content: str) -> None:
    page.evaluate(
        f"""(() => {{
            const transfer = new DataTransfer();
            transfer.items.add(new File([{json.dumps(content)}], {json.dumps(name)}));
            const event = new DragEvent("drop", {{ dataTransfer: transfer }});
            document.getElementById("drop").dispatchEvent(event);
        }})()"""
    )


def downloaded(page: Browser) -> Callable[[], list[Any]]:
    page.evaluate("window.saved = new Promise(r => { URL.createObjectURL = b => { b.text().then(r); return '#' } }); 0")
    return lambda: [json.loads(line) for line in page.evaluate("saved").splitlines()]


def test_a_file_of_prompts(page: Browser) -> None:
    click(page, "#tab-batch")
    drop(page, "a.pdf", "x")
    page.wait_until("!document.getElementById('file-problem').hidden")
    assert "expected .jsonl, .csv or .txt" in texts(page, "#file-problem")[0]
    hostile = "<img src=x onerror=document.title='owned'>.jsonl"
    rows = ["Count", "Attack"] * 3
    drop(page, hostile, "\n".join([json.dumps({"prompt": text}) for text in rows] + ["<script>"]))
    page.wait_until("document.querySelector('.batch .state')?.textContent.startsWith('Finished')")
    assert texts(page, ".batch .state") == ["Finished · 6 of 7 answered · 1 without an answer"]
    assert texts(page, ".batch li") == ["Line 7: not JSON: Expecting value"]
    page.open(page.evaluate("location.href"))
    page.wait_until("document.querySelector('.batch .state')?.textContent.startsWith('Finished')")
    assert texts(page, ".file-name") == [hostile]
    lines = downloaded(page)
    click(page, ".batch .download")
    assert [line["answer"] for line in lines()] == [ANSWERS["Count"], HOSTILE] * 3 + [None]
    drop(page, "long.txt", "Hello\n" * 100)
    page.wait_until("document.querySelectorAll('.batch').length === 2")
    click(page, ".batch .stop")
    page.wait_until("/^(Stopped|Finished)/.test(document.querySelector('.batch .state').textContent)")
    click(page, ".batch .forget")
    assert len(texts(page, ".batch")) == 1
    assert page.evaluate("document.title") != "owned"


@pytest.mark.parametrize("name", ["chat", "compare", "batch"])
def test_a_phone_holds_every_tab(page: Browser, tmp_path: Path, name: str) -> None:
    page.look_like(320, 640)
    click(page, f"#tab-{name}")
    if name == "batch":
        drop(page, "x" * 200 + ".txt", "Count")
        page.wait_until("document.querySelector('.batch') !== null")
    else:
        ask(page, "x" * 200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate(
        "document.getElementById('scroll').scrollWidth <= document.getElementById('scroll').clientWidth"
    )
    page.look_like(320, 640, dark=True)
    page.picture(tmp_path / "dark.png")
    assert (tmp_path / "dark.png").stat().st_size > 1_000


def test_everything_is_reached_by_tab(page: Browser) -> None:
    ask(page, "Count")
    reached = set()
    for _ in range(20):
        page.press("Tab", 9)
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    wanted = {"tab-chat", "tab-compare", "tab-batch", "open-settings", "export", "new", "message"}
    assert reached >= wanted
    assert any("again" in name for name in reached)
