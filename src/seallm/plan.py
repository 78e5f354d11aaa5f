"""Recipe in, ordered stages out; run those whose result is not there yet.

A stage is described by a name, the stages it reads and the function that does it; `inputs["model"]` is the newest model
before it. Its fingerprint is a hash of its settings, the content of the files it names, the fingerprints of what it
reads, and the seed: change one setting, and that stage and those that read it run again, no other.
"""

import importlib
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from seallm.base.artifacts import Artifact, StageContext, locked, stage_fingerprint, versions
from seallm.base.errors import DataError, ProcessError, RecipeError
from seallm.base.places import Place, place_fingerprint, place_name, places_under, resolve_place
from seallm.base.processes import run_processes
from seallm.base.runtime import Runtime, Training, available_cores, gpu_count, own_place
from seallm.languages import known_languages, load_language
from seallm.recipe import Compute, Recipe
from seallm.recipe_file import input_paths
from seallm.run_recipe import keep_recipe
from seallm.stage_kinds import (
    DECIDES_NOTHING,
    KINDS,
    MAY_CHANGE_UNDER_WAY,
    MODEL_STAGES,
    SHARED_STAGES,
    StageKind,
    kinds_of,
    section_of,
)


@dataclass(frozen=True)
class PlannedStage:
    """A stage of one recipe in one workspace.

    Attributes:
        inputs: folders of the stages it reads, by name.
        files: the files its settings name.
        missing: one line for each input setting where nothing lies.
    """

    kind: StageKind
    settings: BaseModel
    artifact: Artifact
    inputs: dict[str, Path]
    files: tuple[Place, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All stages of a recipe, in running order."""

    recipe: Recipe
    recipe_folder: Path
    folder: Path
    stages: tuple[PlannedStage, ...]

    def stage(self, name: str) -> PlannedStage:
        """The stage of that name.

        Raises:
            RecipeError: the recipe has no such stage.
        """
        for stage in self.stages:
            if stage.kind.name == name:
                return stage
        raise RecipeError(
            f"No stage {name!r} in this recipe. Its stages: {', '.join(s.kind.name for s in self.stages)}"
        )


def make_plan(recipe: Recipe, recipe_folder: Path, workspace: Path) -> Plan:
    """Work out folders, inputs and fingerprints; touches nothing, and only notes what is missing."""
    folder = workspace / recipe.name
    planned: dict[str, PlannedStage] = {}
    for number, kind in kinds_of(recipe):
        settings = recipe if kind.name == "report" else getattr(recipe, kind.section)
        if settings is not None:
            planned[kind.name] = _plan_stage(
                kind, settings, planned, recipe, recipe_folder, folder / f"{number:02d}-{kind.name}"
            )
    return Plan(recipe, recipe_folder, folder, tuple(planned.values()))


def _plan_stage(
    kind: StageKind,
    settings: BaseModel,
    earlier: dict[str, PlannedStage],
    recipe: Recipe,
    recipe_folder: Path,
    folder: Path,
) -> PlannedStage:
    newest = {section_of(name): name for name in earlier}  # of several rounds the last one
    for name in (name for name in earlier if section_of(name) in MODEL_STAGES):
        newest["model"] = name
    wanted = dict.fromkeys((*kind.reads, *getattr(settings, kind.reads_setting, ())))
    reads = {name: newest[name] for name in wanted if name in newest}
    inputs = {name: earlier[stage].artifact.folder for name, stage in reads.items()}
    is_report = kind.name == "report"
    files, missing = ((), ()) if is_report else _find_files(settings, recipe_folder)
    marks = {name: earlier[stage].artifact.fingerprint for name, stage in reads.items()}
    marks |= {f"{number}/{place_name(file)}": place_fingerprint(file) for number, file in enumerate(files)}
    values = settings.model_dump(mode="json", exclude={"compute": True} if is_report else DECIDES_NOTHING)
    languages: list[object] = list(recipe.languages)
    # all language files count: identification tells a language from every other that it knows
    codes = known_languages() if kind.uses_languages else ()
    languages = [*recipe.languages, *(load_language(code).model_dump(mode="json") for code in codes)]

    def mark(section: dict[str, Any]) -> str:
        decides = {"section": section, "languages": languages}
        return stage_fingerprint(kind.name, kind.version, decides, marks, recipe.seed)

    under_way = mark({name: value for name, value in values.items() if name not in MAY_CHANGE_UNDER_WAY})
    return PlannedStage(kind, settings, Artifact(kind.name, folder, mark(values), under_way), inputs, files, missing)


def _find_files(settings: BaseModel, recipe_folder: Path) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    """The files that a section names, and what is missing of them."""
    files: list[Place] = []
    missing: list[str] = []
    for path in input_paths(settings, recipe_folder):
        try:
            files += places_under(resolve_place(path, recipe_folder))
        except DataError as error:
            missing.append(str(error))
    return tuple(files), tuple(missing)


def run_plan(
    plan: Plan, announce: Callable[[PlannedStage, str], None], *, only: str | None = None, start: str | None = None
) -> None:
    """Run the stages whose result is missing or out of date.

    Args:
        plan: what to run.
        announce: called with a stage and "finished", "running" or "done".
        only: run this stage alone.
        start: run this stage and those after it.

    Raises:
        DataError: a file that the recipe names is missing.
        RecipeError: a stage that `only` or `start` leaves out is read by the others, and is missing or out of date.
        ProcessError: this is one of several processes of torchrun, which run one stage with `run_shared_stage`.
    """
    if own_place().processes > 1:
        raise ProcessError(
            "A whole run starts its processes itself: call it without torchrun, or run one stage under torchrun with "
            "`torchrun ... -m seallm stage NAME RECIPE`"
        )
    names = [stage.kind.name for stage in plan.stages]
    first = names.index(plan.stage(only or start or names[0]).kind.name)
    last = first if only else len(names) - 1
    runtime = make_runtime(plan.recipe.compute)
    with locked(plan.folder):
        keep_recipe(plan.folder, plan.recipe, plan.recipe_folder)
        for stage in plan.stages:
            stage.artifact.recover()
        chosen = plan.stages[first : last + 1]
        _check_inputs(plan, chosen)
        for stage in chosen:
            if stage.artifact.is_finished():
                announce(stage, "finished")
                continue
            announce(stage, "running")
            run_stage(plan, stage, runtime)
            announce(stage, "done")


def run_alone(name: str, recipe: Recipe, recipe_folder: Path, folder: Path) -> bool:
    """Run one stage that reads no other, outside of a run; its result is `folder` itself.

    Returns:
        False where a finished result of the same settings and inputs was there.

    Raises:
        DataError: a file that the settings name is missing.
        WorkspaceError: something else lies in `folder`.
    """
    kind = next(kind for kind in KINDS if kind.name == name)
    stage = _plan_stage(kind, getattr(recipe, name), {}, recipe, recipe_folder, folder)
    plan = Plan(recipe, recipe_folder, folder.parent, (stage,))
    with locked(folder.parent, f".{folder.name}.lock"):
        stage.artifact.recover()
        stage.artifact.check_place()
        if stage.artifact.is_finished():
            return False
        _check_inputs(plan, [stage])
        run_stage(plan, stage, make_runtime(recipe.compute))
    return True


def _check_inputs(plan: Plan, chosen: Sequence[PlannedStage]) -> None:
    """Files must be there before anything costs time; stages that are read but not run must be up to date."""
    missing = [line for stage in chosen if not stage.artifact.is_finished() for line in stage.missing]
    if missing:
        raise DataError("; ".join(dict.fromkeys(missing)))
    read = {folder for stage in chosen for folder in stage.inputs.values()}
    for stage in plan.stages:
        if stage.artifact.folder in read and stage not in chosen and not stage.artifact.is_finished():
            state = "is out of date" if stage.artifact.manifest() else "has no result yet"
            raise RecipeError(
                f"Stage {stage.kind.name!r} {state} in {plan.folder}. Run it first: without --only, --from"
            )


def run_stage(plan: Plan, stage: PlannedStage, runtime: Runtime) -> None:
    """Run one stage into its partial folder, and put that in its place."""
    started = time.perf_counter()
    context = _context(plan, stage, stage.artifact.open_partial(), runtime)
    count = num_processes(plan.recipe.compute) if stage.kind.section in SHARED_STAGES else 1
    work = (stage.kind.function, stage.settings, context)
    if count == 1:
        counts, timings = run_function(*work)
    elif plan.recipe.compute.engine == "ray":
        counts, timings = importlib.import_module("seallm.train.ray_processes").run_on_ray(run_function, work, count)
    else:
        counts, timings = run_processes(run_function, work, count)
    _finish(plan, stage, counts, timings, started)


def run_shared_stage(plan: Plan, name: str) -> bool:
    """As one of the processes that torchrun started, on one machine or many, run one stage together with the others.

    The workspace must lie on storage that all machines see. Process 0 alone writes the manifest.

    Returns:
        False where the stage's result was there.

    Raises:
        RecipeError: the recipe has no such stage, it is none that trains, or a stage that it reads is missing.
        ProcessError: the processes did not meet.
    """
    stage = plan.stage(name)
    if section_of(name) not in SHARED_STAGES:
        raise RecipeError(f"Stage {name!r} is not shared by processes; those that are: {', '.join(SHARED_STAGES)}")
    processes = importlib.import_module("seallm.train.processes")
    runtime = make_runtime(plan.recipe.compute)
    started = time.perf_counter()
    processes.join(runtime)
    is_first = own_place().rank == 0
    with locked(plan.folder) if is_first else nullcontext():
        _check_inputs(plan, [stage])
        if is_first:
            keep_recipe(plan.folder, plan.recipe, plan.recipe_folder)
        if processes.from_first(stage.artifact.is_finished):
            processes.leave()
            return False
        out = processes.from_first(stage.artifact.open_partial)
        context = _context(plan, stage, out, runtime)
        counts, timings = run_function(stage.kind.function, stage.settings, context)
        if is_first:
            _finish(plan, stage, counts, timings, started)
    return True


def run_function(function: str, settings: BaseModel, context: StageContext) -> tuple[dict[str, Any], dict[str, Any]]:
    """Call a stage's function, here or in each of several processes; returns its counts and timings."""
    module, _, name = function.partition(":")
    getattr(importlib.import_module(module), name)(settings, context)
    if own_place().processes > 1:
        importlib.import_module("seallm.train.processes").leave()
    return context.counts, context.timings


def _context(plan: Plan, stage: PlannedStage, out: Path, runtime: Runtime) -> StageContext:
    recipe, round_number = plan.recipe, stage.kind.round_number
    languages = tuple(recipe.languages)
    return StageContext(
        out, stage.inputs, languages, recipe.seed, runtime, plan.recipe_folder, round_number=round_number
    )


def _finish(plan: Plan, stage: PlannedStage, counts: dict[str, Any], timings: dict[str, Any], started: float) -> None:
    """Write the manifest, and put the folder in its place."""
    stage.artifact.finish(
        {
            "settings": stage.settings.model_dump(mode="json"),
            "seed": plan.recipe.seed,
            "languages": plan.recipe.languages,
            "inputs": {name: folder.name for name, folder in stage.inputs.items()},
            "files": len(stage.files),
            "counts": counts,
            "versions": versions(),
            "timings": timings,
            "seconds": round(time.perf_counter() - started, 2),
        }
    )


def num_processes(compute: Compute) -> int:
    """Processes that train together on this machine: what the recipe says, else one per GPU, and one without."""
    if compute.processes is not None:
        return compute.processes
    return max(1, gpu_count()) if compute.device != "cpu" else 1


def make_runtime(compute: Compute) -> Runtime:
    """The machine as the recipe wants it used."""
    cores = available_cores()
    together = own_place().processes if own_place().processes > 1 else compute.processes or 1
    training = Training(**{field.name: getattr(compute, field.name) for field in fields(Training)})
    return Runtime(
        workers=compute.workers or cores,
        threads=compute.threads or max(1, cores // together),
        device=compute.device,
        dtype=compute.dtype,
        engine=compute.engine,
        training=training,
    )
