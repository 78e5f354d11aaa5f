"""What each choice of continual pre-training is worth: the same tiny model and tokens, one choice changed, three seeds.

Base model, corpus and vocabulary are the quickstart's. Every arm trains 254 steps of 1,024 tokens from there; what
differs is named in ARMS. Figures are held-out bits per byte after training, on all held-out documents.
"""

import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.training.tables import print_table
from seallm.base.artifacts import StageContext
from seallm.base.files import read_json_lines
from seallm.base.runtime import Runtime
from seallm.plan import make_plan, run_plan
from seallm.recipe_file import load_recipe
from seallm.recipe_training import Dynamic, Mixture, Optimiser, Pretrain
from seallm.train import pretrain

RECIPE = Path("recipes/quickstart.toml")
SEEDS = (1, 2, 3)
BASELINE = "curriculum"
PARTS = (
    ("high", ["high"], 100_000, 4e-3),
    ("high+low", ["high", "low"], 110_000, 3e-3),
    ("again", ["high"], 50_000, 2e-3),
)
NEW_ROWS_TOKENS = 30_000


def mixtures(*, flat: bool = False, dynamic: bool = False, rows_first: bool = False) -> list[Mixture]:
    """The curriculum, or one choice of it changed; the tokens and learning rates stay."""
    made = []
    for name, tiers, tokens, rate in PARTS:
        common: dict[str, Any] = {"optimiser": Optimiser(learning_rate=rate)}
        if flat:
            tiers, common["replay"] = ["high", "low"], False
        if dynamic:
            common["dynamic"] = Dynamic()
        if rows_first and not made:
            rows = Mixture(name="rows", tiers=tiers, tokens=NEW_ROWS_TOKENS, trainable="new-rows", **common)
            made.append(rows)
            tokens, common["replay"] = tokens - NEW_ROWS_TOKENS, False
        made.append(Mixture(name=name, tiers=tiers, tokens=tokens, **common))
    return made


def settings(parts: list[Mixture], **changes: Any) -> Pretrain:
    values = {"sequence_tokens": 256, "batch_tokens": 1_024, "checkpoint_every_steps": 10_000}
    values |= {"evaluate_every_steps": 10_000, "embedding_init": "standardised-mean"}
    return Pretrain(**(values | changes), mixtures=parts)


ARMS: dict[str, Pretrain] = {
    BASELINE: settings(mixtures()),
    "flat mix": settings(mixtures(flat=True)),
    "documents see each other": settings(mixtures(), isolate_documents=False),
    "new rows first": settings(mixtures(rows_first=True)),
    "dynamic shares": settings(mixtures(dynamic=True), evaluate_every_steps=25),
}


def run(work: Path = Path("benchmarks/out/ablation")) -> dict[str, Any]:
    """Train every arm with every seed, and print means and differences from the curriculum."""
    inputs = _inputs(work)
    results: dict[str, list[dict[str, float]]] = {}
    for seed in SEEDS:
        for name, chosen in ARMS.items():
            figures = _figures(chosen, seed, inputs, work)
            results.setdefault(name, []).append(figures)
            print(f"seed {seed}  {name:<26} " + "  ".join(f"{k} {v:.4f}" for k, v in figures.items()), flush=True)
    _print(results)
    return {"seeds": SEEDS, "arms": results}


def _inputs(work: Path) -> dict[str, Path]:
    """Base model, corpus and vocabulary of the quickstart, made where they are missing."""
    plan = make_plan(load_recipe(RECIPE), RECIPE.resolve().parent, work)
    for name in ("base", "corpus", "vocab"):
        run_plan(plan, lambda *_: None, only=name)
    return {
        name: plan.stage(stage).artifact.folder
        for name, stage in (("model", "base"), ("corpus", "corpus"), ("vocab", "vocab"))
    }


def _figures(chosen: Pretrain, seed: int, inputs: dict[str, Path], work: Path) -> dict[str, float]:
    out = work / "training"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    languages = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")
    context = StageContext(out, inputs, languages, seed, Runtime(show_progress=False), RECIPE.resolve().parent)
    pretrain.run(chosen, context)
    rows = [row for _, row in read_json_lines(out / pretrain.BITS_PER_BYTE) if isinstance(row, dict) and row["full"]]
    last = max(row["step"] for row in rows if row["step"] != "base")
    first, after = ({(r["language"], r["tier"]): r["bits_per_byte"] for r in rows if r["step"] == s} for s in (0, last))
    new = [code for code in languages[1:] if (code, "all") in after]
    ratios = [after[code, "all"] / first[code, "all"] for code in new]
    return {
        "new languages": mean(after[code, "all"] for code in new),
        "their high tier": mean(after[code, "high"] for code in new if (code, "high") in after),
        "English": after["en", "all"],
        "least improved, share of step 0": max(ratios),
    }


def _print(results: dict[str, list[dict[str, float]]]) -> None:
    names = list(results[BASELINE][0])
    rows = []
    for arm, runs in results.items():
        cells = []
        for name in names:
            values = [run[name] for run in runs]
            cell = f"{mean(values):.3f} ± {stdev(values):.3f}"
            if arm != BASELINE:
                changes = [run[name] - base[name] for run, base in zip(runs, results[BASELINE], strict=True)]
                cell += f" ({mean(changes):+.3f}, {min(changes):+.3f} to {max(changes):+.3f})"
            cells.append(cell)
        rows.append((arm, *cells))
    print_table(
        ("arm", *names), rows, f"Bits per byte after 254 steps, mean ± sd of {len(SEEDS)} seeds (change by seed)"
    )
