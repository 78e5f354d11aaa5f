"""Held-out conversations of the stage `instructions` in, the loss of their answers by language out.

It is measured before fine-tuning, every `evaluate_every_steps`, and after the last step: where it rises while the loss
of training falls, the model learns its conversations by heart. Always the same conversations are measured, at most
CONVERSATIONS of a language, and none that is longer than a row.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from seallm.base.artifacts import INSTRUCTIONS, StageContext
from seallm.base.records import read_conversations
from seallm.model.chat_format import ChatFormat
from seallm.train.batches import collate
from seallm.train.device import micro_batch_tokens
from seallm.train.objectives import next_token_loss
from seallm.train.packing import pack_whole
from seallm.train.processes import from_first
from seallm.train.segments import IGNORED, Segment, conversation_segment
from seallm.train.sharding import computed_in
from seallm.train.step_log import StepLog

HELD_OUT = "held_out.jsonl"
ALL = "all"
CONVERSATIONS = 100  # of each language: a measurement stays cheap, however much is held out


@dataclass(frozen=True)
class HeldOutChats:
    """What is measured, and where the figures go.

    Attributes:
        segments: conversations by language.
        row_tokens: length of the rows they are packed into.
    """

    context: StageContext
    model: PreTrainedModel
    segments: dict[str, list[Segment]]
    row_tokens: int

    @property
    def log(self) -> StepLog:
        """Has a row for each language of every measurement, and one for `all`."""
        return StepLog(self.context.out / HELD_OUT)

    def measure(self, step: int) -> float:
        """Log the losses after so many steps; returns that of all languages, in nats a token."""
        rows = from_first(self._rows)  # in between only the first process has the weights
        self.log.put(step, rows)
        return float(rows[-1]["loss"])

    def _rows(self) -> list[dict[str, Any]]:
        found = {
            language: (*summed_loss(self.model, segments, self.row_tokens, self.context), len(segments))
            for language, segments in self.segments.items()
        }
        sums = [sum(column) for column in zip(*found.values(), strict=True)]
        return [
            {"language": language, "loss": total / tokens, "tokens": tokens, "n": number}
            for language, (total, tokens, number) in (*found.items(), (ALL, sums))
        ]


def read_held_out_chats(context: StageContext, chat_format: ChatFormat, row_tokens: int) -> dict[str, list[Segment]]:
    """Conversations by language as they are fine-tuned on; none where the recipe has no [instructions].

    The counts get how many are measured, how many of those do not fit a row, and how many are more than are needed.
    """
    if INSTRUCTIONS not in context.inputs:
        return {}
    found: dict[str, list[Segment]] = {}
    counts = Counter[str]()
    for conversation in read_conversations(context.inputs[INSTRUCTIONS] / HELD_OUT)[0]:
        own = found.setdefault(conversation.language, [])
        if len(own) == CONVERSATIONS:
            counts["more than are measured"] += 1
            continue
        encoded = chat_format.encode(conversation.messages)
        if len(encoded.ids) > row_tokens:
            counts["longer than sequence_tokens"] += 1
        else:
            counts["measured"] += 1
            own.append(conversation_segment(encoded.ids, encoded.supervised, conversation.language))
    context.counts["held_out"] = dict(sorted(counts.items()))
    return {language: found[language] for language in sorted(found) if found[language]}


@torch.no_grad()
def summed_loss(
    model: PreTrainedModel, segments: Sequence[Segment], row_tokens: int, context: StageContext
) -> tuple[float, int]:
    """Cross-entropy of the supervised tokens of conversations, summed, in nats; and how many tokens that is."""
    model.eval()
    rows = [[segments[i] for i in row] for row in pack_whole([len(s.ids) for s in segments], row_tokens)]
    at_once = max(1, micro_batch_tokens(model, context.runtime, 1) // row_tokens)
    total = 0.0
    for start in range(0, len(rows), at_once):
        batch = collate(rows[start : start + at_once], row_tokens, 1, model.device)
        with computed_in(model, context.runtime.torch_dtype()):
            total += float(next_token_loss(model, batch))
    return total, sum(int((s.targets != IGNORED).sum()) for s in segments)
