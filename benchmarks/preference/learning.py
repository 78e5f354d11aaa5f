"""DPO on pairs whose better answer is known: held-out preference accuracy before and after, by kind and by language.

One run learns from the kinds that it is given together. Accuracy: the better answer is the more probable one per token.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.preference.judges import percent
from benchmarks.preference.known_pairs import LANGUAGES, Known
from benchmarks.preference.models import context_in
from benchmarks.training.tables import print_table
from seallm.base.files import read_json, read_json_lines
from seallm.base.records import Preference, write_preferences
from seallm.prefer.figures import rate
from seallm.recipe_training import Dpo, Optimiser
from seallm.train import dpo

TAUGHT = ("language", "polite", "corrupted")
EPOCHS, BATCH_PAIRS = 2.0, 8
TINY, OTHERS = (5e-4, 0.0), (3e-5, 0.2)  # learning rate, weight of the SFT term


def run(
    name: str,
    stage: Path,
    halves: tuple[Sequence[Known], Sequence[Known]],
    kinds: Sequence[str],
    folder: Path,
    threads: int,
) -> dict[str, Any]:
    """Train on one half of the pairs, measure on the other."""
    pairs, (train, test) = folder / "pairs", halves
    learning_rate, sft_weight = TINY if name == "tiny" else OTHERS
    for half, known in (("preferences", train), ("held_out", test)):
        write_preferences(pairs / f"{half}.jsonl", [_labelled(k) for k in known if k.kind in kinds])
    settings = Dpo(
        epochs=EPOCHS,
        batch_pairs=BATCH_PAIRS,
        sft_weight=sft_weight,
        max_sequence_tokens=768,
        evaluate_every_steps=1_000,
        optimiser=Optimiser(learning_rate=learning_rate),
    )
    context = context_in(folder / "dpo", threads, model=stage, prefer=pairs)
    dpo.run(settings, context)
    accuracy = read_json(context.out / "preference_accuracy.json")
    steps = [row for _, row in read_json_lines(context.out / "metrics.jsonl") if isinstance(row, dict)]
    found = {
        "pairs": context.counts["preferences"]["pairs"],
        "all": {when: accuracy[when] for when in ("before", "after")},
        "kinds": {kind: _together(accuracy["languages"], kind, 0) for kind in kinds},
        "languages": {code: _together(accuracy["languages"], code, 1) for code in LANGUAGES},
        "gained": accuracy["gained"],
        "sentence": accuracy["sentence"],
        "losses": [round(row["loss"], 4) for row in steps],
    }
    _print(name, found)
    return found


def _labelled(known: Known) -> Preference:
    """The kind stands in the language, so that figures by language are figures by both."""
    preference = known.preference()
    labels = (preference.prompt, preference.chosen, preference.rejected)
    return Preference(*labels, f"{known.kind}/{known.language}")


def _together(languages: dict[str, Any], label: str, part: int) -> dict[str, Any]:
    own = [figures for name, figures in languages.items() if name.split("/")[part] == label]
    sums = {when: [(f[when]["value"] * f[when]["n"], f[when]["n"]) for f in own] for when in ("before", "after")}
    return {when: rate(round(sum(r for r, _ in s)), sum(n for _, n in s)) for when, s in sums.items()}


def _print(name: str, found: dict[str, Any]) -> None:
    groups = {"all": found["all"], **found["kinds"], **found["languages"]}
    rows = [[g, percent(f["before"]), percent(f["after"]), f["after"]["n"]] for g, f in groups.items()]
    title = f"{name}: held-out preference accuracy, {found['pairs']} pairs learned from, 95 % intervals"
    print_table(("", "before", "after", "n"), rows, title)
    print(f"\n{found['sentence']} Gained, nats a token: {found['gained']}")
