"""A whole run of all stages in under a minute: the quickstart with few steps and few questions."""

from pathlib import Path

from seallm.plan import Plan, make_plan
from seallm.recipe_file import load_recipe

QUICKSTART = Path(__file__).parents[1] / "recipes" / "quickstart.toml"
SMALL = (
    "name=small",
    "compute.threads=2",
    "base.train.steps=12",
    "base.train.hidden_size=64",
    "base.train.layers=2",
    "vocab.new_tokens=400",
    "vocab.megabytes_per_language=0.1",
    'corpus.inputs=["sample:documents"]',
    "pretrain.mixtures.0.tokens=40_000",
    "pretrain.mixtures.1.tokens=40_000",
    "pretrain.mixtures.2.tokens=40_000",
    "pretrain.checkpoint_every_steps=3",
    "pretrain.evaluate_every_steps=10",
    "hybrid.tokens=60_000",
    "hybrid.checkpoint_every_steps=3",
    "sft.epochs=0.3",
    "sft.checkpoint_every_steps=3",
    "prefer.max_prompts=40",
    "prefer.max_new_tokens=12",
    "dpo.checkpoint_every_steps=2",
    "evaluate.limit=4",
    "evaluate.generation_limit=1",
)


def small_plan(workspace: Path) -> Plan:
    """The plan of the small run in a workspace."""
    return make_plan(load_recipe(QUICKSTART, SMALL), QUICKSTART.parent, workspace)
