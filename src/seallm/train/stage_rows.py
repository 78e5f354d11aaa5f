"""A stage's settings and folders in, the rows of any of its steps out, without a model and without writing.

This is what `seallm train trace` and `inspect` read. Rows are made by the functions that training calls, from the same
token store, conversations and decisions, so they are those that were or will be trained on.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from transformers import PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, RecipeError
from seallm.base.records import Tier
from seallm.model.chat_format import ChatFormat, add_chat_tokens
from seallm.model.checkpoints import load_tokenizer
from seallm.recipe_training import Hybrid, Pretrain, Sft
from seallm.train.batches import rows_per_step
from seallm.train.curriculum import Curriculum
from seallm.train.hybrid import HybridRows, hybrid_rows, num_steps, pack_conversations
from seallm.train.inspector import Inspector
from seallm.train.mixture import TOKENIZER, TOKENS, TextRows, document_files
from seallm.train.segments import Segment
from seallm.train.sentence_pairs import SOURCE
from seallm.train.sft import pack_examples, tuning_conversations
from seallm.train.start import MODEL
from seallm.train.store import STORE, TokenStore, tokenizer_mark

STAGES = ("pretrain", "hybrid", "sft")


@dataclass(frozen=True)
class Origin:
    """Where a run of tokens comes from: tokens `start` to `stop` of the `tokens` of a document."""

    source: str
    document_id: str
    start: int
    stop: int
    tokens: int


@dataclass(frozen=True)
class Row:
    """One row of a step.

    Attributes:
        number: within the step, from 0.
        segments: what it holds.
        origins: of each segment; empty for conversations.
    """

    number: int
    segments: Sequence[Segment]
    origins: Sequence[Origin]


@dataclass(frozen=True)
class StageRows:
    """The rows of a stage.

    Attributes:
        steps: of the whole stage.
        left_out: numbers of the steps, from 1, that the recipe skips.
        rows: of a step, from 1.
        check: sees that the loss masks of all conversations are right; returns how many there are.
    """

    tokenizer: PreTrainedTokenizerFast
    steps: int
    left_out: frozenset[int]
    rows: Callable[[int], list[Row]]
    check: Callable[[], int]

    def of_step(self, step: int) -> list[Row]:
        """The rows of a step, from 1.

        Raises:
            DataError: there is no such step.
        """
        if not 1 <= step <= self.steps:
            raise DataError(f"The stage has steps 1 to {self.steps}, no step {step}")
        return self.rows(step)


def stage_rows(settings: BaseModel, context: StageContext) -> StageRows:
    """The rows of a stage that was run, or for `sft` of one whose model is there.

    Args:
        settings: the stage's section.
        context: `out` is the stage's folder, finished or under way; nothing is written to it.

    Raises:
        DataError: what the stage reads is not there.
        RecipeError: the stage is none of STAGES.
    """
    with _elsewhere(context) as reading:
        match settings:
            case Pretrain():
                return _pretrain(settings, reading, context.out)
            case Hybrid():
                return _hybrid(settings, reading, context.out)
            case Sft():
                return _sft(settings, reading)
    raise RecipeError(f"There are no rows of this stage to look at; stages with rows: {', '.join(STAGES)}")


@contextmanager
def _elsewhere(context: StageContext) -> Iterator[StageContext]:
    """The context with another folder to write to, which goes."""
    with tempfile.TemporaryDirectory() as folder:
        yield replace(context, out=Path(folder), counts={}, timings={})


def _pretrain(settings: Pretrain, context: StageContext, out: Path) -> StageRows:
    store, tokenizer = _open_store(context, out, [SOURCE] if settings.parallel else [])
    curriculum = Curriculum(settings, store, context.languages, context.seed, out)

    def rows(step: int) -> list[Row]:
        text, numbers = curriculum.rows(*curriculum.place(step - 1))
        return [_text_row(text, place, number) for place, number in enumerate(numbers)]

    return StageRows(tokenizer, sum(curriculum.steps), frozenset(settings.skip_steps), rows, lambda: 0)


def _hybrid(settings: Hybrid, context: StageContext, out: Path) -> StageRows:
    store, tokenizer = _open_store(context, out, [])
    chat_format = ChatFormat(tokenizer)
    chat = pack_conversations(settings, context, chat_format).rows
    found = hybrid_rows(settings, context, store, chat)
    per_step = rows_per_step(settings.batch_tokens, settings.sequence_tokens)

    def rows(step: int) -> list[Row]:
        first = (step - 1) * per_step
        return [_hybrid_row(found, place, first + place) for place in range(per_step)]

    return StageRows(
        tokenizer, num_steps(settings), frozenset(settings.skip_steps), rows, lambda: _check(chat, chat_format)
    )


def _sft(settings: Sft, context: StageContext) -> StageRows:
    tokenizer = load_tokenizer(context.inputs["model"] / MODEL)
    add_chat_tokens(tokenizer)
    chat_format = ChatFormat(tokenizer)
    chat = pack_examples(tuning_conversations(settings, context), settings, chat_format, context).rows
    per_step = rows_per_step(settings.batch_tokens, settings.sequence_tokens)

    def rows(step: int) -> list[Row]:
        own = chat[(step - 1) * per_step : step * per_step]
        return [Row(place, segments, ()) for place, segments in enumerate(own)]

    steps = -(-len(chat) // per_step)
    return StageRows(tokenizer, steps, frozenset(settings.skip_steps), rows, lambda: _check(chat, chat_format))


def _check(rows: Sequence[Sequence[Segment]], chat_format: ChatFormat) -> int:
    Inspector(chat_format).check(rows)
    return sum(map(len, rows))


def _text_row(text: TextRows, place: int, number: int) -> Row:
    origins = []
    for piece in text.stream.row(number):
        source = text.names[piece.source]
        offsets = text.store.offsets[source]
        tokens = int(offsets[piece.document + 1] - offsets[piece.document])
        document_id = text.store.document_id(source, piece.document)
        origins.append(Origin(source, document_id, piece.start, piece.stop, tokens))
    return Row(place, text.row(number), origins)


def _hybrid_row(rows: HybridRows, place: int, number: int) -> Row:
    stream, inside = rows.interleaving.place(number)
    return _text_row(rows.text, place, inside) if stream else Row(place, rows.row(number)[0], ())


def _open_store(context: StageContext, out: Path, more: Sequence[str]) -> tuple[TokenStore, PreTrainedTokenizerFast]:
    """The stage's token store, or that of the stage that made its model, and the tokenizer beside it."""
    names = [*document_files(context.inputs["corpus"], context.languages, get_args(Tier)), *more]
    for folder in (out / TOKENS, context.inputs["model"] / TOKENS):
        if (folder / STORE).is_file():
            tokenizer = load_tokenizer(folder / TOKENIZER)
            return TokenStore(folder, names, tokenizer_mark(folder / TOKENIZER, tokenizer)), tokenizer
    raise DataError(f"{out / TOKENS} holds no token store: the stage has not come so far. Run it first")
