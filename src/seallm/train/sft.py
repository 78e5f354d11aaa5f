"""Supervised fine-tuning: balanced conversations in, a chat model out; loss on the assistant's words and ends of turn.

model/           the chat model
metrics.jsonl    one row a step
held_out.jsonl   loss of answers that [instructions] holds out, by language, every `evaluate_every_steps`
quarantine.jsonl conversations that could not be read, with the reason
"""

from collections.abc import Sequence
from dataclasses import replace

from seallm.base.artifacts import StageContext
from seallm.base.records import Conversation
from seallm.model.chat_format import ChatFormat
from seallm.policies.loading import load_policy
from seallm.recipe_training import Sft
from seallm.train.adapters import tune
from seallm.train.batches import rows_per_step
from seallm.train.chat_rows import ChatBatches, ChatRows
from seallm.train.conversations import left_for_tuning, load_conversations
from seallm.train.examples import draw_examples
from seallm.train.held_out_chats import HeldOutChats, read_held_out_chats
from seallm.train.inspector import Inspector
from seallm.train.loop import Periodic, Phase, train
from seallm.train.objectives import next_token_loss
from seallm.train.start import check_positions, load_start


def run(settings: Sft, context: StageContext) -> None:
    """Fine-tune the newest model.

    Raises:
        DataError: no conversation is left, or none fits.
        ModelError: the model cannot be used, training diverged, or a loss mask is wrong.
    """
    start = load_start(context)
    check_positions({"[sft] sequence_tokens": settings.sequence_tokens}, start.model)
    chat_format = ChatFormat(start.tokenizer)
    rows = pack_examples(tuning_conversations(settings, context), settings, chat_format, context)
    per_step = rows_per_step(settings.batch_tokens, settings.sequence_tokens)
    batches = ChatBatches(rows.rows, per_step, settings.sequence_tokens, start.model.device, Inspector(chat_format))
    left_out = frozenset(step - 1 for step in settings.skip_steps)
    tuned = tune(start, settings.adapter, context.seed)
    phase = Phase("sft", batches.steps, batches, next_token_loss, settings.optimiser, left_out=left_out, **tuned.rows)
    segments = read_held_out_chats(context, chat_format, settings.sequence_tokens)
    held_out = HeldOutChats(context, start.model, segments, settings.sequence_tokens)
    periodic = Periodic("fine-tuning", settings.checkpoint_every_steps)
    if segments:
        every = settings.evaluate_every_steps
        periodic = replace(periodic, measure=held_out.measure, measure_every_steps=every, logs=[held_out.log])
    train(start.model, [phase], context, periodic)
    if segments:
        held_out.measure(batches.steps)
    tuned.finish(context)


def tuning_conversations(settings: Sft, context: StageContext) -> list[Conversation]:
    """The conversations of the stage: its part of [instructions], or what the hybrid stage left of its own files."""
    conversations = load_conversations(context.conversations(settings.conversations, "sft"), context)
    left = left_for_tuning(conversations, context.inputs["model"])
    context.counts["conversations"] |= {"used in the hybrid stage": len(conversations) - len(left)}
    return left


def pack_examples(
    conversations: Sequence[Conversation], settings: Sft, chat_format: ChatFormat, context: StageContext
) -> ChatRows:
    """Rows of all examples of the stage, in order."""
    rows = ChatRows()
    policy = load_policy(settings.policy, context.recipe_folder) if settings.policy is not None else None
    prompts = policy.system_prompts() if policy is not None else None
    for part in draw_examples(conversations, settings, chat_format, context.seed, prompts):
        rows.add(part, chat_format, settings.sequence_tokens, context.seed)
    rows.check(settings.sequence_tokens)
    context.counts["examples"] = dict(sorted(rows.counts.items()))
    context.counts["examples_by_language"] = dict(sorted(rows.languages.items()))
    context.counts["examples_by_category"] = dict(sorted(rows.categories.items()))
    return rows
