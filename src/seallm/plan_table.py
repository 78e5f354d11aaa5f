"""A plan in, the rows that `seallm plan` shows out: what is done, and what the rest reads and costs."""

from collections.abc import Iterator

from seallm.base.places import place_size
from seallm.estimate import estimate
from seallm.plan import Plan


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
