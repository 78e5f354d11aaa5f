"""The stage with a teacher: what it makes is checked and mixed with the sources, and a second run asks for nothing."""

import json
import random
from pathlib import Path

import pytest

from seallm.base.errors import DataError, EndpointError, RecipeError
from seallm.endpoints.answer_cache import FOLDER_VARIABLE
from seallm.plan import make_plan, run_alone
from seallm.recipe import Recipe
from seallm.recipe_file import check_recipe
from tests.chat_data.chats import write_lines
from tests.chat_data.scripted_teacher import translator
from tests.endpoints.scripted_server import Json, ScriptedServer, question
from tests.folders import digests

THINGS = ("rice", "fish", "boats", "nets", "roofs", "drums", "silk", "clay", "salt", "bees")


def teach(body: Json) -> str:
    text = question(body)
    if text.startswith("Translate"):
        return translator(body)
    rng = random.Random(f"{text} {body['seed']}")
    if "===" not in text:
        return "ตอบได้ว่า" + "".join(rng.choices("กขคงจชซดตถทธนบปผพฟมยรลวสหอ", k=30))
    return "\n===\n".join("".join(rng.choices("กขคงจชซดตถทธนบปผพฟมยรลวสหอ", k=30)) for _ in range(5))


def recipe(folder: Path, place: str, **more: object) -> Recipe:
    teacher = {"place": place, "translate_to": ["lo"], "self_instruct": ["th"], "new_conversations": 7, **more}
    values = {
        "name": "x",
        "languages": ["en", "th", "lo"],
        "base": {"model": "none"},
        "compute": {"workers": 1},
        "instructions": {"sources": [{"files": ["chat.jsonl"]}], "teacher": teacher, "max_language_share": 1.0},
    }
    return check_recipe(values, (), folder / "recipe.toml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "answers"))
    english = [
        {
            "messages": [
                {
                    "role": "user",
                    "content": f"Who in this village makes the {thing}, and how many days does that take?",
                },
                {
                    "role": "assistant",
                    "content": f"My aunt and her neighbours make {thing} in {n + 12} days at the river.",
                },
            ],
            "language": "en",
        }
        for n, thing in enumerate(THINGS)
    ]
    thai = [
        {
            "messages": [
                {"role": "user", "content": f"ช่วยแนะนำวิธีดูแล{what}หน่อย"},
                {"role": "assistant", "content": f"ควรดูแล{what}ทุกวันในตอนเช้า"},
            ],
            "language": "th",
        }
        for what in ("ควาย", "สวนผลไม้", "บ้านไม้เก่า")
    ]
    write_lines(tmp_path / "chat.jsonl", [*english, *thai])
    return tmp_path


def test_the_stage_makes_checks_and_mixes(folder: Path) -> None:
    with ScriptedServer(teach) as server:
        run_alone("instructions", recipe(folder, server.address), folder, folder / "first")
        asked = len(server.asked)
        run_alone("instructions", recipe(folder, server.address), folder, folder / "second")
        assert len(server.asked) == asked
    parts = [folder / "first" / f"{name}.jsonl" for name in ("hybrid", "sft", "held_out", "left_over")]
    rows = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    sources = [row["source"] for row in rows]
    assert sources.count("chat, translated by scripted") == 10
    assert sources.count("self-instruct by scripted") == 7
    assert {row["language"] for row in rows if "translated" in row["source"]} == {"lo"}
    manifest = json.loads((folder / "first" / "manifest.json").read_text())
    assert manifest["counts"]["made"] == {
        "translated": {"lo": {"made": 10}},
        "self_instruct": {"th": {"enough": 3, "made": 7}},
    }
    assert manifest["timings"]["teacher"][-1]["calls"] == asked
    assert digests(folder / "first") == digests(folder / "second")


def test_a_teacher_that_is_not_there_stops_the_stage(folder: Path) -> None:
    with pytest.raises(EndpointError, match="cannot be reached"):
        run_alone("instructions", recipe(folder, "http://127.0.0.1:9/v1#m"), folder, folder / "first")
    assert not (folder / "first" / "manifest.json").exists()


def test_a_stage_that_would_cost_too_much_asks_nothing(folder: Path) -> None:
    with ScriptedServer(teach) as server:
        dear = recipe(folder, server.address, price="900/900", most_cost=0.5)
        with pytest.raises(
            EndpointError, match=r"would cost about \d+\.\d+, and .* most_cost is 0\.5\. Nothing was asked"
        ):
            run_alone("instructions", dear, folder, folder / "first")
        assert not server.asked


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"most_cost": 1.0}, "`most_cost` needs `price`"),
        ({"price": "cheap"}, r"`instructions\.teacher\.price` = 'cheap'"),
        ({"translate_to": ["en"]}, "it is English that is translated"),
        ({"translate_to": ["vi"]}, r"instructions\.teacher\.translate_to: 'vi' is not one of the recipe's languages"),
        ({"self_instruct": ["vi"]}, r"instructions\.teacher\.self_instruct: 'vi' is not one"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(folder: Path, more: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(folder, "http://127.0.0.1:9/v1#m", **more)


def test_languages_without_seeds_are_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match=r"self_instruct needs conversations in lo, .* \(they have: en, th\)"):
        run_alone(
            "instructions", recipe(folder, "http://127.0.0.1:9/v1#m", self_instruct=["th", "lo"]), folder, folder / "x"
        )


def test_pace_and_price_do_not_make_the_stage_run_again(folder: Path) -> None:
    def fingerprint(**more: object) -> str:
        plan = make_plan(recipe(folder, "http://h/v1#m", **more), folder, folder / "runs")
        return plan.stage("instructions").artifact.fingerprint

    slow = {"price": "1/2", "most_cost": 9.0, "requests_per_minute": 3.0, "concurrent_calls": 2, "key": "env:OTHER"}
    assert fingerprint(**slow) == fingerprint()
    assert fingerprint(temperature=0.1) != fingerprint()
