"""Names of tasks and task groups in, tasks of lm-evaluation-harness out, with the data that are not there.

A name is a task (`xcopa_th`) or a group of tasks (`xcopa`), with or without `seallm_` in front. Of a group, only the
languages that are asked for are taken.
"""

import difflib
import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, RecipeError
from seallm.evaluate.harness import Tasks, own_data_sets, task_language
from seallm.evaluate.layouts import MissingDataError
from seallm.evaluate.task_files import PREFIX, write_task_files
from seallm.recipe import Evaluate

HARNESS = "lm-eval:"


@dataclass
class Loaded:
    """What names stand for.

    Attributes:
        tasks: by name, those whose data are there.
        missing: by the name of a task that cannot be built, why: no data (MissingDataError), or malformed ones.
        foreign: by the name of a group that has no task in the languages that are asked for, a message that says so.
        members: by a name that was asked for, the tasks that it stands for.
    """

    tasks: Tasks = field(default_factory=dict)
    missing: dict[str, DataError] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)


def load_tasks(settings: Evaluate, context: StageContext) -> tuple[Tasks, list[str]]:
    """Build the tasks that a recipe names, for the languages of the run.

    Returns:
        Tasks by name, and the names of those of a group that were left out for want of data.

    Raises:
        RecipeError: a name is unknown.
        DataError: a data file is malformed, or missing for a task named by itself or for a whole group.
    """
    folders = [context.resolve(folder) for folder in settings.task_folders]
    data = context.resolve(settings.data)
    longest = settings.max_answer_tokens
    loaded = read_tasks(settings.tasks, folders, data, context.languages, settings.shots, max_answer_tokens=longest)
    if loaded.foreign:
        raise RecipeError("; ".join(loaded.foreign.values()))
    for error in loaded.missing.values():
        if not isinstance(error, MissingDataError):
            raise error
    for members in loaded.members.values():
        if all(member in loaded.missing for member in members):
            raise loaded.missing[members[0]]
    return loaded.tasks, list(loaded.missing)


def read_tasks(
    names: Sequence[str],
    folders: Sequence[Path],
    data: Path,
    languages: Sequence[str] | None,
    shots: int | None,
    *,
    max_answer_tokens: int | None = None,
) -> Loaded:
    """Build tasks; what has no data file, or a malformed one, is left out and told.

    Args:
        names: tasks and groups; those of lm-evaluation-harness itself as `lm-eval:hellaswag`.
        folders: with task files beside those that ship with seallm.
        data: folder of the data files.
        languages: codes; of a group, tasks in other languages are left out. None: all.
        shots: examples before each question; None: as each task file says.
        max_answer_tokens: no answer may be longer, whatever a task file says; None: as it says.

    Raises:
        RecipeError: a name is unknown.
    """
    loaded = Loaded()
    with tempfile.TemporaryDirectory(prefix="seallm-tasks-") as shipped:
        write_task_files(Path(shipped))
        paths = [shipped, *map(str, folders)]
        manager = TaskManager(include_path=paths, include_defaults=False, metadata={"data": str(data)})
        for name in names:
            if name.startswith(HARNESS):
                _read_harness_task(name, paths[1:], loaded)
                continue
            loaded.members[name] = _members(manager, name, languages)
            if not loaded.members[name]:
                loaded.foreign[name] = f"{name} has no task in {', '.join(languages or ())}"
            for member in loaded.members[name]:
                _read_task(manager, member, loaded)
    if shots is not None:
        for task in loaded.tasks.values():
            task.set_config("num_fewshot", shots)
    if max_answer_tokens is not None:
        for task in loaded.tasks.values():
            _shorten(task, max_answer_tokens)
    return loaded


def _read_task(manager: TaskManager, name: str, loaded: Loaded) -> None:
    try:
        loaded.tasks |= manager.load([name])["tasks"]
    except DataError as error:
        loaded.missing[name] = error
    except OSError as error:  # a task file of the user's own that asks for a hub data set
        loaded.missing[name] = DataError(f"The data of task {name} cannot be read offline: {error}")


def _shorten(task: Any, max_answer_tokens: int) -> None:
    """Let a task that has answers written end them sooner."""
    wanted = task.config.generation_kwargs
    if task.OUTPUT_TYPE == "generate_until":
        longest = min(max_answer_tokens, int((wanted or {}).get("max_gen_toks", max_answer_tokens)))
        task.set_config("generation_kwargs", {**(wanted or {}), "max_gen_toks": longest})


def _read_harness_task(name: str, folders: Sequence[str], loaded: Loaded) -> None:
    """Build a task or group of lm-evaluation-harness itself, on data sets that were downloaded before."""
    own = name.removeprefix(HARNESS)
    manager = _harness_manager(tuple(folders))
    entry = manager.task_index.get(own)
    if entry is None:
        raise RecipeError(f"lm-evaluation-harness has no task {own!r}{_nearest(own, list(manager.task_index))}")
    loaded.members[name] = [own]
    try:
        with own_data_sets():
            found = manager.load([own])["tasks"]
    except OSError as error:
        data_set = (entry.cfg or {}).get("dataset_path") or "its data set"
        loaded.missing[own] = MissingDataError(
            f"The data of {name} are not on this machine ({str(error).splitlines()[0]}). Fetch them once: python -c "
            f"\"import datasets; datasets.load_dataset('{data_set}')\""
        )
        return
    loaded.members[name] = list(found)
    loaded.tasks |= found


@functools.cache
def _harness_manager(folders: tuple[str, ...]) -> TaskManager:
    """All tasks of the harness: thousands of files, read once."""
    return TaskManager(include_path=list(folders), include_defaults=True)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (nearest: {near[0]!r})" if near else ""


def _members(manager: TaskManager, name: str, languages: Sequence[str] | None) -> list[str]:
    """Names of the tasks that a name stands for; of a group, those in the languages that are asked for."""
    index = manager.task_index
    entry = index.get(name) or index.get(PREFIX + name)
    if entry is None:
        every = [n.removeprefix(PREFIX) for n in (*manager.all_tags, *manager.all_subtasks)]
        groups = sorted(n.removeprefix(PREFIX) for n in manager.all_tags)
        raise RecipeError(
            f"[evaluate] tasks has {name!r}, which no task file defines{_nearest(name, every)}. Groups: "
            f"{', '.join(groups)}; single tasks as xcopa_th; tasks of lm-evaluation-harness as {HARNESS}hellaswag"
        )
    if not entry.tags or entry.name in manager.all_subtasks:
        return [entry.name]
    if languages is None:
        languages = sorted({task_language(index[m].cfg) for m in entry.tags})
    order = ["", *languages]
    return sorted(
        (m for m in entry.tags if task_language(index[m].cfg) in order),
        key=lambda m: (order.index(task_language(index[m].cfg)), m),
    )
