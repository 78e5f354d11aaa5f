from pathlib import Path

import pytest

from seallm.base.errors import ModelError
from seallm.model.places import find_model


def make_stage(run: Path, name: str, *, has_model: bool = True, is_finished: bool = True) -> Path:
    stage = run / name
    (stage / "model").mkdir(parents=True)
    if has_model:
        (stage / "model" / "config.json").write_text("{}")
    if is_finished:
        (stage / "manifest.json").write_text("{}")
    return stage


@pytest.mark.parametrize(
    ("stages", "newest"),
    [
        (["01-base", "04-pretrain", "06-sft", "08-dpo"], "08-dpo"),
        (["06-sft", "08-dpo", "08-dpo10", "08-dpo2"], "08-dpo10"),
        (["01-base", "04-pretrain", "06-sft"], "06-sft"),
        (["01-base", "04-pretrain", "05-hybrid"], "05-hybrid"),
        (["01-base", "04-pretrain"], "04-pretrain"),
        (["01-base"], "01-base"),
    ],
)
def test_a_run_gives_its_newest_model(tmp_path: Path, stages: list[str], newest: str) -> None:
    for name in stages:
        make_stage(tmp_path / "demo", name)
    (tmp_path / "demo" / "02-corpus").mkdir()
    found = find_model(tmp_path / "demo")
    assert found.folder == tmp_path / "demo" / newest / "model"
    assert found.name == f"demo/{newest[3:]}"


def test_unfinished_stages_are_passed_over(tmp_path: Path) -> None:
    make_stage(tmp_path, "06-sft")
    make_stage(tmp_path, "08-dpo", is_finished=False)
    make_stage(tmp_path, "08-dpo.partial")
    assert find_model(tmp_path).folder == tmp_path / "06-sft" / "model"


def test_a_stage_and_its_model_folder_give_the_same(tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "demo", "06-sft")
    assert find_model(stage) == find_model(stage / "model")


def test_a_plain_folder(tmp_path: Path) -> None:
    folder = tmp_path / "SmolLM2"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    found = find_model(folder)
    assert (found.folder, found.name) == (folder, "SmolLM2")


def test_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stage(tmp_path / "demo", "06-sft")
    monkeypatch.chdir(tmp_path / "demo" / "06-sft")
    assert find_model(Path()).name == "demo/sft"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no folder .*nowhere.*Expected a run"):
        find_model(tmp_path / "nowhere")


def test_a_run_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "02-corpus").mkdir()
    make_stage(tmp_path, "06-sft.partial", is_finished=False)
    with pytest.raises(ModelError, match=r"no finished model: it has 02-corpus, 06-sft.partial.*seallm run"):
        find_model(tmp_path)


def test_a_stage_that_is_not_finished(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, "06-sft", is_finished=False)
    with pytest.raises(ModelError, match="is not finished"):
        find_model(stage)


def test_a_stage_without_a_model(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, "02-corpus", has_model=False)
    with pytest.raises(ModelError, match="is a stage without a model"):
        find_model(stage)
