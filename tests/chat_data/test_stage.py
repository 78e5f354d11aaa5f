"""The whole stage: the same bytes whatever the order of files, the workers or kills; nothing lost or used twice."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seallm.base.errors import DataError, RecipeError
from seallm.base.files import read_json
from seallm.plan import make_plan, run_alone
from seallm.plan_table import describe
from seallm.recipe import Recipe
from seallm.recipe_file import check_recipe, load_recipe
from seallm.recipe_training import Sft
from tests.chat_data.chats import ENGLISH, THAI, chat_row, numbered_rows, write_lines
from tests.folders import digests

OUTPUTS = ("hybrid", "sft", "held_out", "left_over")
BROKEN = {"messages": [{"role": "user", "content": "no answer"}]}


def write_sources(folder: Path) -> None:
    rows = numbered_rows(240)
    write_lines(folder / "one.jsonl", [*rows[:120], BROKEN])
    write_lines(folder / "two.jsonl", [*rows[120:], chat_row("What is asked?", THAI, "en"), *rows[:3]])
    alpaca = [{"instruction": f"Name dish {n}.", "output": f"{ENGLISH} {n * 77}"} for n in range(8)]
    (folder / "three.json").write_text(json.dumps(alpaca))


def make_recipe(
    folder: Path, files: tuple[str, ...] = ("one.jsonl", "two.jsonl", "three.json"), **more: object
) -> Recipe:
    values = {
        "name": "x",
        "languages": ["en", "th", "vi"],
        "base": {"model": "none"},
        "compute": {"workers": more.pop("workers", 1)},
        "instructions": {"sources": [{"files": [name]} for name in files], "held_out_share": 0.1, **more},
    }
    return check_recipe(values, (), folder / "recipe.toml")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instructions")
    write_sources(folder)
    return folder


@pytest.fixture(scope="module")
def made(sources: Path) -> Path:
    run_alone("instructions", make_recipe(sources), sources, sources / "made")
    return sources / "made"


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_ends_somewhere(made: Path) -> None:
    parts = [rows_of(made / f"{name}.jsonl") for name in OUTPUTS]
    dropped, quarantine = rows_of(made / "dropped.jsonl"), rows_of(made / "quarantine.jsonl")
    assert sum(map(len, parts)) + len(dropped) + len(quarantine) == 253
    assert [row["where"] for row in quarantine] == ["one.jsonl:121"]
    assert quarantine[0]["row"] == BROKEN
    reasons = [row["reason"] for row in dropped]
    assert sorted(set(reasons)) == ["exact_duplicate", "turn_language"]
    assert all(parts)
    words = [json.dumps(row["messages"]) for part in parts for row in part]
    assert len(set(words)) == len(words)
    assert {row["language"] for row in parts[0]} == {"en"}
    assert {row["source"] for part in parts for row in part} == {"one", "two", "three"}
    assert all(row["category"] for part in parts for row in part)


def test_the_table_is_stored(made: Path) -> None:
    cells = read_json(made / "mix.json")
    for name in OUTPUTS:
        assert sum(cell[name] for cell in cells) == len(rows_of(made / f"{name}.jsonl"))
    manifest = read_json(made / "manifest.json")
    assert manifest["counts"]["mix"] == {name: sum(cell[name] for cell in cells) for name in OUTPUTS}
    assert {cell["source"] for cell in cells} == {"one", "two", "three"}
    assert {cell["licence"] for cell in cells} == {"", "CC0-1.0"}
    checks = read_json(made / "checks.json")
    assert (checks["conversations"], checks["quarantined"]) == (252, 1)
    assert not list(made.glob("*work*"))


def test_order_of_files_and_workers_do_not_matter(sources: Path, made: Path) -> None:
    recipe = make_recipe(sources, ("three.json", "two.jsonl", "one.jsonl"), workers=2)
    run_alone("instructions", recipe, sources, sources / "other")
    first, second = digests(made), digests(sources / "other")
    assert [name for name in first if name != "manifest.json" and first[name] != second[name]] == []


def test_a_plan_tells_what_fine_tuning_will_read(sources: Path, made: Path) -> None:
    recipe = make_recipe(sources).model_copy(update={"sft": Sft(epochs=1.0)})
    plan = make_plan(recipe, sources, sources / "runs")
    assert plan.stage("sft").inputs["instructions"] == plan.stages[0].artifact.folder
    shutil.copytree(made, plan.stages[0].artifact.folder)
    thousands = (made / "sft.jsonl").stat().st_size * 0.3 / 1e3
    assert {row[0]: row[3] for row in describe(plan)}["sft"] == f"about {thousands:.3g} k tokens"


def test_what_is_finished_is_not_done_again(sources: Path, made: Path) -> None:
    assert not run_alone("instructions", make_recipe(sources), sources, made)


def test_too_many_bad_rows_stop_it_and_stay_to_be_seen(sources: Path) -> None:
    write_lines(sources / "bad" / "bad.jsonl", [chat_row("Hi", ENGLISH, "en"), BROKEN, BROKEN])
    recipe = make_recipe(sources, ("bad",))
    with pytest.raises(DataError, match=r"2 of 3 rows cannot be read.*2 x roles.*bad\.jsonl:2.*quarantine\.jsonl"):
        run_alone("instructions", recipe, sources, sources / "stopped")
    assert len(rows_of(sources / "stopped.partial" / "quarantine.jsonl")) == 2
    run_alone("instructions", make_recipe(sources, ("bad",), max_bad_share=0.7), sources, sources / "stopped")


def test_nothing_left_is_an_error(sources: Path) -> None:
    write_lines(sources / "portuguese" / "pt.jsonl", [chat_row("Oi", "Olá", "pt")])
    with pytest.raises(DataError, match=r"None of 1 conversations is left in en, th, vi: .*'language': 1"):
        run_alone("instructions", make_recipe(sources, ("portuguese",)), sources, sources / "nothing")
    (sources / "empty").mkdir()
    (sources / "empty" / "README.md").write_text("no rows")
    with pytest.raises(DataError, match="no file of rows"):
        run_alone("instructions", make_recipe(sources, ("empty",)), sources, sources / "nothing")


def test_preferences_alone_are_enough(sources: Path) -> None:
    pair = {"prompt": "Say it politely, please.", "chosen": ENGLISH, "rejected": "No."}
    write_lines(sources / "pairs" / "pairs.jsonl", [{**pair, "prompt": f"{n}: {pair['prompt']}"} for n in range(3)])
    run_alone("instructions", make_recipe(sources, ("pairs",)), sources, sources / "pairs_made")
    assert len(rows_of(sources / "pairs_made" / "preferences.jsonl")) == 3
    assert [rows_of(sources / "pairs_made" / f"{name}.jsonl") for name in OUTPUTS] == [[]] * 4
    assert read_json(sources / "pairs_made" / "mix.json") == []


RECIPE = """name = "x"
languages = ["en", "th", "vi"]
[base]
model = "somewhere"
[corpus]
inputs = []
[hybrid]
tokens = 10
[sft]
"""


def test_a_run_has_it_first_and_other_stages_read_it(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    write_sources(tmp_path)
    path.write_text(RECIPE + '[dpo]\n[[instructions.sources]]\nfiles = ["one.jsonl"]\n')
    plan = make_plan(load_recipe(path), tmp_path, tmp_path / "runs")
    assert plan.stages[0].artifact.folder.name == "00-instructions"
    assert len(plan.stages[0].files) == 1
    for name in ("hybrid", "sft"):
        assert plan.stage(name).inputs["instructions"].name == "00-instructions"
    assert plan.stage("corpus").artifact.folder.name == "02-corpus"
    assert plan.stage("dpo").inputs["instructions"].name == "00-instructions"
    costs = {row[0]: row[3] for row in describe(plan)}
    assert costs["sft"].startswith("at most about ")
    assert costs["sft"].endswith("k tokens")
    assert costs["dpo"] == "small"
    write_lines(tmp_path / "one.jsonl", numbered_rows(9))
    other = make_plan(load_recipe(path), tmp_path, tmp_path / "runs")
    assert plan.stage("sft").artifact.fingerprint != other.stage("sft").artifact.fingerprint
    assert plan.stage("corpus").artifact.fingerprint == other.stage("corpus").artifact.fingerprint


def test_without_a_hybrid_stage_all_is_for_fine_tuning(tmp_path: Path) -> None:
    path, source = tmp_path / "r.toml", '[[instructions.sources]]\nfiles = ["one.jsonl"]\n'
    path.write_text(RECIPE.replace("[hybrid]\ntokens = 10\n", "") + source)
    found = load_recipe(path).instructions
    assert found is not None
    assert found.hybrid_languages == []
    path.write_text(RECIPE + source)
    found = load_recipe(path).instructions
    assert found is not None
    assert found.hybrid_languages == ["en"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RECIPE.replace("[hybrid]\ntokens = 10\n", "")
            + '[instructions]\nhybrid_languages = ["en"]\n[[instructions.sources]]\nfiles = ["a"]\n',
            r"`instructions\.hybrid_languages` keeps conversations for \[hybrid\], which the recipe does not have",
        ),
        (RECIPE, r"`hybrid\.conversations` is missing; name files, or add \[instructions\]"),
        (
            RECIPE + 'conversations = ["a"]\n[[instructions.sources]]\nfiles = ["one.jsonl"]\n',
            r"\[sft\] takes its conversations from \[instructions\]",
        ),
        (RECIPE + "[[instructions.sources]]\nfiles = []\n", r"instructions\.sources\.0: `files` is empty"),
        (
            RECIPE + '[dpo]\nimported = false\n[[instructions.sources]]\nfiles = ["a"]\n',
            r"\[dpo\] needs pairs: .* preferences that \[instructions\] imports",
        ),
        (RECIPE + "[instructions]\nsources = []\n", r"`instructions\.sources` = \[\]"),
        (
            RECIPE + '[[instructions.sources]]\nfile = ["a"]\n',
            r"unknown key `instructions\.sources\.0\.file`; did you mean `files`",
        ),
        (
            RECIPE + '[instructions]\nlanguage_caps = { fr = 0.1 }\n[[instructions.sources]]\nfiles = ["a"]\n',
            r"instructions\.language_caps: 'fr' is not one",
        ),
    ],
)
def test_mistakes_in_a_recipe(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(tmp_path / "r.toml")


def controller(folder: Path) -> None:
    """Runs that are killed at random moments, one after another into the same folder, and a last one to the end."""
    recipe = make_recipe(folder)
    rng, kills = random.Random(3), 0
    for _ in range(5):
        child = os.fork()
        if child == 0:
            run_alone("instructions", recipe, folder, folder / "disturbed")
            os._exit(0)
        time.sleep(0.02 + rng.random() * 0.35)
        if os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            kills += 1
    run_alone("instructions", recipe, folder, folder / "disturbed")
    print(f"killed {kills} times")


def test_killed_anywhere_the_same_bytes_come_out(sources: Path, made: Path) -> None:
    command = [sys.executable, "-m", "tests.chat_data.test_stage", str(sources)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout.split()[-2]) >= 2
    assert digests(sources / "disturbed") == digests(made)


if __name__ == "__main__":
    controller(Path(sys.argv[1]))
