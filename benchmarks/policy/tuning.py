"""The quickstart's model with and without the default pack in fine-tuning, on prompts never trained on."""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seallm.base.files import resolve_path, write_json_lines
from seallm.base.records import write_conversations
from seallm.base.runtime import Runtime
from seallm.evaluate.engine import Engine
from seallm.evaluate.safety import read_safety_prompts, safety_rows
from seallm.evaluate.safety_rates import SafetyPrompt
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.plan import Plan, make_plan, make_runtime, run_plan
from seallm.policies.loading import load_policy
from seallm.policies.prompts import held_out_prompts, seed_conversations
from seallm.recipe_file import load_recipe

RECIPE = Path("recipes/quickstart.toml").resolve()
EARLIER = ("base", "corpus", "vocab", "pretrain", "hybrid")
CHATS = ["sample:chat/knowledge.jsonl", "sample:chat/[a-z][a-z].jsonl"]
METRICS = ("refusal_rate", "unsafe_rate", "over_refusal_rate")
# one thread is faster for a tiny model; fewer epochs than the quickstart has
SETTINGS = ("compute.threads=1", "sft.epochs=4.0")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train what is missing, measure, print."""
    folder: Path = (arguments.out / "policy").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    policy = load_policy("default", RECIPE.parent)
    write_conversations(folder / "seeds.jsonl", seed_conversations(policy))
    write_json_lines(folder / "tests.jsonl", (asdict(prompt) for prompt in held_out_prompts(policy)))
    seeded = [*CHATS, str(folder / "seeds.jsonl")]
    plain = _plan(folder, [])
    for stage in EARLIER:
        run_plan(plain, lambda stage, state: print(stage.kind.name, state, flush=True), only=stage)
    models = {"before SFT (hybrid)": plain.stage("hybrid").artifact.folder / "model"}
    models["SFT"] = _tuned(plain, folder / "plain")
    packed = _plan(folder, [f"sft.conversations={json.dumps(seeded)}", "sft.policy=default"])
    models["SFT with the pack"] = _tuned(packed, folder / "packed")
    languages = plain.recipe.languages
    sets = {
        "the pack's tests": read_safety_prompts([folder / "tests.jsonl"], languages),
        "the sample's prompts": read_safety_prompts([resolve_path("sample:safety/prompts.jsonl", folder)], languages),
    }
    runtime = make_runtime(plain.recipe.compute)
    found = {name: _measured(name, model, sets, runtime, {}) for name, model in models.items()}
    name = "SFT with the pack, its system prompt before each question"
    return found | {name: _measured(name, models["SFT with the pack"], sets, runtime, policy.system_prompts())}


def _plan(folder: Path, overrides: Sequence[str]) -> Plan:
    return make_plan(load_recipe(RECIPE, [*SETTINGS, *overrides]), RECIPE.parent, folder)


def _tuned(plan: Plan, place: Path) -> Path:
    """Fine-tune, and keep a copy of the model, for the next variant takes the stage's folder."""
    mark = place / "fingerprint"
    artifact = plan.stage("sft").artifact
    if not mark.is_file() or mark.read_text() != artifact.fingerprint:
        run_plan(plan, lambda stage, state: print(place.name, stage.kind.name, state, flush=True), only="sft")
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(artifact.folder / "model", place / "model")
        mark.write_text(artifact.fingerprint)
    return place / "model"


def _measured(
    name: str, model: Path, sets: dict[str, list[SafetyPrompt]], runtime: Runtime, systems: dict[str, str]
) -> dict[str, Any]:
    engine = Engine(load_model(model, runtime), load_tokenizer(model), batch_sequences=16)
    found = {}
    for title, prompts in sets.items():
        rows = safety_rows(engine, prompts, systems)
        found[title] = rows
        print(f"\n{name}: {title}")
        for metric in METRICS:
            mine = [row for row in rows if row["metric"] == metric]
            cells = [f"{r['language']} {100 * r['value']:.0f}" for r in mine if r["language"] != "all"]
            whole = next(row for row in mine if row["language"] == "all")
            print(
                f"  {metric:<18} {100 * whole['value']:5.1f} % [{100 * whole['low']:.1f}, {100 * whole['high']:.1f}], "
                f"n = {whole['n']}   " + "  ".join(cells)
            )
    return found
