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
from pathlib import Path
from typing import Any

from seallm.base.artifacts import locked, versions
from seallm.base.errors import DataError
from seallm.base.files import fingerprint, write_json, write_text
from seallm.base.runtime import Runtime, progress, seed_everything
from seallm.evaluate.candidates import Candidate
from seallm.evaluate.comparison_page import comparison_page
from seallm.evaluate.differences import differences
from seallm.evaluate.figure_table import markdown
from seallm.evaluate.harness import Limits, Tasks, offline
from seallm.evaluate.metrics import KEPT, chrf_signature
from seallm.evaluate.published_figures import beside, read_published
from seallm.evaluate.safety_answers import Answered, answered, is_safety
from seallm.evaluate.safety_judge import Ask, judge_answers, judged_rows
from seallm.evaluate.safety_plot import draw_safety
from seallm.evaluate.subjects import (
    Bar,
    Measurement,
    Part,
    Subject,
    measure,
    model_figures,
    task_measurements,
    write_submissions,
)
from seallm.evaluate.task_loading import read_tasks
from seallm.recipe import Evaluate

SEED = 0  # of the bootstrap
PROMPT_CHARACTERS = 1_500  # of the prompts that a report shows


@dataclass(frozen=True)
class Extras:
    """What a report has beside the figures of the tasks.

    Attributes:
        published: figures to set beside, as `read_published` knows them.
        safety_judge: reads the answers to safety tasks, beside the rules.
        show_prompts: put the prompts and answers of safety tasks into `report.json`.
    """

    published: Sequence[str] = ()
    safety_judge: Ask | None = None
    show_prompts: bool = False


def evaluate_models(
    candidates: Sequence[Candidate],
    settings: Evaluate,
    languages: Sequence[str] | None,
    out: Path,
    runtime: Runtime,
    *,
    chat: bool | None = None,
    extras: Extras = Extras(),
) -> dict[str, Any]:
    """Evaluate models, and write the report.

    Args:
        candidates: with different names.
        settings: tasks, data folder, limits; paths are absolute.
        languages: codes; of a group of tasks, other languages are left out. None: all.
        out: folder of the report, made where it is missing.
        runtime: the machine.
        chat: prompts in the chat format; absent: for models whose tokenizer has it.
        extras: what else the report has.

    Returns:
        The report, as written to `report.json`.

    Raises:
        DataError: a data file is malformed, or no task has its data.
        RecipeError: a task name is unknown.
        ModelError: a model folder is incomplete.
    """
    seed_everything(SEED)
    for candidate in candidates:
        candidate.check()
    published = [row for name in extras.published for row in read_published(name)]
    with locked(out), offline():
        tasks, missing = _read(settings, languages)
        limits = Limits(settings.limit, settings.generation_limit or settings.limit)
        measurements = task_measurements(tasks, limits)
        keys = _task_keys(tasks, limits)
        subjects: list[Subject] = []
        found: list[dict[str, Part]] = []
        total = len(candidates) * sum(m.requests for m in measurements.values())
        with progress("evaluate", total, runtime) as task:
            for candidate in candidates:
                is_chat = candidate.has_chat_format if chat is None else chat
                place, batch, bar = out / "parts", settings.batch_sequences, Bar(task, candidate.name)
                subjects.append(Subject(candidate, is_chat, place, batch, SEED, runtime, bar))
                found.append(_measured(subjects[-1], measurements, keys))
        report = {
            "settings": {**settings.model_dump(), "languages": languages, "seed": SEED},
            "models": [_about(subject, done) for subject, done in zip(subjects, found, strict=True)],
            **_figures(subjects, found, tasks, published),
            "missing": missing,
            "prompts": _first_prompts(tasks, extras.show_prompts),
        }
        _add_safety(report, _answered(subjects, found, tasks), extras)
        for subject, done in zip(subjects, found, strict=True):
            write_submissions(subject, done, tasks, out)
        write_json(out / "report.json", report)
        write_text(out / "report.md", markdown(report))
        draw_safety(report["rows"], out)
        write_text(out / "report.html", comparison_page(report))
    return report


def _answered(subjects: Sequence[Subject], parts: Sequence[Mapping[str, Part]], tasks: Tasks) -> list[Answered]:
    return [
        item
        for of, done in zip(subjects, parts, strict=True)
        for part in done.values()
        for item in answered(of.name, part["rows"], tasks)
    ]


def _add_safety(report: dict[str, Any], items: Sequence[Answered], extras: Extras) -> None:
    """What a judge says of the answers to safety tasks; prompts and answers themselves only on wish."""
    if extras.safety_judge is not None and items:
        verdicts = judge_answers(items, extras.safety_judge)
        report["rows"] += judged_rows(items, verdicts)
        report["safety_judge"] = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
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
    subjects: Sequence[Subject], parts: Sequence[Mapping[str, Part]], tasks: Tasks, published: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    rows = [row for of, done in zip(subjects, parts, strict=True) for row in model_figures(of, done, tasks)]
    scored = {
        of.name: [row for part in done.values() for row in part["rows"] if row["metric"] not in KEPT]
        for of, done in zip(subjects, parts, strict=True)
    }
    return {
        "versions": versions(),
        "chrf++_signature": chrf_signature(),
        "rows": rows,
        "differences": differences(scored, tasks, SEED),
        "published": beside(rows, published),
        "prompts_cut": sum(part["prompts_cut"] for done in parts for part in done.values()),
    }


def _read(settings: Evaluate, languages: Sequence[str] | None) -> tuple[Tasks, list[dict[str, str]]]:
    """The tasks whose data are there, and what is missing of the others."""
    folders, data = [Path(folder) for folder in settings.task_folders], Path(settings.data)
    loaded = read_tasks(settings.tasks, folders, data, languages, settings.shots)
    missing = [{"task": task, "what": str(error)} for task, error in loaded.missing.items()]
    if not loaded.tasks:
        raise DataError("; ".join(dict.fromkeys(entry["what"] for entry in missing)))
    return loaded.tasks, missing


def _measured(subject: Subject, measurements: Mapping[str, Measurement], keys: Mapping[str, str]) -> dict[str, Part]:
    of_model = fingerprint([subject.is_chat, subject.candidate.identity])
    return measure(subject, measurements, {name: fingerprint([of_model, key]) for name, key in keys.items()})


def _task_keys(tasks: Tasks, limits: Limits) -> dict[str, str]:
    """By task, what decides its scores beside the model: its settings, rows, limit, seed."""
    keys = {}
    for name, task in tasks.items():
        config = {k: v for k, v in task.dump_config().items() if k != "metadata"}
        rows = [list(split) for _, split in sorted(task.dataset.items())]
        keys[name] = fingerprint([config, rows, limits.of(task), SEED])
    return keys
