"""The chat models of a run and its recipe's `[evaluate.judge]` in, their judged answers out, in the folder `judge`.

What depends on when a run was killed (usage, and the page that shows it) is not written; everything else is the same as
`seallm judge` writes.
"""

from pathlib import Path

from seallm.base.artifacts import StageContext, timed
from seallm.endpoints.address import is_address, read_api_key
from seallm.evaluate.judge import Contest, Contestant, JudgeSettings, judge_models
from seallm.evaluate.judge_cases import Identify
from seallm.evaluate.judge_prompts import Mode
from seallm.evaluate.judge_questions import STARTER, read_questions
from seallm.evaluate.judge_verdicts import Judge, LikelihoodJudge, WritingJudge
from seallm.model.chat_models import VLLM, ChatModelSettings, open_chat_model
from seallm.model.folder_chat_model import FolderChatModel
from seallm.recipe import Judging

FOLDER = "judge"
CHAT_MODELS = ("sft", "dpo")


def run_judge(settings: Judging, batch_sequences: int, context: StageContext, identify: Identify) -> None:
    """Judge every chat model of the run; without one, nothing is written.

    Args:
        settings: of the recipe.
        batch_sequences: answers computed at once.
        context: of the stage `evaluate`.
        identify: languages of texts.

    Raises:
        DataError: a question file is malformed, or two models are needed and there is one.
        EndpointError: the judge's server does not answer.
        ModelError: a model cannot be loaded.
    """
    folders = {name: context.inputs[name] / "model" for name in CHAT_MODELS if name in context.inputs}
    mode: Mode = settings.mode if len(folders) > 1 else "score"  # one model has nothing to be compared with
    if not folders:
        return
    opening = ChatModelSettings(
        runtime=context.runtime,
        batch_sequences=batch_sequences,
        key=read_api_key(),
        answers=context.out / FOLDER / "kept",
    )
    questions = read_questions(
        STARTER if settings.questions is None else str(context.resolve(settings.questions)),
        languages=context.languages,
        limit=settings.limit,
    )
    contestants: dict[str, Contestant] = {
        name: open_chat_model(str(folder), opening) for name, folder in folders.items()
    }
    judge = _judge(settings, mode, opening, list(folders.values())[-1], context)
    how = JudgeSettings(mode, max_answer_tokens=settings.max_answer_tokens)
    about = {"questions": settings.questions or STARTER, "judge": settings.model or "the run's newest chat model"}
    with timed(context.timings, "judge_seconds"):
        judge_models(
            Contest(contestants, judge, questions, how, identify, about=about),
            context.out / FOLDER,
            context.runtime,
            with_usage=False,
        )


def _judge(settings: Judging, mode: Mode, opening: ChatModelSettings, newest: Path, context: StageContext) -> Judge:
    """The judge that the recipe names; absent: the run's newest chat model."""
    place = str(newest) if settings.model is None else settings.model
    if is_address(place):
        return WritingJudge(open_chat_model(place, opening), mode, prose=True)
    if not place.startswith(VLLM) and context.resolve(place).exists():
        place = str(context.resolve(place))
    model = open_chat_model(place, opening)
    assert isinstance(model, FolderChatModel)
    assert opening.answers is not None
    return LikelihoodJudge(model, mode, opening.answers)
