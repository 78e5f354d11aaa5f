"""Pre-training text and conversations in one stream: the model learns to answer before it is tuned on little data.

Most conversations of the chosen languages (by default English) are used here, and a balanced rest is left for
fine-tuning (paper, section 4). Rows of text and rows of conversations alternate so that the tokens have the wanted
shares; prompts carry no loss, so that the model learns to follow inputs, not to memorise them. Conversations are packed
once; each pass over them takes the rows in another order.

    model/                   the model
    metrics.jsonl            one row a step; shares of conversations are named `chat.<language>`
    conversations_used.json  what fine-tuning must not use again
    tokens/                  the token store, where the model's own stage has none for this corpus
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from seallm.base.artifacts import INSTRUCTIONS, StageContext
from seallm.base.errors import DataError
from seallm.base.records import Tier
from seallm.model.chat_format import ChatFormat
from seallm.policies.loading import load_policy
from seallm.recipe_training import Hybrid
from seallm.train.batches import TokenBatch, rows_per_step, step_batch
from seallm.train.chat_rows import ChatRows
from seallm.train.conversations import is_hybrid_part, load_conversations, write_used
from seallm.train.draws import random_generator
from seallm.train.examples import Example, add_system_prompts
from seallm.train.inspector import Inspector
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.mixture import TextRows, make_rows, open_store
from seallm.train.objectives import next_token_loss
from seallm.train.processes import in_turn
from seallm.train.segments import Segment
from seallm.train.shares import SHARE_UNITS, Balance
from seallm.train.sources import Source
from seallm.train.start import check_positions, finish, load_start
from seallm.train.store import TokenStore
from seallm.train.stream import PADDING_SHARE, Interleaving


@dataclass(frozen=True, eq=False)
class HybridRows:
    """The rows of the whole stage, each one of documents or one of conversations; any row is found at once.

    Attributes:
        text: rows of documents.
        chat: rows of conversations, of one pass over them.
        interleaving: of conversations and documents, in this order.
    """

    text: TextRows
    chat: Sequence[Sequence[Segment]]
    interleaving: Interleaving
    seed: int

    def row(self, number: int) -> tuple[Sequence[Segment], bool]:
        """Segments of a row, and whether they are conversations."""
        stream, place = self.interleaving.place(number)
        if stream:
            return self.text.row(place), False
        epoch, inside = divmod(place, len(self.chat))
        return self.chat[int(self._order(epoch)[inside])], True

    @functools.cached_property
    def _orders(self) -> dict[int, NDArray[np.int64]]:
        return {}

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            if len(self._orders) > 1:  # a step may straddle two passes
                self._orders.pop(min(self._orders))
            self._orders[epoch] = random_generator(self.seed, "hybrid rows", epoch).permutation(len(self.chat))
        return self._orders[epoch]


@dataclass(frozen=True, eq=False)
class HybridBatches:
    """Batches by step; the conversations of each are inspected."""

    rows: HybridRows
    rows_per_step: int
    device: torch.device
    inspector: Inspector

    def __call__(self, step: int) -> StepBatch[TokenBatch]:
        """The batch of a step, from 0."""
        self.rows.text.store.check_files()
        found = [self.rows.row(n) for n in range(step * self.rows_per_step, (step + 1) * self.rows_per_step)]
        chats = [row for row, is_chat in found if is_chat]
        self.inspector.check(chats)
        rows = [row for row, is_chat in found if not is_chat]
        return step_batch([*rows, *chats], self.rows.text.stream.row_tokens, self.device)


def run(settings: Hybrid, context: StageContext) -> None:
    """Train the newest model on text and conversations.

    Raises:
        DataError: there are no documents or no conversations in the chosen languages.
        ModelError: the model cannot be used, training diverged, or a loss mask is wrong.
    """
    start = load_start(context)
    check_positions({"[hybrid] sequence_tokens": settings.sequence_tokens}, start.model)
    chat_format = ChatFormat(start.tokenizer)
    chat = pack_conversations(settings, context, chat_format)
    with in_turn():
        store = open_store(context, start.tokenizer, get_args(Tier))
    rows = hybrid_rows(settings, context, store, chat.rows)
    context.counts["sources"] = rows.text.summary()
    per_step = rows_per_step(settings.batch_tokens, settings.sequence_tokens)
    batches = HybridBatches(rows, per_step, start.model.device, Inspector(chat_format))
    left_out = frozenset(step - 1 for step in settings.skip_steps)
    phase = Phase("hybrid", num_steps(settings), batches, next_token_loss, settings.optimiser, left_out=left_out)
    train(start.model, [phase], context, Periodic("hybrid training", settings.checkpoint_every_steps))
    write_used(context.out, settings.languages if INSTRUCTIONS not in context.inputs else ())
    finish(context, start.model, start.tokenizer)


def num_steps(settings: Hybrid) -> int:
    """Optimiser steps of the stage."""
    per_step = rows_per_step(settings.batch_tokens, settings.sequence_tokens)
    return max(1, round(settings.tokens / (per_step * settings.sequence_tokens)))


def pack_conversations(settings: Hybrid, context: StageContext, chat_format: ChatFormat) -> ChatRows:
    """Rows of all conversations that this stage uses, each once."""
    conversations = load_conversations(context.conversations(settings.conversations, "hybrid"), context)
    used = conversations
    if INSTRUCTIONS not in context.inputs:
        used = [c for c in conversations if c.language in settings.languages and is_hybrid_part(c)]
    if not used and settings.conversation_share:
        raise DataError(
            f"[hybrid] languages = {settings.languages}: none of the {len(conversations)} conversations is in these "
            f"languages. There are: {', '.join(sorted({c.language for c in conversations}))}"
        )
    rows = ChatRows()
    examples = [Example(c.messages, c.language, c.category) for c in used]
    if settings.policy is not None:
        prompts = load_policy(settings.policy, context.recipe_folder).system_prompts()
        examples = add_system_prompts(examples, settings.system_prompt_share, context.seed, 0, prompts)
    if settings.conversation_share:
        rows.add(examples, chat_format, settings.sequence_tokens, context.seed, "chat.")
        rows.check(settings.sequence_tokens)
    context.counts["conversations"] |= {"used here": len(used)}
    context.counts["examples"] = dict(sorted(rows.counts.items()))
    return rows


def hybrid_rows(
    settings: Hybrid, context: StageContext, store: TokenStore, chat: Sequence[Sequence[Segment]]
) -> HybridRows:
    """Interleave documents and conversations by their shares of the tokens, whatever room their rows leave free."""
    row_tokens = settings.sequence_tokens
    in_text = row_tokens * (1 - 1 / PADDING_SHARE)
    in_chat = sum(len(s.ids) for row in chat for s in row) / len(chat) if chat else row_tokens
    of_chat, of_text = settings.conversation_share / in_chat, (1 - settings.conversation_share) / in_text
    units = round(of_chat / (of_chat + of_text) * SHARE_UNITS)
    interleaving = Interleaving([units, SHARE_UNITS - units])
    per_step = rows_per_step(settings.batch_tokens, row_tokens)
    num_chat, num_text = interleaving.counts(num_steps(settings) * per_step)
    sources = {name: (Source(f"hybrid {name}", store.documents(name), context.seed), 0) for name in store.tokens}
    balance = Balance(context.languages[0], settings.base_language_share, settings.temperature)
    text = make_rows("hybrid", store, sources, balance, max(1, num_text), row_tokens)
    if chat:
        context.counts["conversations"] |= {"epochs": round(num_chat / len(chat), 3)}
    return HybridRows(text, chat, interleaving, context.seed)
