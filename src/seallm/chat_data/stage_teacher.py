"""Checked conversations of a recipe's sources in, files of what its teacher makes of them out.

    made/translated.jsonl      English conversations in other languages
    made/self_instruct.jsonl   new ones, like those of a language that are there
    made/*.dropped.jsonl       what failed a check, with its reason

They are one more source of the stage: checked, compared with everything else, and mixed. Which conversations are taken
depends on their words alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, EndpointError
from seallm.base.records import Conversation
from seallm.base.sampling import SamplingSettings
from seallm.chat_data.conversation_table import conversation_key
from seallm.chat_data.importing import SourceFile
from seallm.chat_data.made import Outcome, write_outcome
from seallm.chat_data.make_tables import cost_table
from seallm.chat_data.self_instruct import SelfInstructSettings, self_instruct
from seallm.chat_data.teaching import Teacher
from seallm.chat_data.translate import ENGLISH, TranslationSettings, translate
from seallm.endpoints.address import is_address, read_api_key
from seallm.endpoints.answer_cache import default_folder
from seallm.endpoints.metering import Meter, parse_price
from seallm.endpoints.settings import EndpointSettings
from seallm.model.chat_models import VLLM, ChatModelSettings, open_chat_model
from seallm.recipe_instructions import InstructionTeacher

FOLDER = "made"


def make_more(
    settings: InstructionTeacher, conversations: Sequence[Conversation], context: StageContext
) -> list[SourceFile]:
    """Let the teacher make what the settings ask for.

    Args:
        settings: who teaches, and what.
        conversations: checked.
        context: of the stage; counts and timings are filled.

    Raises:
        EndpointError: the teacher cannot be asked, or would cost too much; what was answered is kept on disk.
        DataError: there are no conversations to begin with.
        ModelError: the teacher's folder holds no finished model.
    """
    teacher = _open(settings, context)
    ordered = sorted(conversations, key=conversation_key)
    _check_seeds(settings, ordered)
    if is_address(settings.place):
        _check_cost(settings, ordered, teacher, context)
    outcomes = _make(settings, ordered, teacher, context)
    context.counts[FOLDER] = {name: outcome.counts() for name, outcome in outcomes.items()}
    context.timings["teacher"] = teacher.meter.rows()
    return _written(outcomes, context.out / FOLDER)


def _check_seeds(settings: InstructionTeacher, conversations: Sequence[Conversation]) -> None:
    """See that there is something to translate, and seeds in every language of `self_instruct`.

    Raises:
        DataError: there is not.
    """
    there = {conversation.language for conversation in conversations}
    needed = {"translate_to": [ENGLISH] if settings.translate_to else [], "self_instruct": settings.self_instruct}
    for name, codes in needed.items():
        lacking = [code for code in codes if code not in there]
        if lacking:
            raise DataError(
                f"[instructions.teacher] {name} needs conversations in {', '.join(lacking)}, and the sources have none "
                f"that passed the checks (they have: {', '.join(sorted(there))})"
            )


def _check_cost(
    settings: InstructionTeacher, conversations: Sequence[Conversation], teacher: Teacher, context: StageContext
) -> None:
    """Tell what it will cost, before anything is asked.

    Raises:
        EndpointError: more than `most_cost`.
    """
    rehearsal = replace(teacher, is_rehearsal=True, guesses=Meter())
    _make(settings, conversations, rehearsal, context)
    if context.runtime.show_progress:
        Console().print(cost_table(rehearsal.meter, is_guess=True))
    cost = rehearsal.meter.total.cost(parse_price(settings.price))
    if settings.most_cost is not None and cost > settings.most_cost:
        raise EndpointError(
            f"The teacher would cost about {cost:.4f}, and [instructions.teacher] most_cost is {settings.most_cost}. "
            "Nothing was asked. Raise it, or ask for fewer conversations"
        )


def _make(
    settings: InstructionTeacher, ordered: Sequence[Conversation], teacher: Teacher, context: StageContext
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    if settings.translate_to:
        english = [c for c in ordered if c.language == ENGLISH][: settings.translated_conversations]
        outcomes["translated"] = translate(
            english, settings.translate_to, teacher, TranslationSettings(settings.least_chrf)
        )
    if settings.self_instruct:
        seeds = [c for c in ordered if c.language in settings.self_instruct]
        wanted = SelfInstructSettings(settings.new_conversations, settings.most_similar, context.seed)
        outcomes["self_instruct"] = self_instruct(seeds, [], teacher, wanted)
    return outcomes


def _open(settings: InstructionTeacher, context: StageContext) -> Teacher:
    endpoint = EndpointSettings(
        concurrent_calls=settings.concurrent_calls,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
        price=parse_price(settings.price),
    )
    key = read_api_key(settings.key)
    model_settings = ChatModelSettings(context.runtime, settings.batch_sequences, endpoint, key, default_folder())
    sampling = SamplingSettings(settings.max_new_tokens, settings.temperature, seed=context.seed)
    return Teacher(open_chat_model(_place(settings.place, context), model_settings), sampling, runtime=context.runtime)


def _place(text: str, context: StageContext) -> str:
    """The teacher's place; folders are relative to the recipe."""
    if is_address(text):
        return text
    engine = VLLM if text.startswith(VLLM) else ""
    return engine + str(context.resolve(text.removeprefix(VLLM)))


def _written(outcomes: Mapping[str, Outcome], folder: Path) -> list[SourceFile]:
    files = []
    for name, outcome in outcomes.items():
        path = folder / f"{name}.jsonl"
        write_outcome(path, outcome)
        if outcome.made:
            files.append(SourceFile(path, f"{FOLDER}/{path.name}"))
    return files
