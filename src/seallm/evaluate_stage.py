"""The stage `evaluate` with what it needs of the corpus stage's language identifier: tasks, then judged answers."""

from seallm.base.artifacts import StageContext
from seallm.evaluate import stage
from seallm.recipe import Evaluate


def run(settings: Evaluate, context: StageContext) -> None:
    """Evaluate every model of the run, and judge the answers of its chat models where the recipe asks for it.

    Raises:
        SeallmError: as `seallm.evaluate.stage.run` and `seallm.evaluate.judge_stage.run_judge`.
    """
    stage.run(settings, context)
    if settings.judge is not None:
        from seallm.answer_language import AnswerLanguage
        from seallm.evaluate.judge_stage import run_judge

        run_judge(settings.judge, settings.batch_sequences, context, AnswerLanguage())
