"""Two rounds of sampling, judging and tuning in one recipe: each starts from the model of the one before."""

from pathlib import Path

import pytest

from seallm.card_verbs import card_of_run
from seallm.model.places import find_model
from seallm.plan import make_plan, run_plan
from seallm.recipe_file import load_recipe

RECIPE = """
name = "tiny"
languages = ["en", "th"]
base.train = { documents = ["sample:base/english.jsonl.gz"], vocabulary_tokens = 300, hidden_size = 32, layers = 2, \
steps = 6, batch_tokens = 512 }
sft = { conversations = ["sample:chat/en.jsonl", "sample:chat/th.jsonl"], epochs = 0.3, batch_tokens = 1024 }
prefer = { conversations = ["sample:chat/en.jsonl"], max_prompts = 12, max_new_tokens = 8, min_pairs = 0, \
min_margin = 0.0, weaker_models = ["sft"] }
dpo = { batch_pairs = 4 }
compute = { threads = 1, device = "cpu" }
"""


@pytest.mark.slow
def test_rounds_in_one_recipe(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    done: list[str] = []
    for overrides in ([], ["prefer.rounds=2"]):  # a further round leaves the others as they are
        plan = make_plan(load_recipe(path, overrides), tmp_path, tmp_path)
        run_plan(plan, lambda stage, state: done.append(stage.kind.name) if state == "done" else None)
    assert done == ["base", "sft", "prefer", "dpo", "report", "prefer2", "dpo2", "report"]
    run = tmp_path / "tiny"
    assert find_model(run).name == "tiny/dpo2"
    asked = {(run / stage / "samples.jsonl").read_bytes() for stage in ("07-prefer", "07-prefer2")}
    assert len(asked) == 2
    assert card_of_run(run, None) == (run / "10-report" / "README.md").read_text(encoding="utf-8")
