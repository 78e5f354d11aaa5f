"""Every model of the run in; `results.json` and `samples.json` out: each figure with n and a 95 % interval.

Base and pre-trained models get plain prompts, chat models the chat format. Each part of each model is a file of its own
under `parts/`, written when it is done, so that a killed run loses one part at most.
"""

from typing import Any

from seallm.base.artifacts import StageContext, timed
from seallm.base.files import files_under, write_json
from seallm.base.runtime import Task, progress, seed_everything
from seallm.evaluate.answers import greedy_answers, sample_questions
from seallm.evaluate.candidates import FolderCandidate
from seallm.evaluate.engine import Engine
from seallm.evaluate.harness import Limits, Tasks, offline
from seallm.evaluate.parallel_text import parallel_rows, read_parallel
from seallm.evaluate.safety import read_safety_prompts, safety_rows
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
from seallm.evaluate.task_data import faulty_rows
from seallm.evaluate.task_loading import load_tasks
from seallm.policies.loading import load_policy
from seallm.recipe import Evaluate

MODELS = ("base", "pretrain", "hybrid", "sft", "dpo")
CHAT_MODELS = ("sft", "dpo")
Row = dict[str, Any]


def run(settings: Evaluate, context: StageContext) -> None:
    """Evaluate every model stage that the run has.

    Raises:
        DataError: a data file is missing or malformed; found before any model is loaded.
        RecipeError: a task name is unknown.
        ModelError: a model folder is incomplete.
    """
    seed_everything(context.seed)
    models = [name for name in MODELS if name in context.inputs]
    with offline():
        with timed(context.timings, "read_tasks_seconds"):
            tasks, missing = load_tasks(settings, context)
        parts = _parts(settings, context, tasks)
        of_model = {name: {k: m for k, m in parts.items() if name in CHAT_MODELS or not m.only_chat} for name in models}
        found: list[tuple[Subject, dict[str, Part]]] = []
        total = sum(m.requests for measurements in of_model.values() for m in measurements.values())
        with progress("evaluate", total, context.runtime) as task:
            for name, measurements in of_model.items():
                subject = _subject(name, settings, context, task)
                found.append((subject, measure(subject, measurements, {})))
    cut = {
        name: sum(part[name] for _, done in found for part in done.values())
        for name in ("prompts_cut", "questions_cut")
    }
    samples = [
        {"model": of.name, **row} for of, done in found if "samples" in done for row in done.pop("samples")["rows"]
    ]
    rows = [row for subject, done in found for row in model_figures(subject, done, tasks)]
    for subject, done in found:
        write_submissions(subject, done, tasks, context.out)
    write_json(context.out / "results.json", rows)
    write_json(context.out / "samples.json", samples)
    context.counts["figures"] = len(rows)
    context.counts["tasks_without_data"] = missing
    context.counts["faulty_rows"] = {row["task"]: row["n"] for row in faulty_rows(tasks)}
    context.counts.update(cut)


def _subject(name: str, settings: Evaluate, context: StageContext, task: Task) -> Subject:
    return Subject(
        FolderCandidate(name, context.inputs[name] / "model"),
        name in CHAT_MODELS,
        context.out / "parts",
        settings.batch_sequences,
        context.seed,
        context.runtime,
        Bar(task, name),
        context.timings,
    )


def _parts(settings: Evaluate, context: StageContext, tasks: Tasks) -> dict[str, Measurement]:
    """What is measured of each model, by name; input is read here, before any model is loaded."""
    seed, languages = context.seed, context.languages
    parts = task_measurements(tasks, Limits(settings.limit, settings.generation_limit or settings.limit))
    if settings.parallel is not None:
        sentences = read_parallel(context.resolve(settings.parallel), languages, settings.limit)
        count = sum(map(len, sentences.values()))
        parts["parallel"] = Measurement(count, lambda of: parallel_rows(of.engine, sentences, seed))
    if settings.safety_prompts is not None:
        prompts = read_safety_prompts(files_under(context.resolve(settings.safety_prompts)), languages)
        policy = load_policy(settings.policy, context.recipe_folder) if settings.policy is not None else None
        systems = policy.system_prompts() if policy is not None else None
        parts["safety"] = Measurement(len(prompts), lambda of: safety_rows(of.engine, prompts, systems), only_chat=True)
    data = context.resolve(settings.data)
    questions = [(code, q) for code in languages for q in sample_questions(code, settings.sample_prompts, data)]
    parts["samples"] = Measurement(len(questions), lambda of: _samples(of.engine, questions), only_chat=True)
    return parts


def _samples(engine: Engine, questions: list[tuple[str, str]]) -> list[Row]:
    answers = greedy_answers(engine, [question for _, question in questions])
    return [
        {"language": code, "prompt": question, "answer": answer}
        for (code, question), answer in zip(questions, answers, strict=True)
    ]
