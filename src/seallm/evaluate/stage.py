"""Every model of the run in; `results.json` and `samples.json` out: each figure with n and a 95 % interval.

Base and pre-trained models get plain prompts, chat models the chat format. Each part of each model is a file of its own
under `parts/`, written when it is done, so that a killed run loses one part at most.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

from seallm.base.artifacts import StageContext, timed
from seallm.base.files import files_under, read_json, write_json
from seallm.base.runtime import Task, progress, seed_everything
from seallm.evaluate.answers import greedy_answers, sample_questions
from seallm.evaluate.engine import Engine
from seallm.evaluate.harness import Limits, Tasks, load_tasks, offline, request_count, run_tasks
from seallm.evaluate.parallel_text import parallel_rows, read_parallel
from seallm.evaluate.safety import read_safety_prompts, safety_rows
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.recipe import Evaluate

MODELS = ("base", "pretrain", "hybrid", "sft", "dpo")
CHAT_MODELS = ("sft", "dpo")
Row = dict[str, Any]


class _Part(TypedDict):
    """What one part of one model leaves: its rows, and how many of its prompts were too long for the model."""

    rows: list[Row]
    prompts_cut: int


@dataclass(frozen=True)
class _Subject:
    """One model under evaluation; loaded only where a part of it is still to do."""

    name: str
    folder: Path
    settings: Evaluate
    context: StageContext
    task: Task

    @cached_property
    def engine(self) -> Engine:
        model, tokenizer = load_model(self.folder, self.context.runtime), load_tokenizer(self.folder)
        batch = self.settings.batch_sequences
        return Engine(model, tokenizer, batch, self.context.seed, lambda done: self.task.advance(done, self.name))

    @property
    def is_chat(self) -> bool:
        return self.name in CHAT_MODELS


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
        total = len(models) * request_count(tasks, _limits(settings))
        found: list[tuple[str, _Part]] = []
        with progress("evaluate", total, context.runtime) as task:
            for name in models:
                subject = _Subject(name, context.inputs[name] / "model", settings, context, task)
                found += [(part, _cached(subject, part, function)) for part, function in parts.items()]
    rows = [row for part, result in found if part != "samples" for row in result["rows"]]
    write_json(context.out / "results.json", rows)
    write_json(
        context.out / "samples.json", [row for part, result in found if part == "samples" for row in result["rows"]]
    )
    context.counts["figures"] = len(rows)
    context.counts["tasks_without_data"] = missing
    context.counts["prompts_cut"] = sum(result["prompts_cut"] for _, result in found)


def _parts(settings: Evaluate, context: StageContext, tasks: Tasks) -> dict[str, Callable[[_Subject], list[Row]]]:
    """What is measured of each model, by name; input is read here, before any model is loaded."""
    seed, languages = context.seed, context.languages
    parts: dict[str, Callable[[_Subject], list[Row]]] = {
        "tasks": lambda subject: run_tasks(subject.engine, tasks, _limits(settings), subject.is_chat, seed)
    }
    if settings.parallel is not None:
        sentences = read_parallel(context.resolve(settings.parallel), languages, settings.limit)
        parts["parallel"] = lambda subject: parallel_rows(subject.engine, sentences, seed)
    if settings.safety_prompts is not None:
        prompts = read_safety_prompts(files_under(context.resolve(settings.safety_prompts)), languages)
        parts["safety"] = lambda subject: safety_rows(subject.engine, prompts) if subject.is_chat else []
    data = context.resolve(settings.data)
    questions = [(code, q) for code in languages for q in sample_questions(code, settings.sample_prompts, data)]
    parts["samples"] = lambda subject: _samples(subject.engine, questions) if subject.is_chat else []
    return parts


def _limits(settings: Evaluate) -> Limits:
    return Limits(settings.limit, settings.generation_limit or settings.limit)


def _samples(engine: Engine, questions: list[tuple[str, str]]) -> list[Row]:
    answers = greedy_answers(engine, [question for _, question in questions])
    return [
        {"language": code, "prompt": question, "answer": answer}
        for (code, question), answer in zip(questions, answers, strict=True)
    ]


def _cached(subject: _Subject, part: str, function: Callable[[_Subject], list[Row]]) -> _Part:
    """One part of one model, from its file where an earlier run has finished it."""
    path = subject.context.out / "parts" / f"{subject.name}.{part}.json"
    if not path.is_file():
        with timed(subject.context.timings, f"{subject.name}_{part}_seconds"):
            cut_before = subject.engine.cut_prompts
            rows = [{"model": subject.name, **row} for row in function(subject)]
            write_json(path, {"rows": rows, "prompts_cut": subject.engine.cut_prompts - cut_before})
    found: _Part = read_json(path)
    return found
