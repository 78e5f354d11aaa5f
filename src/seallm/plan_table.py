"""A plan in, the rows that `seallm plan` shows out: what is done, and what the rest reads and costs."""

from collections.abc import Iterator

from seallm.base.artifacts import INSTRUCTIONS
from seallm.base.places import place_size, places_under, resolve_place
from seallm.estimate import estimate
from seallm.plan import Plan, PlannedStage
from seallm.recipe_instructions import Instructions

MADE_BY_INSTRUCTIONS = {"sft": "sft.jsonl", "dpo": "preferences.jsonl"}  # what a section reads of that stage, if wanted


def describe(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    """Rows (stage, state, reads, estimate) for `seallm plan`."""
    for stage in plan.stages:
        state = "finished" if stage.artifact.is_finished() else ("changed" if stage.artifact.manifest() else "to do")
        megabytes = sum(map(place_size, stage.files)) / 1e6
        reads = [folder.name for folder in stage.inputs.values()]
        reads += [f"{len(stage.files)} files, {megabytes:.1f} MB"] if stage.files else []
        reads += [f"MISSING: {line}" for line in stage.missing]
        yield stage.kind.name, state, ", ".join(dict.fromkeys(reads)), _estimate(plan, stage)


def _estimate(plan: Plan, stage: PlannedStage) -> str:
    """What the stage costs; while [instructions] has not parted the conversations, from all that it will read."""
    made = MADE_BY_INSTRUCTIONS.get(stage.kind.section)
    if made is None or INSTRUCTIONS not in stage.inputs or not getattr(stage.settings, "imported", True):
        return estimate(stage.kind.name, stage.settings, stage.files)
    before = plan.stage(INSTRUCTIONS)
    assert isinstance(before.settings, Instructions)
    if before.artifact.is_finished():
        return estimate(stage.kind.name, stage.settings, (*stage.files, before.artifact.folder / made))
    if stage.kind.section != "sft" or before.missing:  # how many rows are preferences is not known yet
        return estimate(stage.kind.name, stage.settings, stage.files)
    paths = [path for source in before.settings.sources for path in source.files]
    sources = [place for path in paths for place in places_under(resolve_place(path, plan.recipe_folder))]
    most = "" if before.settings.teacher else "at most "
    return most + estimate(stage.kind.name, stage.settings, (*stage.files, *sources))
