"""Examples in, packed rows of whole conversations out.

A conversation is never cut: one longer than a row is left out and counted. Packing looks at 4,096 conversations at a
time and stays inside the groups it is given, so that what should come late comes late.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from seallm.base.errors import DataError
from seallm.model.chat_format import ChatFormat, Encoded
from seallm.train.batches import TokenBatch, step_batch
from seallm.train.draws import random_generator
from seallm.train.examples import Example
from seallm.train.inspector import Inspector
from seallm.train.loop import StepBatch
from seallm.train.packing import pack_whole
from seallm.train.segments import Segment, conversation_segment

WINDOW = 4_096  # conversations packed together


@dataclass
class ChatRows:
    """Rows of conversations.

    Attributes:
        rows: segments of each row.
        counts: examples by kind, and those left out by reason.
        languages: examples by language.
        categories: examples by category, a joined dialogue under each of its own; those without one count as "none".
    """

    rows: list[list[Segment]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)

    def add(
        self, examples: Sequence[Example], chat_format: ChatFormat, row_tokens: int, seed: int, label: str = ""
    ) -> None:
        """Encode and pack examples, behind the rows there are.

        Args:
            examples: conversations; one that its system prompt alone makes too long loses the prompt.
            chat_format: the encoder.
            row_tokens: length of a row.
            seed: decides the order of rows.
            label: put before the language in the metrics.
        """
        segments = []
        for example, encoded in zip(examples, encode(examples, chat_format, row_tokens), strict=True):
            if len(encoded.ids) > row_tokens:
                self.counts[f"left out: {example.kind} longer than sequence_tokens"] += 1
                continue
            self.counts[example.kind] += 1
            self.languages[example.language] += 1
            self.categories.update((example.category or "none").split("+"))
            segments.append(conversation_segment(encoded.ids, encoded.supervised, label + example.language))
        for start in range(0, len(segments), WINDOW):
            window = segments[start : start + WINDOW]
            packed = pack_whole([len(s.ids) for s in window], row_tokens)
            order = random_generator(seed, "chat rows", len(self.rows)).permutation(len(packed))
            self.rows += [[window[item] for item in packed[i]] for i in order]

    def check(self, row_tokens: int) -> None:
        """See that there is something to train on.

        Raises:
            DataError: every conversation was too long.
        """
        if not self.rows:
            raise DataError(
                f"No conversation fits sequence_tokens = {row_tokens} ({dict(self.counts)}); raise it in the recipe"
            )


def encode(examples: Sequence[Example], chat_format: ChatFormat, row_tokens: int) -> list[Encoded]:
    """Encode examples; one that is too long by its system prompt is encoded without it."""
    encoded = chat_format.encode_many([e.messages for e in examples])
    for number, example in enumerate(examples):
        if len(encoded[number].ids) > row_tokens and example.messages[0].role == "system":
            encoded[number] = chat_format.encode(example.messages[1:])
    return encoded


@dataclass(frozen=True, eq=False)
class ChatBatches:
    """Batches of conversations by step, each inspected."""

    rows: Sequence[Sequence[Segment]]
    rows_per_step: int
    row_tokens: int
    device: torch.device
    inspector: Inspector

    @property
    def steps(self) -> int:
        """Steps that one pass over the rows takes."""
        return -(-len(self.rows) // self.rows_per_step)

    def __call__(self, step: int) -> StepBatch[TokenBatch]:
        """The batch of a step, from 0."""
        rows = self.rows[step * self.rows_per_step : (step + 1) * self.rows_per_step]
        self.inspector.check(rows)
        return step_batch(rows, self.row_tokens, self.device)
