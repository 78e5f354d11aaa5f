"""Any models and any tasks in; `report.json` and `report.md` out, without a recipe: figures with n and 95 % intervals.

    OUT/report.json                  settings, models, figures, what is missing: all that is needed to do it again
    OUT/report.md                    the same as tables, one column a model
    OUT/submission.<model>.<task>.csv    answers to benchmarks whose authors keep the right ones
    OUT/parts/<model>.<task>.json    finished scores; kept, and used again where nothing of them has changed

A part is known again by what made it: the model's files, the task files, the rows of the data, and the settings. So the
command may be stopped and given again, with more models or more tasks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from seallm.base.artifacts import locked, versions
from seallm.base.files import write_json, write_text
from seallm.base.processes import run_processes
from seallm.base.runtime import seed_everything
from seallm.evaluate.differences import differences
from seallm.evaluate.figure_table import markdown
from seallm.evaluate.harness import Tasks, offline
from seallm.evaluate.measuring import SEED, Work, measure_all, measure_share, prepare
from seallm.evaluate.metrics import SUBMISSION, chrf_signature
from seallm.evaluate.published_figures import beside, read_published
from seallm.evaluate.subjects import Part, Subject, model_figures, write_submissions


def evaluate_models(work: Work, *, compare: Sequence[str] = (), processes: int = 1) -> dict[str, Any]:
    """Evaluate models, and write the report.

    Args:
        work: what is measured of which models, and where the report goes.
        compare: published figures to set beside, as `read_published` knows them.
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
    published = [row for name in compare for row in read_published(name)]
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
        }
        for subject, done in found:
            write_submissions(subject, done, prepared.tasks, out)
        write_json(out / "report.json", report)
        write_text(out / "report.md", markdown(report))
    return report


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
            row for name, part in done.items() for row in part["rows"] if name in tasks and row["metric"] != SUBMISSION
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
