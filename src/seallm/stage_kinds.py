"""The kinds of stages, in running order: what each reads, which function does it, and what a recipe makes of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from seallm.recipe import Recipe

# settings that a stage may be given while it is under way: answers that were sampled can be judged in another way
MAY_CHANGE_UNDER_WAY = (
    *("skip_steps", "min_pairs", "judge", "criteria", "judge_language", "calibrate_position"),
    *("min_margin", "wanted_accuracy", "reason_tokens"),
)
DECIDES_NOTHING: dict[str, bool | set[str]] = {
    "rounds": True,  # a further round leaves the earlier ones as they are
    "teacher": {  # how fast it is asked, and for how much
        *("key", "concurrent_calls", "requests_per_minute", "tokens_per_minute", "price", "most_cost"),
    },
}
MODEL_STAGES = ("base", "pretrain", "hybrid", "sft", "dpo")
SHARED_STAGES = MODEL_STAGES[1:]  # several processes can train them together


@dataclass(frozen=True)
class StageKind:
    """One kind of stage.

    Attributes:
        function: `module:name` of `run(settings, context)`, imported only when it is run.
        reads: stages it reads, as far as the recipe has them; "model" is the newest model before it.
        uses_languages: True where it reads the language files (thresholds, system prompts): a change there counts.
        version: raised when the stage's code changes what it writes.
        reads_setting: the setting that names more stages it reads.
        round_number: which of several rounds of the same section it is; from the second on it is a part of the name.
    """

    name: str
    function: str
    reads: tuple[str, ...] = ()
    uses_languages: bool = False
    version: int = 1
    reads_setting: str = ""
    round_number: int = 1

    @property
    def section(self) -> str:
        """The section of the recipe that it is set by."""
        return section_of(self.name)


def section_of(stage: str) -> str:
    """The name of a stage without its round: `dpo2` is the second round of `dpo`."""
    return stage.rstrip("0123456789")


KINDS = (
    StageKind("instructions", "seallm.chat_data.stage:run", uses_languages=True, version=2),
    StageKind("base", "seallm.train.base:run", version=2),
    StageKind("corpus", "seallm.corpus.build:run", uses_languages=True, version=4),
    StageKind("vocab", "seallm.vocab.stage:run", ("base", "corpus"), version=3),
    StageKind("pretrain", "seallm.train.pretrain:run", ("model", "corpus", "vocab"), version=3),
    StageKind("hybrid", "seallm.train.hybrid:run", ("model", "corpus", "instructions"), version=2),
    StageKind("sft", "seallm.train.sft:run", ("model", "instructions"), uses_languages=True, version=3),
    StageKind(
        "prefer", "seallm.prefer.stage:run", ("model", "instructions"), True, version=4, reads_setting="weaker_models"
    ),
    StageKind("dpo", "seallm.train.dpo:run", ("model", "prefer", "instructions"), version=4),
    StageKind("evaluate", "seallm.evaluate_stage:run", ("corpus", "vocab", *MODEL_STAGES), version=4),
    StageKind(
        "report",
        "seallm.evaluate.report:run",
        ("instructions", "corpus", "vocab", *MODEL_STAGES, "prefer", "evaluate"),
        version=4,
    ),
)


def kinds_of(recipe: Recipe) -> Iterator[tuple[int, StageKind]]:
    """All stages in running order with the numbers of their folders; a round keeps the numbers of the first one."""
    for number, kind in enumerate(KINDS):
        yield number, kind
        for round_number in range(2, recipe.prefer.rounds + 1) if kind.name == "dpo" and recipe.prefer else ():
            for again in (number - 1, number):
                first = KINDS[again]
                yield again, replace(first, name=f"{first.name}{round_number}", round_number=round_number)
