"""What README.md shows: its recipe can be planned, its commands and paths exist."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seallm.cli import app
from seallm.plan import make_plan
from seallm.recipe_file import load_recipe
from seallm.stage_kinds import KINDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    set(re.findall(r"^    seallm ((?:chat-data|corpus|policy|prefer|vocab) \w+|\w+)", README, re.MULTILINE))
)
OPTIONS = sorted(set(re.findall(r"--[a-z]+", README)))


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_its_recipe_can_be_planned(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path / "my.toml")
    plan = make_plan(recipe, tmp_path, tmp_path / "runs")
    assert [stage.kind.name for stage in plan.stages] == ["base", "corpus", "vocab", "pretrain", "sft", "report"]


def test_its_first_command_is_a_target() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = set(re.findall(r"^    make (\w+)", README, re.MULTILINE))
    assert {"quickstart", "test"} <= wanted <= targets


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_exist(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Example: seallm" in result.stdout


def test_its_options_exist() -> None:
    help_texts = "".join(
        CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=200).stdout for command in COMMANDS
    )
    assert not [option for option in OPTIONS if option not in help_texts]


def test_its_links_and_folders_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    folders = re.findall(r"^    (recipes/|src/seallm/\S+)", README, re.MULTILINE)
    assert len(links) > 8
    assert len(folders) > 8
    assert not [path for path in (*links, *folders) if not path.startswith("http") and not (ROOT / path).exists()]


def test_its_stage_folders_are_those_of_a_run() -> None:
    numbered = {f"{number:02d}-{kind.name}" for number, kind in enumerate(KINDS)}
    assert set(re.findall(r"\d\d-[a-z]+", README)) <= numbered
