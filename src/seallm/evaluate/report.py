"""Finished stages in; one page (report.html), the figures behind it (report.json) and a model card (README.md) out.

The page is a function of the figures, the recipe and the manifests. What depends on the machine (seconds, tokens/s,
processor, [compute]) stands in the section `timings` alone: two runs of one recipe differ there and nowhere else.
Charts are inline SVG, and the page needs no network; its script only folds long lists.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seallm.base.artifacts import MANIFEST, StageContext, timed
from seallm.base.files import write_json, write_text
from seallm.evaluate.card import model_card
from seallm.evaluate.card_data import card_facts
from seallm.evaluate.instruction_data import held_out_loss, instruction_figures
from seallm.evaluate.judge_tables import judged_figures
from seallm.evaluate.report_data import (
    Figures,
    bits_per_byte_figures,
    corpus_figures,
    in_order,
    read_optional,
    training_figures,
    vocab_figures,
)
from seallm.evaluate.report_headline import headline, sentence
from seallm.evaluate.report_page import SECTIONS, render
from seallm.evaluate.report_results import (
    preference_figures,
    radar_figures,
    result_rows,
    safety_figures,
    sample_figures,
    task_figures,
)
from seallm.evaluate.report_text import carriable
from seallm.recipe import Recipe

JUDGED = "judge"  # folder in the stage `evaluate`
STAGES = ("instructions", "base", "corpus", "vocab", "pretrain", "hybrid", "sft", "prefer", "dpo", "evaluate")


def run(settings: Recipe, context: StageContext) -> None:
    """Write `report.html`, `report.json` and `README.md`.

    Args:
        settings: the whole recipe.
        context: `inputs` holds the finished folders of any earlier stages.

    Raises:
        DataError: a stage's file is damaged.
    """
    with timed(context.timings, "read"):
        figures = read_figures(settings, context)
    with timed(context.timings, "page"):
        page = render(figures, settings, _manifests(context.inputs))
    write_json(context.out / "report.json", figures)
    write_text(context.out / "report.html", page)
    write_text(context.out / "README.md", model_card(card_facts(figures, settings, context)))
    missing = [name for name in SECTIONS if not figures[name]]
    context.counts.update({"sections": len(SECTIONS) - len(missing), "missing_sections": missing})


def read_figures(settings: Recipe, context: StageContext) -> Figures:
    """Everything the page shows but settings, versions and timings: JSON-able, and equal for equal results.

    Raises:
        DataError: a stage's file is damaged.
    """
    inputs, languages = context.inputs, context.languages
    rows = result_rows(inputs.get("evaluate"))
    results = task_figures(rows, settings.evaluate.tasks if settings.evaluate else (), languages)
    figures: Figures = carriable(
        {
            "name": settings.name,
            "languages": languages,
            "stages": in_order(set(inputs) - {"model"}, STAGES),
            "instructions": instruction_figures(inputs.get("instructions"), languages),
            "corpus": corpus_figures(inputs.get("corpus"), languages),
            "vocab": vocab_figures(inputs.get("vocab"), languages),
            "training": training_figures(inputs),
            "held_out_loss": held_out_loss(inputs.get("sft"), languages),
            "bits_per_byte": bits_per_byte_figures(inputs, languages),
            "results": results,
            "radar": radar_figures(results, languages),
            "preference": preference_figures(inputs, languages),
            "safety": safety_figures(rows, languages),
            "judged": judged_section(inputs.get("evaluate")),
            "samples": sample_figures(inputs.get("evaluate"), languages),
        }
    )
    cards = headline(figures)
    return {**figures, "headline": cards, "sentence": sentence(cards)}


def judged_section(folder: Path | None) -> Figures | None:
    """What the judge said, where `[evaluate.judge]` asked it."""
    found = read_optional(folder / JUDGED, "report.json") if folder else None
    return judged_figures(found) if found else None


def _manifests(inputs: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Manifests by stage, in running order."""
    return {stage: read_optional(inputs[stage], MANIFEST) or {} for stage in STAGES if stage in inputs}
