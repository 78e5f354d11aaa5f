"""Models, tasks and texts in, the finished parts of each model out: by one process, or by several that share the work.

Several processes measure different parts of the same models. A part is the same whoever measures it, and is a file when
it is done; so the figures are those of one process, and the one that called puts them together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError, RecipeError
from seallm.base.files import fingerprint
from seallm.base.runtime import Runtime, own_place, progress, seed_everything
from seallm.evaluate.candidates import Candidate
from seallm.evaluate.figure_table import missing_lines
from seallm.evaluate.harness import Limits, Tasks, offline
from seallm.evaluate.parallel_text import cost_rows, parallel_rows, read_parallel
from seallm.evaluate.subjects import Bar, Measurement, Part, Subject, measure, task_measurements
from seallm.evaluate.task_loading import read_tasks
from seallm.evaluate.texts import read_texts, text_rows
from seallm.languages import known_languages
from seallm.recipe import Evaluate

SEED = 0  # of examples and of the bootstrap


@dataclass(frozen=True)
class Work:
    """What is to be measured.

    Attributes:
        candidates: models with different names.
        settings: tasks, data folder, limits, parallel folder; paths are absolute.
        languages: codes; of a group of tasks, others are left out. None: all.
        out: folder of the report and of the finished parts, made where it is missing.
        runtime: the machine; of one process, where there are several.
        texts: files and folders whose bits per byte are wanted.
        chat: prompts in the chat format; None: where it suits the model.
    """

    candidates: tuple[Candidate, ...]
    settings: Evaluate
    languages: tuple[str, ...] | None
    out: Path
    runtime: Runtime
    texts: tuple[Path, ...] = ()
    chat: bool | None = None


@dataclass(frozen=True)
class Prepared:
    """Work whose input is read.

    Attributes:
        tasks: those whose data are there.
        missing: {task, what} of the others, and of what cannot be measured of a model.
        measurements: by part.
        keys: by part, what decides it beside the model.
    """

    tasks: Tasks
    missing: list[dict[str, str]]
    measurements: dict[str, Measurement]
    keys: dict[str, str]


def prepare(work: Work) -> Prepared:
    """Read all input, before any model is opened.

    Raises:
        DataError: a data file is malformed, or there is nothing to measure.
        RecipeError: a task name is unknown, or nothing is asked for.
    """
    settings = work.settings
    if not (settings.tasks or work.texts or settings.parallel):
        raise RecipeError("Nothing to measure: name --tasks, a --text, or a --parallel folder")
    folders = [Path(folder) for folder in settings.task_folders]
    data, longest = Path(settings.data), settings.max_answer_tokens
    loaded = read_tasks(settings.tasks, folders, data, work.languages, settings.shots, max_answer_tokens=longest)
    left_out = {**loaded.missing, **loaded.foreign}
    missing = [{"task": task, "what": str(error)} for task, error in left_out.items()]
    limits = Limits(settings.limit, settings.generation_limit or settings.limit)
    measurements, keys = task_measurements(loaded.tasks, limits), _task_keys(loaded.tasks, limits)
    if settings.parallel is not None:
        codes = work.languages or _languages_of(Path(settings.parallel))
        sentences = read_parallel(Path(settings.parallel), codes, settings.limit)
        count = sum(map(len, sentences.values()))
        measurements["parallel"] = Measurement(count, lambda of: _parallel(of, sentences), needs_tokens=True)
        keys["parallel"] = fingerprint([sentences, SEED])
    if work.texts:
        texts = read_texts(work.texts, work.languages, settings.limit)
        count = sum(map(len, texts.values()))
        measurements["text"] = Measurement(count, lambda of: text_rows(of.engine, texts, SEED), needs_tokens=True)
        keys["text"] = fingerprint([texts, SEED])
    if not measurements:
        raise DataError("; ".join(missing_lines(missing)))
    for candidate in work.candidates:
        hidden = [name for name, m in measurements.items() if m.needs_tokens and not candidate.sees_tokens]
        missing += [
            {
                "task": name,
                "what": f"{name} of {candidate.name}: a server does not tell a text's tokens; give its folder",
            }
            for name in hidden
        ]
    return Prepared(loaded.tasks, missing, measurements, keys)


def _languages_of(folder: Path) -> list[str]:
    """Languages that a folder of parallel text has files of, English first."""
    names = {part for path in folder.glob("*") for part in path.name.split(".")}
    return sorted(names & set(known_languages()), key=lambda code: (code != "en", code))


def _parallel(subject: Subject, sentences: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    return [*parallel_rows(subject.engine, sentences, SEED), *cost_rows(subject.engine, sentences, SEED)]


def _task_keys(tasks: Tasks, limits: Limits) -> dict[str, str]:
    """By task, what decides its scores beside the model: its settings, rows, limit, seed."""
    keys = {}
    for name, task in tasks.items():
        config = {k: v for k, v in task.dump_config().items() if k != "metadata"}
        rows = [list(split) for _, split in sorted(task.dataset.items())]
        keys[name] = fingerprint([config, rows, limits.of(task), SEED])
    return keys


def measure_all(work: Work, prepared: Prepared) -> list[tuple[Subject, dict[str, Part]]]:
    """Every part of every model; finished ones are read from their files."""
    return _measure(work, prepared, [_own(candidate, prepared) for candidate in work.candidates])


def measure_share(work: Work) -> None:
    """In each of several processes: measure the parts that fall to this one."""
    seed_everything(SEED)
    with offline():
        prepared = prepare(work)
        _measure(work, prepared, _share(work, prepared))


def _own(candidate: Candidate, prepared: Prepared) -> dict[str, Measurement]:
    return {n: m for n, m in prepared.measurements.items() if candidate.sees_tokens or not m.needs_tokens}


def _share(work: Work, prepared: Prepared) -> list[dict[str, Measurement]]:
    """By model, the parts of this process: the largest first, each to the process that has least to do.

    Servers are left to the first: their calls run side by side anyway, at a pace that processes could not share.
    """
    place = own_place()
    loads = [0] * place.processes
    mine: list[dict[str, Measurement]] = [{} for _ in work.candidates]
    parts = [(number, name, m) for number, c in enumerate(work.candidates) for name, m in _own(c, prepared).items()]
    for number, name, measurement in sorted(parts, key=lambda part: (-part[2].requests, part[0], part[1])):
        taker = loads.index(min(loads)) if work.candidates[number].sees_tokens else 0
        loads[taker] += measurement.requests if work.candidates[number].sees_tokens else 0
        if taker == place.rank:
            mine[number][name] = measurement
    return mine


def _measure(
    work: Work, prepared: Prepared, wanted: Sequence[Mapping[str, Measurement]]
) -> list[tuple[Subject, dict[str, Part]]]:
    found = []
    total = sum(m.requests for measurements in wanted for m in measurements.values())
    with progress("evaluate", total, work.runtime) as task:
        for candidate, measurements in zip(work.candidates, wanted, strict=True):
            if not measurements and own_place().processes > 1:
                continue
            is_chat = candidate.has_chat_format if work.chat is None else work.chat
            batch, bar = work.settings.batch_sequences, Bar(task, candidate.name)
            subject = Subject(candidate, is_chat, work.out / "parts", batch, SEED, work.runtime, bar)
            of_model = fingerprint([is_chat, candidate.identity])
            keys = {name: fingerprint([of_model, prepared.keys[name]]) for name in measurements}
            found.append((subject, measure(subject, measurements, keys)))
    return found
