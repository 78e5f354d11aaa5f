"""The check of what a chat model is trained on: every end of turn supervised, no prompt token supervised.

It reads the mask back from the token ids alone (markers, role headers, ends of turn) and compares it with the targets
of the batch. It shares no code with what made the mask, so a mistake there, in packing or in joining cannot hide.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seallm.base.errors import ModelError
from seallm.model.chat_format import ChatFormat
from seallm.train.segments import IGNORED, Segment


class Inspector:
    """Checks segments that are whole conversations."""

    def __init__(self, chat_format: ChatFormat) -> None:
        beginning = chat_format.encode([]).ids
        self.header = np.asarray(chat_format.prompt_ids([])[len(beginning) :], np.int64)
        self.marker_id, self.end_id = chat_format.marker_id, chat_format.end_id
        self.chat_format = chat_format

    def check(self, rows: Sequence[Sequence[Segment]]) -> None:
        """See that each segment's targets are the assistant's words and ends of turn, all of them and nothing else.

        Raises:
            ModelError: they are not; the message shows the place. It means that the chat format and this tokenizer do
                not fit together.
        """
        for row in rows:
            for segment in row:
                expected = self._expected(segment.ids)
                wrong = np.flatnonzero(segment.targets != expected)
                if len(wrong):
                    raise self._error(segment, int(wrong[0]), int(expected[wrong[0]]))

    def _expected(self, ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Targets as the ids alone tell them, (n,)."""
        supervised = np.zeros(len(ids), bool)
        starts = np.flatnonzero(ids == self.marker_id)
        for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
            answer = start + len(self.header)
            if np.array_equal(ids[start:answer], self.header):
                ends = np.flatnonzero(ids[answer:stop] == self.end_id)
                if not len(ends):
                    raise ModelError(
                        f"An assistant's turn has no end of turn: ...{self._show(ids[start:stop])!r}. The tokenizer's "
                        "end-of-sequence token must end every turn"
                    )
                supervised[answer : answer + ends[0] + 1] = True
        expected = np.full(len(ids), IGNORED, np.int64)
        expected[:-1] = np.where(supervised[1:], ids[1:], IGNORED)
        return expected

    def _error(self, segment: Segment, place: int, expected: int) -> ModelError:
        found = int(segment.targets[place])
        token = segment.ids[min(place + 1, len(segment.ids) - 1)]
        what = "an end of turn" if expected == self.end_id else "a token of an answer"
        problem = f"{what} carries no loss" if found == IGNORED else "a token of a prompt carries loss"
        near = self._show(segment.ids[max(0, place - 8) : place + 2])
        return ModelError(
            f"Loss mask of a conversation in {segment.label}: {problem} (token {place + 1}, id {int(token)}, after "
            f"{near!r}). The chat format does not fit this tokenizer; check its special tokens"
        )

    def _show(self, ids: NDArray[np.integer]) -> str:
        return str(self.chat_format.tokenizer.decode(ids.tolist()))
