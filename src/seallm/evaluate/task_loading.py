"""Names of tasks and task groups in, tasks of lm-evaluation-harness out, with the data that are not there.

A name is a task (`xcopa_th`) or a group of tasks (`xcopa`), with or without `seallm_` in front. Of a group, only the
languages that are asked for are taken.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lm_eval.tasks import TaskManager

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, RecipeError
from seallm.evaluate.harness import Tasks, task_language
from seallm.evaluate.layouts import MissingDataError
from seallm.evaluate.task_files import PREFIX, write_task_files
from seallm.recipe import Evaluate


@dataclass
class Loaded:
    """What names stand for.

    Attributes:
        tasks: by name, those whose data are there.
        missing: by the name of a task whose data are not there, what is missing.
        members: by a name that was asked for, the tasks that it stands for.
    """

    tasks: Tasks = field(default_factory=dict)
    missing: dict[str, MissingDataError] = field(default_factory=dict)
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
    loaded = read_tasks(settings.tasks, folders, data, context.languages, settings.shots)
    for members in loaded.members.values():
        if all(member in loaded.missing for member in members):
            raise loaded.missing[members[0]]
    return loaded.tasks, list(loaded.missing)


def read_tasks(
    names: Sequence[str], folders: Sequence[Path], data: Path, languages: Sequence[str] | None, shots: int | None
) -> Loaded:
    """Build tasks; what has no data file is left out and told.

    Args:
        names: tasks and groups.
        folders: with task files beside those that ship with seallm.
        data: folder of the data files.
        languages: codes; of a group, tasks in other languages are left out. None: all.
        shots: examples before each question; None: as each task file says.

    Raises:
        RecipeError: a name is unknown.
        DataError: a data file is malformed.
    """
    loaded = Loaded()
    with tempfile.TemporaryDirectory(prefix="seallm-tasks-") as shipped:
        write_task_files(Path(shipped))
        paths = [shipped, *map(str, folders)]
        manager = TaskManager(include_path=paths, include_defaults=False, metadata={"data": str(data)})
        for name in names:
            loaded.members[name] = _members(manager, name, languages)
            for member in loaded.members[name]:
                try:
                    loaded.tasks |= manager.load([member])["tasks"]
                except MissingDataError as error:
                    loaded.missing[member] = error
                except OSError as error:  # a task file of the user's own that asks for a hub data set
                    raise DataError(f"The data of task {member} cannot be read offline: {error}") from error
    if shots is not None:
        for task in loaded.tasks.values():
            task.set_config("num_fewshot", shots)
    return loaded


def _members(manager: TaskManager, name: str, languages: Sequence[str] | None) -> list[str]:
    """Names of the tasks that a name stands for."""
    index = manager.task_index
    entry = index.get(name) or index.get(PREFIX + name)
    if entry is None:
        known = sorted(n.removeprefix(PREFIX) for n in [*manager.all_tags, *manager.all_subtasks])
        raise RecipeError(f"[evaluate] tasks has {name!r}, which no task file defines. Known: {', '.join(known)}")
    if not entry.tags or entry.name in manager.all_subtasks:
        return [entry.name]
    if languages is None:
        languages = sorted({task_language(index[m].cfg) for m in entry.tags})
    order = ["", *languages]
    of_run = sorted(
        (m for m in entry.tags if task_language(index[m].cfg) in order),
        key=lambda m: (order.index(task_language(index[m].cfg)), m),
    )
    if not of_run:
        raise RecipeError(f"[evaluate] tasks has {name!r}, which has no task in {', '.join(languages)}")
    return of_run
