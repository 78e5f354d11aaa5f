"""Models and what to measure of them in; their scores and figures out, each part written when it is done.

A part is one task, or one other measurement, of one model. It is a file of its own, so that a killed run loses
one part at most, and a model that is added later costs only its own time.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from seallm.base.artifacts import timed
from seallm.base.files import read_json, write_json, write_text
from seallm.base.runtime import Runtime, Task
from seallm.evaluate.candidates import Candidate
from seallm.evaluate.harness import Limits, Tasks, figures, request_count, score_task
from seallm.evaluate.metrics import KEPT, SUBMISSION

Row = dict[str, Any]


class Part(TypedDict):
    """What one part of one model leaves.

    Attributes:
        key: what it was made from.
        rows: scores or figures.
        prompts_cut: prompts that were too long and lost their beginning.
        questions_cut: questions of which a part itself was lost.
        unanswered: questions whose answer named no choice, or that a server gave up.
    """

    key: str
    rows: list[Row]
    prompts_cut: int
    questions_cut: int
    unanswered: int


@dataclass
class Bar:
    """The display, moved on by what a part really asks of the engine, but never past what was foreseen for it."""

    task: Task
    note: str
    left: int = 0

    @contextmanager
    def part(self, requests: int) -> Iterator[None]:
        """The time of one part, which is expected to make so many requests."""
        self.left = requests
        yield
        self.advance(self.left)

    def advance(self, requests: int) -> None:
        """So many requests are done."""
        moved = min(requests, self.left)
        self.left -= moved
        self.task.advance(moved, self.note)


@dataclass(frozen=True)
class Subject:
    """One model under evaluation; opened only where a part of it is still to do.

    Attributes:
        candidate: the model.
        is_chat: give it prompts in the chat format.
        parts: folder of the finished parts of all models.
        seconds: filled with the seconds of each part that was measured now.
    """

    candidate: Candidate
    is_chat: bool
    parts: Path
    batch_sequences: int
    seed: int
    runtime: Runtime
    bar: Bar
    seconds: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As figures name it."""
        return self.candidate.name

    @cached_property
    def engine(self) -> Any:
        """The opened model."""
        return self.candidate.open(self.batch_sequences, self.seed, self.runtime, self.bar.advance)


class Measurement(NamedTuple):
    """One part: how many requests it makes, how it is measured, and which models have it.

    Attributes:
        requests: about how many.
        rows: measures it.
        only_chat: plain models do not have it.
        needs_tokens: models whose tokens nobody sees do not have it.
    """

    requests: int
    rows: Callable[[Subject], list[Row]]
    only_chat: bool = False
    needs_tokens: bool = False


def task_measurements(tasks: Tasks, limits: Limits) -> dict[str, Measurement]:
    """One measurement a task, by its name; its rows are scores, of which `figures` makes figures."""

    def measured(name: str, task: Any) -> Measurement:
        requests = request_count({name: task}, limits)
        return Measurement(requests, lambda of: score_task(of.engine, name, task, limits, of.is_chat, of.seed))

    return {name: measured(name, task) for name, task in tasks.items()}


def model_figures(subject: Subject, parts: Mapping[str, Part], tasks: Tasks) -> list[Row]:
    """All figures of a model: of its tasks, then of its other parts."""
    scored = [r for name, part in parts.items() if name in tasks for r in part["rows"] if r["metric"] not in KEPT]
    others = [row for name, part in parts.items() if name not in tasks for row in part["rows"]]
    return [{"model": subject.name, **row} for row in (*figures(scored, tasks, subject.seed), *others)]


def write_submissions(subject: Subject, parts: Mapping[str, Part], tasks: Tasks, folder: Path) -> None:
    """Write `submission.<model>.<task>.csv` (id,answer) for tasks whose answers their authors keep."""
    for name in parts.keys() & tasks.keys():
        for row in parts[name]["rows"]:
            if row["metric"] == SUBMISSION:
                lines = ["id,answer", *(f"{number},{letter}" for number, letter in row["values"])]
                file = f"submission.{subject.name.replace('/', '.')}.{row['task']}.csv"
                write_text(folder / file, "\n".join(lines) + "\n")


def measure(subject: Subject, measurements: Mapping[str, Measurement], keys: Mapping[str, str]) -> dict[str, Part]:
    """All parts of one model; those that an earlier run has finished from the same `keys` are read from their files."""
    found = {}
    for name, measurement in measurements.items():
        with subject.bar.part(measurement.requests):
            found[name] = _cached(subject, name, measurement.rows, keys.get(name, ""))
    return found


def _cached(subject: Subject, part: str, function: Callable[[Subject], list[Row]], key: str) -> Part:
    path = subject.parts / f"{subject.name.replace('/', '.')}.{part}.json"
    if path.is_file():
        found: Part = read_json(path)
        if found["key"] == key:
            return found
    with timed(subject.seconds, f"{subject.name}_{part}_seconds"):
        before = _counts(subject.engine)
        rows = function(subject)
    cut, questions, unanswered, given_up = (
        now - then for now, then in zip(_counts(subject.engine), before, strict=True)
    )
    made = Part(key=key, rows=rows, prompts_cut=cut, questions_cut=questions, unanswered=unanswered)
    if not given_up:  # what a server gave up is asked again by the next command; what it answered is on disk
        write_json(path, made)
    return made


def _counts(engine: Any) -> tuple[int, int, int, int]:
    return engine.cut_prompts, engine.cut_questions, len(engine.unanswered), engine.given_up
