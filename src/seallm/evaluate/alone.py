"""Any models and any tasks in; `report.json` and `report.md` out, without a recipe: figures with n and 95 % intervals.

    OUT/report.json                  settings, models, figures, what is missing: all that is needed to do it again
    OUT/report.md, report.html       the same as tables, one column a model; and as a page with charts
    OUT/submission.<model>.<task>.csv    answers to benchmarks whose authors keep the right ones
    OUT/safety.svg                   safety against helpfulness, where tasks have harmful and harmless prompts
    OUT/parts/<model>.<task>.json    finished scores; kept, and used again where nothing of them has changed

A part is known again by what made it: the model's files, the task files, the rows of the data, and the settings. So the
command may be stopped and given again, with more models or more tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seallm.base.artifacts import locked, versions
from seallm.base.files import write_json, write_text
from seallm.base.processes import run_processes
from seallm.base.runtime import seed_everything
from seallm.evaluate.comparison_page import comparison_page
from seallm.evaluate.differences import differences
from seallm.evaluate.figure_table import markdown
from seallm.evaluate.harness import Tasks, offline
from seallm.evaluate.measuring import SEED, Work, measure_all, measure_share, prepare
from seallm.evaluate.metrics import KEPT, chrf_signature
from seallm.evaluate.published_figures import beside, read_published
from seallm.evaluate.safety_answers import Answered, answered, is_safety
from seallm.evaluate.safety_judge import Ask, judge_answers, judge_summary, judged_rows
from seallm.evaluate.safety_plot import draw_safety
from seallm.evaluate.subjects import Part, Subject, model_figures, write_submissions
from seallm.evaluate.task_data import faulty_rows

PROMPT_CHARACTERS = 1_500  # of the prompts that a report shows


@dataclass(frozen=True)
class Extras:
    """What a report has beside the figures of the tasks.

    Attributes:
        published: figures to set beside, as `read_published` knows them.
        safety_judge: reads the answers to safety tasks, beside the rules.
        show_prompts: put the prompts and answers of safety tasks into the report.
    """

    published: Sequence[str] = ()
    safety_judge: Ask | None = None
    show_prompts: bool = False


def evaluate_models(work: Work, *, extras: Extras = Extras(), processes: int = 1) -> dict[str, Any]:
    """Evaluate models, and write the report.

    Args:
        work: what is measured of which models, and where the report goes.
        extras: what else the report has.
        processes: that share the work; they change no figure beyond rounding.

    Returns:
        The report, as written to `report.json`.

    Raises:
        DataError: a data file is malformed, or nothing that is asked for has its data.
        RecipeError: a task name is unknown, or nothing is asked for.
        ModelError: a model folder is incomplete.
        EndpointError: a server answers nothing more; what it answered is kept.
        ProcessError: one of several processes was killed.
    """
    seed_everything(SEED)
    for candidate in work.candidates:
        candidate.check()
    published = [row for name in extras.published for row in read_published(name)]
    out, texts = work.out, [str(path) for path in work.texts]
    with locked(out), offline():
        prepared = prepare(work)
        if processes > 1:
            run_processes(measure_share, [work], processes)
        found = measure_all(work, prepared)
        report = {
            "settings": {**work.settings.model_dump(), "texts": texts, "languages": work.languages, "seed": SEED},
            "models": [_about(subject, done) for subject, done in found],
            **_figures(found, prepared.tasks, published),
            "missing": prepared.missing,
            "faulty_rows": faulty_rows(prepared.tasks),
            "prompts": _first_prompts(prepared.tasks, extras.show_prompts),
        }
        _add_safety(report, _answered(found, prepared.tasks), extras)
        for subject, done in found:
            write_submissions(subject, done, prepared.tasks, out)
        write_json(out / "report.json", report)
        write_text(out / "report.md", markdown(report))
        draw_safety(report["rows"], out)
        write_text(out / "report.html", comparison_page(report))
    return report


def _answered(found: Sequence[tuple[Subject, Mapping[str, Part]]], tasks: Tasks) -> list[Answered]:
    return [
        item
        for subject, done in found
        for name, part in done.items()
        if name in tasks
        for item in answered(subject.name, part["rows"], tasks)
    ]


def _add_safety(report: dict[str, Any], items: Sequence[Answered], extras: Extras) -> None:
    """What a judge says of the answers to safety tasks; prompts and answers themselves only on wish."""
    if extras.safety_judge is not None and items:
        verdicts = judge_answers(items, extras.safety_judge)
        report["rows"] += judged_rows(items, verdicts)
        report["safety_judge"] = judge_summary(items, verdicts)
    if extras.show_prompts:
        report["safety_answers"] = [item.row() for item in items]


def _first_prompts(tasks: Tasks, with_safety: bool) -> list[dict[str, str]]:
    """The prompt of each task's first row, without examples, cut where it is long: what models are asked.

    What safety tasks ask is left out, unless it was asked for.
    """
    found = []
    for name, task in tasks.items():
        if is_safety(task) and not with_safety:
            continue
        text = str(task.doc_to_text(task.eval_docs[0]))
        is_long = len(text) > PROMPT_CHARACTERS
        found.append({"task": name, "prompt": text[:PROMPT_CHARACTERS] + " ..." * is_long})
    return found


def _about(subject: Subject, parts: Mapping[str, Part]) -> dict[str, Any]:
    """How a model was asked, and what came of it."""
    return {
        "name": subject.name,
        "place": subject.candidate.place,
        "chat": subject.is_chat,
        "choices_by": subject.candidate.choices_by(subject.is_chat),
        "unanswered": sum(part["unanswered"] for part in parts.values()),
        "problem": getattr(subject.__dict__.get("engine"), "problem", ""),
    }


def _figures(
    found: Sequence[tuple[Subject, Mapping[str, Part]]], tasks: Tasks, published: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    rows = [row for subject, done in found for row in model_figures(subject, done, tasks)]
    scored = {
        subject.name: [
            row for name, part in done.items() for row in part["rows"] if name in tasks and row["metric"] not in KEPT
        ]
        for subject, done in found
    }
    return {
        "versions": versions(),
        "chrf++_signature": chrf_signature(),
        "rows": rows,
        "differences": differences(scored, tasks, SEED),
        "published": beside(rows, published),
        "prompts_cut": sum(part["prompts_cut"] for _, done in found for part in done.values()),
        "questions_cut": sum(part["questions_cut"] for _, done in found for part in done.values()),
    }
