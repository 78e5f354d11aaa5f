"""Plans: what is run again after a change, what is refused, and that every shipped recipe can be planned."""

from pathlib import Path

import pytest

from seallm.base.errors import DataError, RecipeError
from seallm.plan import Plan, make_plan, run_plan
from seallm.plan_table import describe
from seallm.recipe_file import load_recipe

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
QUICKSTART = ROOT / "recipes" / "quickstart.toml"
ALL = ["base", "corpus", "vocab", "pretrain", "hybrid", "sft", "prefer", "dpo", "evaluate", "report"]


def quickstart_plan(tmp_path: Path, *overrides: str) -> Plan:
    return make_plan(load_recipe(QUICKSTART, overrides), QUICKSTART.parent, tmp_path)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_shipped_recipe_can_be_planned(path: Path, tmp_path: Path) -> None:
    plan = make_plan(load_recipe(path), path.parent, tmp_path)
    rows = list(describe(plan))
    assert [row[0] for row in rows] == ALL
    assert {row[1] for row in rows} == {"to do"}
    assert not list(tmp_path.iterdir()), "planning must write nothing"


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("base.train.steps=1", [s for s in ALL if s != "corpus"]),
        ("corpus.held_out_share=0.1", [s for s in ALL if s != "base"]),
        ("vocab.new_tokens=10", ALL[2:]),
        ("pretrain.mixtures.0.tokens=10", ALL[3:]),
        ("sft.epochs=9", ALL[5:]),
        ("prefer.temperatures=[0.1]", ALL[6:]),
        ("dpo.beta=0.9", ALL[7:]),
        ("evaluate.limit=3", ALL[8:]),
        ("seed=99", ALL),
        ("compute.workers=1", []),
        ("compute.threads=1", []),
    ],
)
def test_a_change_redoes_its_stage_and_those_that_read_it(tmp_path: Path, override: str, changed: list[str]) -> None:
    before, after = quickstart_plan(tmp_path), quickstart_plan(tmp_path, override)
    pairs = zip(before.stages, after.stages, strict=True)
    assert [a.kind.name for a, b in pairs if a.artifact.fingerprint != b.artifact.fingerprint] == changed


def test_content_of_inputs_counts_not_their_place(tmp_path: Path) -> None:
    def fingerprint(folder: Path, text: str) -> str:
        folder.mkdir()
        (folder / "raw.txt").write_text(text, encoding="utf-8")
        recipe = folder / "r.toml"
        recipe.write_text('name="x"\nlanguages=["en"]\n[base]\nmodel="m"\n[corpus]\ninputs=["raw.txt"]\n')
        plan = make_plan(load_recipe(recipe), folder, tmp_path)
        return plan.stage("corpus").artifact.fingerprint

    one, same, other = (fingerprint(tmp_path / n, t) for n, t in (("a", "one"), ("b", "one"), ("c", "two")))
    assert one == same != other


def test_each_stage_starts_from_the_newest_model(tmp_path: Path) -> None:
    plan = quickstart_plan(tmp_path)
    models = {s.kind.name: s.inputs["model"].name for s in plan.stages if "model" in s.inputs}
    assert models == {
        "pretrain": "01-base",
        "hybrid": "04-pretrain",
        "sft": "05-hybrid",
        "prefer": "06-sft",
        "dpo": "06-sft",
    }


def test_rounds_follow_each_other(tmp_path: Path) -> None:
    once, plan = quickstart_plan(tmp_path), quickstart_plan(tmp_path, "prefer.rounds=3")
    rounds = ["prefer", "dpo", "prefer2", "dpo2", "prefer3", "dpo3"]
    assert [stage.kind.name for stage in plan.stages] == [*ALL[:6], *rounds, *ALL[8:]]
    assert [stage.artifact.folder.name for stage in plan.stages[8:12]] == [
        "07-prefer2",
        "08-dpo2",
        "07-prefer3",
        "08-dpo3",
    ]
    assert plan.stage("prefer2").inputs["model"].name == "08-dpo"
    assert {name: folder.name for name, folder in plan.stage("dpo2").inputs.items()} == {
        "model": "08-dpo",
        "prefer": "07-prefer2",
    }
    assert plan.stage("evaluate").inputs["dpo"].name == "08-dpo3"
    assert plan.stage("report").inputs["prefer"].name == "07-prefer3"
    for name in ("prefer", "dpo"):  # a further round leaves those before it as they are
        assert plan.stage(name).artifact.fingerprint == once.stage(name).artifact.fingerprint
    assert len({plan.stage(name).artifact.fingerprint for name in rounds}) == 6


def test_weaker_models_are_read(tmp_path: Path) -> None:
    plan = quickstart_plan(tmp_path, 'prefer.weaker_models=["hybrid"]')
    assert {name: folder.name for name, folder in plan.stage("prefer").inputs.items()} == {
        "model": "06-sft",
        "hybrid": "05-hybrid",
    }


def test_sections_that_are_absent_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('name="x"\nlanguages=["en"]\n[base]\nmodel="m"\n[sft]\nconversations=["sample:chat"]\n')
    plan = make_plan(load_recipe(path), tmp_path, tmp_path / "runs")
    assert [s.kind.name for s in plan.stages] == ["base", "sft", "report"]
    assert plan.stage("sft").inputs["model"].name == "01-base"


def test_missing_inputs_are_shown_and_stop_a_run_before_it_starts(tmp_path: Path) -> None:
    plan = quickstart_plan(tmp_path / "runs", 'corpus.inputs=["nowhere/*.warc.gz"]')
    assert "MISSING" in next(row[2] for row in describe(plan) if row[0] == "corpus")
    with pytest.raises(DataError, match="nowhere"):
        run_plan(plan, lambda stage, state: None)
    assert not list((tmp_path / "runs" / "quickstart").glob("*-*"))


def test_only_and_from_want_what_they_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'hybrid' has no result yet"):
        run_plan(quickstart_plan(tmp_path), lambda stage, state: None, only="sft")
    with pytest.raises(RecipeError, match=r"No stage 'stf'.* sft"):
        run_plan(quickstart_plan(tmp_path), lambda stage, state: None, start="stf")


def test_steps_can_be_skipped_in_a_stage_that_is_under_way(tmp_path: Path) -> None:
    before, after = quickstart_plan(tmp_path), quickstart_plan(tmp_path, "pretrain.skip_steps=[7]")
    old, new = (plan.stage("pretrain").artifact for plan in (before, after))
    assert old.fingerprint != new.fingerprint
    (old.open_partial() / "work").write_text("done", encoding="utf-8")
    assert (new.open_partial() / "work").is_file()
    other = quickstart_plan(tmp_path, "pretrain.sequence_tokens=128").stage("pretrain").artifact
    assert not (other.open_partial() / "work").exists()


def test_a_policy_counts_by_its_content_and_that_of_the_pack_below(tmp_path: Path) -> None:
    def fingerprint(principle: str) -> str:
        (tmp_path / "policies").mkdir(exist_ok=True)
        pack = f'about = "x"\nextends = "default"\n[languages.en]\nprinciples = ["{principle}"]\n'
        (tmp_path / "policies" / "house.toml").write_text(pack, encoding="utf-8")
        (tmp_path / "r.toml").write_text(
            'name="x"\nlanguages=["en"]\n[base]\nmodel="m"\n[sft]\nconversations=["sample:chat"]\npolicy="house"\n'
        )
        plan = make_plan(load_recipe(tmp_path / "r.toml"), tmp_path, tmp_path / "runs")
        names = [getattr(file, "name", "") for file in plan.stage("sft").files]
        assert names[-2:] == ["house.toml", "default.toml"]
        return plan.stage("sft").artifact.fingerprint

    assert fingerprint("Be brief.") == fingerprint("Be brief.") != fingerprint("Be kind.")


def test_a_wrong_policy_is_told_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no policy pack 'defualt' \(did you mean `default`\?\)"):
        quickstart_plan(tmp_path, "sft.policy=defualt")
    with pytest.raises(RecipeError, match="There is no policy pack"):
        quickstart_plan(tmp_path, "hybrid.policy=policies/nowhere.toml")
