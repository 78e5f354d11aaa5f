"""Pre-training text and conversations in one stream: the model learns to answer before it is tuned on little data.

Most conversations of the chosen languages (by default English) are used here, and a balanced rest is left for
fine-tuning (paper, section 4). Rows of text and rows of conversations alternate in the wanted share; prompts carry no
loss, so that the model learns to follow inputs, not to memorise them.

    model/                   the model
    metrics.jsonl            one row a step; shares of conversations are named `chat.<language>`
    conversations_used.json  what fine-tuning must not use again
    tokens/                  the token store, where the model's own stage has none for this corpus
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError
from seallm.base.records import Conversation, Tier
from seallm.model.chat_format import ChatFormat
from seallm.recipe_training import Hybrid
from seallm.train.batches import TokenBatch, rows_per_step, step_batch
from seallm.train.chat_rows import ChatRows
from seallm.train.conversations import is_hybrid_part, load_conversations, write_used
from seallm.train.examples import Example
from seallm.train.inspector import Inspector
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.mixture import Balance, TextRows, make_rows, open_store
from seallm.train.objectives import next_token_loss
from seallm.train.processes import in_turn
from seallm.train.segments import Segment
from seallm.train.start import check_positions, finish, load_start
from seallm.train.stream import SHARE_UNITS, Source, random_generator


@dataclass(frozen=True, eq=False)
class HybridBatches:
    """Batches by step. Of the first n rows, floor(n * share) are conversations, evenly spread.

    Attributes:
        text: rows of documents.
        chat: rows of conversations, enough for the whole stage.
        share: share of conversations, in SHARE_UNITS.
    """

    text: TextRows
    chat: Sequence[Sequence[Segment]]
    share: int
    rows_per_step: int
    device: torch.device
    inspector: Inspector

    def __call__(self, step: int) -> StepBatch[TokenBatch]:
        """The batch of a step, from 0."""
        rows: list[Sequence[Segment]] = []
        chats: list[Sequence[Segment]] = []
        for number in range(step * self.rows_per_step, (step + 1) * self.rows_per_step):
            before, after = chat_rows(number, self.share), chat_rows(number + 1, self.share)
            if after > before:
                chats.append(self.chat[before])
            else:
                rows.append(self.text.row(number - before))
        self.inspector.check(chats)
        return step_batch([*rows, *chats], self.text.stream.row_tokens, self.device)


def chat_rows(rows: int, share: int) -> int:
    """How many of the first rows are conversations."""
    return rows * share // SHARE_UNITS


def run(settings: Hybrid, context: StageContext) -> None:
    """Train the newest model on text and conversations.

    Raises:
        DataError: there are no documents or no conversations in the chosen languages.
        ModelError: the model cannot be used, training diverged, or a loss mask is wrong.
    """
    start = load_start(context)
    check_positions({"[hybrid] sequence_tokens": settings.sequence_tokens}, start.model)
    chat_format = ChatFormat(start.tokenizer)
    per_step = rows_per_step(settings.batch_tokens, settings.sequence_tokens)
    steps = max(1, round(settings.tokens / (per_step * settings.sequence_tokens)))
    share = round(settings.conversation_share * SHARE_UNITS)
    num_chat = chat_rows(steps * per_step, share)
    chat = _chat(settings, context, chat_format, num_chat)
    with in_turn():
        store = open_store(context, start.tokenizer, get_args(Tier))
    sources = {name: (Source(f"hybrid {name}", store.lengths(name), context.seed), 0) for name in store.tokens}
    balance = Balance(context.languages[0], settings.base_language_share, settings.temperature)
    num_text = max(1, steps * per_step - num_chat)
    text = make_rows("hybrid", store, sources, balance, num_text, settings.sequence_tokens)
    context.counts["sources"] = text.summary()
    batches = HybridBatches(text, chat.rows, share, per_step, start.model.device, Inspector(chat_format))
    phase = Phase("hybrid", steps, batches, next_token_loss, settings.optimiser)
    train(start.model, [phase], context, Periodic("hybrid training", settings.checkpoint_every_steps))
    write_used(context.out, settings.languages)
    finish(context, start.model, start.tokenizer)


def _chat(settings: Hybrid, context: StageContext, chat_format: ChatFormat, num_rows: int) -> ChatRows:
    """Rows of conversations, epoch after epoch until there are enough."""
    conversations = load_conversations(context.files(settings.conversations), context)
    used = [c for c in conversations if c.language in settings.languages and is_hybrid_part(c)]
    if not used and num_rows:
        raise DataError(
            f"[hybrid] languages = {settings.languages}: none of the {len(conversations)} conversations is in these "
            f"languages. There are: {', '.join(sorted({c.language for c in conversations}))}"
        )
    rows, epochs = ChatRows(), 0
    while len(rows.rows) < num_rows:
        rows.add(_shuffled(used, context.seed, epochs), chat_format, settings.sequence_tokens, context.seed, "chat.")
        rows.check(settings.sequence_tokens)
        epochs += 1
    context.counts["conversations"] |= {"used here": len(used), "epochs, the last perhaps in part": epochs}
    context.counts["examples"] = dict(sorted(rows.counts.items()))
    return rows


def _shuffled(conversations: Sequence[Conversation], seed: int, epoch: int) -> list[Example]:
    order = random_generator(seed, "hybrid conversations", epoch).permutation(len(conversations))
    return [Example(conversations[i].messages, conversations[i].language) for i in order]
