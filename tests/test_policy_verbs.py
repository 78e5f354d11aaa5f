from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from seallm.base.errors import RecipeError
from seallm.base.records import read_conversations
from seallm.cli import app
from seallm.evaluate.safety import read_safety_prompts
from tests.policies.packs import PACK


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "house.toml").write_text(PACK, encoding="utf-8")
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


def test_packs_are_listed(folder: Path) -> None:
    (folder / "policies" / "broken.toml").write_text("topics = 3")
    output = call("list").output
    assert "default" in output
    assert "house (yours)" in output
    assert "broken (yours)" in output
    assert "cannot be used" in output


def test_harmful_prompts_are_shown_on_wish_alone() -> None:
    hidden, shown = call("show", "house").output, call("show", "house", "--show-prompts").output
    for text in ("Be kind. Say why. Offer more.", "Night line: 555", "3 harmful and 1 harmless seeds, 1 and 1 tests"):
        assert text in hidden
    assert "Open the school's safe?" not in hidden
    assert "Open the school's safe?" in shown


def test_a_pack_is_checked(folder: Path) -> None:
    found = call("check", "house")
    assert found.exit_code == 0
    assert "despair has `harmful` but no `harmful_tests`" in found.output
    (folder / "policies" / "house.toml").write_text(PACK.replace("harmful_tests", "harmful_test"), encoding="utf-8")
    failed = call("check", "policies/house.toml")
    assert isinstance(failed.exception, RecipeError)
    assert "did you mean `harmful_tests`?" in str(failed.exception)


def test_seeds_and_tests_are_what_other_stages_read(folder: Path) -> None:
    assert "7 conversations in 1 languages" in call("seeds", "house", "--out", "a/seeds.jsonl").output
    good, bad = read_conversations(folder / "a" / "seeds.jsonl")
    assert (len(good), bad) == (7, [])
    assert "1 harmful and 2 harmless prompts" in call("tests", "house", "--out", "tests.jsonl").output
    found = read_safety_prompts([folder / "tests.jsonl"], ["en"])
    assert [prompt.refusals for prompt in found] == [("not in this house",)] * 3


def test_languages_are_chosen_among_those_of_the_pack(folder: Path) -> None:
    call("seeds", "default", "--out", "s.jsonl", "--languages", "lo,th")
    assert {c.language for c in read_conversations(folder / "s.jsonl")[0]} == {"lo", "th"}
    failed = call("seeds", "house", "--out", "s.jsonl", "--languages", "lo")
    assert isinstance(failed.exception, RecipeError)
    assert "which pack house does not have; it has en" in str(failed.exception)
