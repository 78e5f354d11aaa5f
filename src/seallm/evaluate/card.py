"""The facts of a run in, its model card out: a README.md for the hub, with front matter that the hub reads.

The front matter is written by huggingface_hub itself. What the run does not know is said to be missing: the licence of
a model is for its owner to state.
"""

import re
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from seallm.evaluate.page_engine import task_title
from seallm.evaluate.report_data import Figures
from seallm.evaluate.report_headline import language_name
from seallm.evaluate.report_text import clean, count, quantity, span

PERCENT = 100.0


def model_card(facts: Figures, *, licence: str | None = None) -> str:
    """The card as Markdown.

    Args:
        facts: from `card_facts`.
        licence: of the model, as the hub names licences: `apache-2.0`; absent: said to be missing.
    """
    engine = Environment(
        loader=PackageLoader("seallm.evaluate", "templates"),
        autoescape=False,  # Markdown; what comes from data goes through `cell` or a fence
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.globals.update(
        cell=cell, count=count, quantity=quantity, figure=figure, task_title=task_title, language_name=language_name
    )
    front = front_matter(facts, licence)
    text = engine.get_template("card.md.j2").render(f=facts, front=front, licence=licence)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def front_matter(facts: Figures, licence: str | None) -> str:
    """YAML of the hub's fields: languages, licence, base model, and results as a model index."""
    results = [result for task in facts["results"] if task["is_primary"] for result in _results_of(task)]
    known: dict[str, Any] = {
        "language": [language["code"] for language in facts["languages"]],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["seallm", *(["conversational"] if facts["is_chat"] else [])],
    }
    if licence:
        known["license"] = licence
    if facts["base_on_hub"]:
        known["base_model"] = facts["base_model"]
    if results:
        known |= {"model_name": facts["name"], "eval_results": results}
    return str(ModelCardData(**known).to_yaml(line_break="\n")).strip() + "\n"


def _results_of(task: Figures) -> list[EvalResult]:
    scale = PERCENT if task["unit"] == "share" else 1.0
    found = []
    for row in task["rows"]:
        cell_of = row["final"]
        ends = "no interval"
        if cell_of["low"] is not None:
            ends = f"95 % interval {scale * cell_of['low']:.1f} to {scale * cell_of['high']:.1f}"
        unit = " in percent" if task["unit"] == "share" else ""
        found.append(
            EvalResult(
                task_type="text-generation",
                dataset_type=task["task"],
                dataset_name=f"{task_title(task['task'])} ({language_name(row['language'])})",
                dataset_config=row["language"],
                metric_type=task["metric"],
                metric_name=f"{task['metric']}{unit}, n = {cell_of['n']}, {ends}",
                metric_value=round(scale * cell_of["value"], 2),
            )
        )
    return found


def cell(value: object) -> str:
    """A text of the data as the cell of a table: one line, without what Markdown or HTML would read."""
    line = " ".join(clean(value).split())
    return re.sub(r"([|`<>\[\]*_\\])", r"\\\1", line)


def figure(estimate: Figures | None, unit: str) -> str:
    """`34.0 % (30.1-38.2)`, or a dash."""
    if estimate is None or estimate["value"] is None:
        return "–"
    text = quantity(estimate["value"], unit)
    return text if estimate["low"] is None else f"{text} ({span(estimate['low'], estimate['high'], unit)})"
