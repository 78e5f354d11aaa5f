"""What the page shows of a made-up run, what it leaves out, and what it must never let through."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from seallm.base.errors import DataError
from seallm.base.files import write_json
from seallm.evaluate.instruction_data import instruction_figures, instruction_sources
from seallm.evaluate.report_page import SECTIONS
from tests.evaluate.report_run import LANGUAGES, MODELS, SENTENCES, report, write_run
from tests.folders import TIMINGS

HOSTILE = '</td></section><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x00\ud800 & "q" {{ 7*7 }} ]]>'
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """The page's elements; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> list[str | None]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def text(self) -> str:
        return re.sub(r"[ \t\n]+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return folder


@pytest.fixture(scope="module")
def inputs(run_folder: Path) -> dict[str, Path]:
    return {path.name: path for path in run_folder.iterdir()}


@pytest.fixture(scope="module")
def made(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    return report(inputs, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(made: tuple[str, dict[str, Any]]) -> Page:
    return Page(made[0])


def test_shows_every_section(page: Page) -> None:
    assert {*SECTIONS, "settings", "timings"} <= set(page.ids())
    assert "left out" not in page.text()
    for wanted in (
        "Knowledge quiz",
        "XCOPA",
        "NTREX from English",
        "round trip exact",
        "prefers the longer answer",
        "Safety against helpfulness",
    ):
        assert wanted in page.text()


def test_instruction_data_is_shown_with_what_was_dropped(made: tuple[str, dict[str, Any]], page: Page) -> None:
    figures = made[1]["instructions"]
    assert figures["total"]["all"] == 10 * 6 * 70 + 6 * 240
    assert figures["total"]["parts"] == {"hybrid": 1_440, "sft": 3_600, "held_out": 180, "left_over": 420}
    assert figures["rows"][4]["categories"] == {"math-logic": 210, "safety": 210}
    assert figures["rows"][4]["sources"][0] == {
        "source": "alpaca",
        "all": 140,
        "categories": {"math-logic": 70, "safety": 70},
    }
    assert figures["total"]["dropped"] == {"near_duplicate": 50, "turn_language": 20}
    words = " ".join(page.text().split())
    for wanted in (
        "Instruction data",
        "answer in another language",
        "4 rows could not be read; 30 conversations in other languages were not wanted.",
        "Imported preferences: 50 kept, 3 dropped (exact copy).",
        "Answers held out of fine-tuning",
    ):
        assert wanted in words
    whole = made[1]["held_out_loss"][0]
    assert whole == {"language": "all", "n": 3, "before": 3.0, "lowest": 1.0, "after": 1.5}


def test_many_sources_are_summed(tmp_path: Path) -> None:
    row = {
        "language": "en",
        "category": "",
        "licence": "",
        "hybrid": 0,
        "sft": 1,
        "held_out": 0,
        "left_over": 0,
        "all": 1,
    }
    write_json(tmp_path / "mix.json", [{**row, "source": f"s{n:03d}"} for n in range(40)])
    figures = instruction_figures(tmp_path, ["en"])
    assert figures is not None
    assert [source["source"] for source in figures["rows"][0]["sources"]][-2:] == ["s029", "10 others"]
    assert [row["place"] for row in instruction_sources(tmp_path, ["sft"])][-1] == "28 others"


def test_safety_stands_against_helpfulness(made: tuple[str, dict[str, Any]]) -> None:
    """One point a model with its interval, and one dot a language."""
    drawn = made[0].split('class="safety-map"')[1].split("</svg>")[0]
    assert drawn.count('class="point"') == 2
    assert drawn.count('class="interval"') == 4
    assert drawn.count('class="dot"') == 2 * len(made[1]["languages"])


def test_headline_says_what_the_figures_say(made: tuple[str, dict[str, Any]], page: Page) -> None:
    cards = {card["key"]: card for card in made[1]["headline"]}
    assert list(cards) == [
        "compression_gain",
        "bits_per_byte_new_languages",
        "bits_per_byte_base_language",
        "quiz",
        "preference_accuracy",
    ]
    assert cards["compression_gain"]["value"] == "2.8×"
    assert cards["bits_per_byte_base_language"]["value"].startswith("+2.1")
    assert cards["quiz"]["figure"]["before"]["n"] == 400
    assert cards["quiz"]["figure"]["before"]["value"] == pytest.approx(0.25)
    assert cards["quiz"]["figure"]["after"]["low"] > cards["quiz"]["figure"]["chance"]
    for card in cards.values():
        assert {"label", "value", "detail"} <= set(card)
        assert card["value"] in page.text()
    assert made[1]["sentence"] in page.text()


def test_samples_are_marked_with_their_language(page: Page) -> None:
    written = [a for _, a in page.elements if "written" in (a.get("class") or "").split()]
    assert {a.get("lang") for a in written} == set(LANGUAGES)
    for sentence in SENTENCES.values():
        assert sentence in page.text()


def test_two_runs_differ_in_their_timings_only(tmp_path: Path) -> None:
    reports = [
        report(write_run(tmp_path / str(k), seconds=seconds), tmp_path / f"out{k}", {"compute": compute})
        for k, (seconds, compute) in enumerate([(3.25, {"workers": 1}), (71.5, {"workers": 2, "device": "cpu"})])
    ]
    (first, first_figures), (second, second_figures) = reports
    assert first != second
    assert first_figures == second_figures
    assert (tmp_path / "out0/report.json").read_bytes() == (tmp_path / "out1/report.json").read_bytes()
    assert TIMINGS.search(first.encode())
    assert TIMINGS.sub(b"", first.encode()) == TIMINGS.sub(b"", second.encode())
    assert "71.5" in second


def test_hostile_texts_stay_texts(tmp_path: Path, page: Page) -> None:
    text, figures = report(write_run(tmp_path / "run", HOSTILE), tmp_path)
    hostile = Page(text)
    assert text.count("<script") == text.count("</script") == 1
    assert not hostile.named("img")
    assert not [key for _, attributes in hostile.elements for key in attributes if key.startswith("on")]
    assert "alert(1)" in hostile.text(), "the text is shown, as text"
    assert "{{ 7*7 }}" in hostile.text(), "nothing evaluates it"
    assert "\x00" not in text
    assert [t for t, _ in hostile.elements].count("section") == [t for t, _ in page.elements].count("section")
    assert figures["samples"][0]["prompts"][0]["answers"][0]["text"].startswith("</td>")


def test_policy_allows_the_pages_own_script_and_style_alone(made: tuple[str, dict[str, Any]], page: Page) -> None:
    policy = next(a["content"] for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert policy.startswith("default-src 'none'")
    for tag in ("script", "style"):
        content = re.search(f"<{tag}>(.*)</{tag}>", made[0], re.DOTALL)
        assert content
        digest = base64.b64encode(hashlib.sha256(content.group(1).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not [a for _, a in page.elements if "style" in a], "an inline style would be refused"


def test_needs_no_network(made: tuple[str, dict[str, Any]], page: Page) -> None:
    links = [a.get("href") or a.get("src") for _, a in page.elements if "href" in a or "src" in a]
    assert links
    assert all(link and link.startswith("#") for link in links)
    assert {link[1:] for link in links if link} <= {str(i) for i in page.ids()}, "a link leads nowhere"
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", made[0])


def test_can_be_read_without_eyes(page: Page) -> None:
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for attributes in page.named("svg"):
        nested = attributes.get("preserveaspectratio") == "none"  # the lines of a labelled chart
        assert nested or attributes.get("aria-hidden") == "true" or attributes.get("aria-label"), attributes
        assert not attributes.get("aria-label") or attributes.get("role") == "img"
    assert all("scope" in attributes for attributes in page.named("th"))
    assert page.named("html")[0]["lang"] == "en"


@pytest.mark.parametrize(
    "kept", [[], ["instructions"], ["base"], ["corpus"], ["base", "corpus", "vocab"], ["evaluate"], ["prefer"], ["dpo"]]
)
def test_leaves_out_what_the_run_has_not(kept: list[str], inputs: dict[str, Path], tmp_path: Path) -> None:
    text, figures = report({name: inputs[name] for name in kept}, tmp_path)
    page = Page(text)
    present = {name for name in SECTIONS if figures[name]}
    expected = {
        "instructions": {"instructions"},
        "base": {"training"},
        "corpus": {"corpus"},
        "vocab": {"vocab"},
        "evaluate": {"results", "judged", "safety", "samples"},
        "prefer": {"preference"},
        "dpo": {"training", "preference"},
    }
    assert present == set().union(*(expected[name] for name in kept))
    assert present == set(SECTIONS) & set(page.ids())
    assert page.text().count("left out: needs") == len(SECTIONS) - len(present)
    assert figures["sentence"]


EMPTY: dict[str, list[Any]] = {
    "corpus/funnel.json": [{}, {"th": {"read": 0}}, {"th": None}, {"th": {"read": None, "short": None}}],
    "vocab/compression.json": [{}, {"before": {}, "after": {}}, {"before": {"th": None}, "after": {"th": 2.0}}, None],
    "vocab/certificate.json": [{}, {"checks": []}, {"checks": [{"claim": "round trip", "figures": None}]}],
    "evaluate/results.json": [
        [],
        [{"model": "sft", "task": "quiz", "language": None, "metric": "accuracy", "value": None}],
    ],
    "evaluate/samples.json": [
        [],
        [{"model": "sft", "language": "th", "prompt": "a", "answer": None}],
        [{"prompt": None}],
    ],
    "prefer/judgements.json": [
        {},
        {"all": {}},
        {"all": {"answers": 0, "consistency": None}, "languages": {"th": None}},
    ],
    "dpo/preference_accuracy.json": [
        {},
        {"before": None, "after": {"value": None}, "improved": False, "sentence": None},
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in EMPTY.items() for value in values])
def test_survives_empty_figures(name: str, value: object, run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    write_json(tmp_path / "run" / name, value)
    text, _ = report({path.name: path for path in (tmp_path / "run").iterdir()}, tmp_path)
    Page(text)


@pytest.mark.parametrize("name", ["metrics.jsonl", "bits_per_byte.jsonl"])
@pytest.mark.parametrize(
    "rows", ["", '{"step": 1, "loss": null}\n', '{"step": "base", "language": "th", "loss": NaN}\n']
)
def test_survives_training_without_figures(name: str, rows: str, run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder / "pretrain", tmp_path / "pretrain")
    (tmp_path / "pretrain" / name).write_text(rows, encoding="utf-8")
    text, figures = report({"pretrain": tmp_path / "pretrain"}, tmp_path)
    Page(text)
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("evaluate/results.json", '[{"model": ', ["results.json", "not valid JSON"]),
        ("pretrain/metrics.jsonl", '{"step": 1}\n{"st', ["metrics.jsonl:2", "run the recipe again"]),
    ],
)
def test_names_a_damaged_file(name: str, content: str, words: list[str], run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    (tmp_path / "run" / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        report({path.name: path for path in (tmp_path / "run").iterdir()}, tmp_path)
    assert all(word in str(caught.value) for word in words)
    assert not (tmp_path / "report.html").exists()


def test_models_keep_their_colour_and_sign(made: tuple[str, dict[str, Any]]) -> None:
    for model in MODELS:
        assert f'id="mark-{model}"' in made[0]
        assert f".m-{model} {{ --c: var(--{model}); }}" in made[0]
        assert made[0].count(f"#mark-{model}") > 10


def test_imports_no_torch_and_no_plotting_library() -> None:
    code = "import sys, seallm.evaluate.report; sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
