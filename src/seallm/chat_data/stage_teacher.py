"""Checked conversations of a recipe's sources in, files of what its teacher makes of them out.

    made/translated.jsonl      English conversations in other languages
    made/self_instruct.jsonl   new ones, like those of a language that are there
    made/*.dropped.jsonl       what failed a check, with its reason

They are one more source of the stage: checked, compared with everything else, and mixed. Which conversations are taken
depends on their words alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from seallm.base.artifacts import StageContext
from seallm.base.records import Conversation
from seallm.base.sampling import SamplingSettings
from seallm.chat_data.conversation_table import conversation_key
from seallm.chat_data.importing import SourceFile
from seallm.chat_data.made import Outcome, write_outcome
from seallm.chat_data.self_instruct import SelfInstructSettings, self_instruct
from seallm.chat_data.teaching import Teacher
from seallm.chat_data.translate import ENGLISH, TranslationSettings, translate
from seallm.endpoints.address import is_address, read_api_key
from seallm.endpoints.answer_cache import default_folder
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
        EndpointError: the teacher cannot be asked; what was answered is kept on disk.
        ModelError: the teacher's folder holds no finished model.
    """
    teacher = _open(settings, context)
    ordered = sorted(conversations, key=conversation_key)
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
    context.counts[FOLDER] = {name: outcome.counts() for name, outcome in outcomes.items()}
    context.timings["teacher"] = teacher.meter.rows()
    return _written(outcomes, context.out / FOLDER)


def _open(settings: InstructionTeacher, context: StageContext) -> Teacher:
    endpoint = EndpointSettings(
        concurrent_calls=settings.concurrent_calls,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
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
