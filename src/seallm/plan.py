"""Recipe in, ordered stages out; run those whose result is not there yet.

A stage is described by a name, the stages it reads and the function that does it; `inputs["model"]` is the newest model
before it. Its fingerprint is a hash of its settings, the content of the files it names, the fingerprints of what it
reads, and the seed: change one setting, and that stage and those that read it run again, no other.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from seallm.base.artifacts import Artifact, StageContext, locked, stage_fingerprint, versions
from seallm.base.errors import DataError, RecipeError
from seallm.base.places import Place, place_fingerprint, place_name, place_size, places_under, resolve_place
from seallm.base.runtime import Runtime, available_cores
from seallm.estimate import estimate
from seallm.languages import known_languages, load_language
from seallm.recipe import Compute, Recipe
from seallm.recipe_file import input_paths

MODEL_STAGES = ("base", "pretrain", "hybrid", "sft", "dpo")


@dataclass(frozen=True)
class StageKind:
    """One kind of stage.

    Attributes:
        function: `module:name` of `run(settings, context)`, imported only when it is run.
        reads: stages it reads, as far as the recipe has them; "model" is the newest model before it.
        uses_languages: True where it reads the language files (thresholds, system prompts): a change there counts.
        version: raised when the stage's code changes what it writes.
    """

    name: str
    function: str
    reads: tuple[str, ...] = ()
    uses_languages: bool = False
    version: int = 1


KINDS = (
    StageKind("base", "seallm.train.base:run", version=2),
    StageKind("corpus", "seallm.corpus.build:run", uses_languages=True, version=3),
    StageKind("vocab", "seallm.vocab.stage:run", ("base", "corpus"), version=2),
    StageKind("pretrain", "seallm.train.pretrain:run", ("model", "corpus", "vocab"), version=2),
    StageKind("hybrid", "seallm.train.hybrid:run", ("model", "corpus")),
    StageKind("sft", "seallm.train.sft:run", ("model",), uses_languages=True),
    StageKind("prefer", "seallm.prefer.stage:run", ("model",), version=2),
    StageKind("dpo", "seallm.train.dpo:run", ("model", "prefer")),
    StageKind("evaluate", "seallm.evaluate.stage:run", ("corpus", "vocab", *MODEL_STAGES), version=2),
    StageKind("report", "seallm.evaluate.report:run", ("corpus", "vocab", *MODEL_STAGES, "prefer", "evaluate")),
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
    for number, kind in enumerate(KINDS, 1):
        settings = recipe if kind.name == "report" else getattr(recipe, kind.name)
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
    newest_model = [name for name in MODEL_STAGES if name in earlier][-1:]
    reads = {
        name: (newest_model[0] if name == "model" else name)
        for name in kind.reads
        if name == "model" or name in earlier
    }
    inputs = {name: earlier[stage].artifact.folder for name, stage in reads.items()}
    is_report = kind.name == "report"
    files, missing = ((), ()) if is_report else _find_files(settings, recipe_folder)
    marks = {name: earlier[stage].artifact.fingerprint for name, stage in reads.items()}
    marks |= {f"{number}/{place_name(file)}": place_fingerprint(file) for number, file in enumerate(files)}
    values = settings.model_dump(mode="json", exclude={"compute"} if is_report else None)
    languages: list[object] = list(recipe.languages)
    # all language files count: identification tells a language from every other that it knows
    codes = known_languages() if kind.uses_languages else ()
    languages = [*recipe.languages, *(load_language(code).model_dump(mode="json") for code in codes)]
    mark = stage_fingerprint(kind.name, kind.version, {"section": values, "languages": languages}, marks, recipe.seed)
    return PlannedStage(kind, settings, Artifact(kind.name, folder, mark), inputs, files, missing)


def _find_files(settings: BaseModel, recipe_folder: Path) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    """The files that a section names, and what is missing of them."""
    files: list[Place] = []
    missing: list[str] = []
    for path in input_paths(settings):
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
    """
    names = [stage.kind.name for stage in plan.stages]
    first = names.index(plan.stage(only or start or names[0]).kind.name)
    last = first if only else len(names) - 1
    runtime = make_runtime(plan.recipe.compute)
    with locked(plan.folder):
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
    module, _, name = stage.kind.function.partition(":")
    function = getattr(importlib.import_module(module), name)
    started = time.perf_counter()
    recipe = plan.recipe
    context = StageContext(
        out=stage.artifact.open_partial(),
        inputs=stage.inputs,
        languages=tuple(recipe.languages),
        seed=recipe.seed,
        runtime=runtime,
        recipe_folder=plan.recipe_folder,
    )
    function(stage.settings, context)
    stage.artifact.finish(
        {
            "settings": stage.settings.model_dump(mode="json"),
            "seed": recipe.seed,
            "languages": recipe.languages,
            "inputs": {name: folder.name for name, folder in stage.inputs.items()},
            "files": len(stage.files),
            "counts": context.counts,
            "versions": versions(),
            "timings": context.timings,
            "seconds": round(time.perf_counter() - started, 2),
        }
    )


def make_runtime(compute: Compute) -> Runtime:
    """The machine as the recipe wants it used."""
    cores = available_cores()
    return Runtime(
        compute.workers or cores, compute.threads or cores, compute.device, compute.dtype, engine=compute.engine
    )


def describe(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    """Rows (stage, state, reads, estimate) for `seallm plan`."""
    for stage in plan.stages:
        state = "finished" if stage.artifact.is_finished() else ("changed" if stage.artifact.manifest() else "to do")
        megabytes = sum(map(place_size, stage.files)) / 1e6
        reads = [folder.name for folder in stage.inputs.values()]
        reads += [f"{len(stage.files)} files, {megabytes:.1f} MB"] if stage.files else []
        reads += [f"MISSING: {line}" for line in stage.missing]
        yield (
            stage.kind.name,
            state,
            ", ".join(dict.fromkeys(reads)),
            estimate(stage.kind.name, stage.settings, stage.files),
        )
