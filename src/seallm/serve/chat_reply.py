"""Answers as chat completions."""

from seallm.serve.answering import Answering, Numbered
from seallm.serve.replies import (
    AnswerMessage,
    ChatLogprobs,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    FinishReason,
    Usage,
)
from seallm.serve.requests import Finished, Piece, ScoredToken
from seallm.serve.tokens import chat_logprobs


class ChatReply:
    """A chat completion, whole or in chunks."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering

    async def complete(self) -> Completion:
        """Wait for all answers."""
        count = self.answering.num_answers
        texts, reasons = [""] * count, ["length"] * count
        tokens: list[list[ScoredToken]] = [[] for _ in range(count)]
        async for numbered in self.answering.events():
            if isinstance(numbered.event, Piece):
                texts[numbered.index] += numbered.event.text
                tokens[numbered.index] += numbered.event.tokens
            elif isinstance(numbered.event, Finished):
                reasons[numbered.index] = numbered.event.reason
        choices = [
            Choice(
                index=number,
                message=AnswerMessage(content=texts[number]),
                logprobs=self._logprobs(tokens[number]),
                finish_reason=_reason(reasons[number]),
            )
            for number in range(count)
        ]
        made = self.answering
        return Completion(
            id=f"chatcmpl-{made.id}", created=made.created, model=made.engine.name, choices=choices, usage=made.usage
        )

    def _logprobs(self, tokens: list[ScoredToken]) -> ChatLogprobs | None:
        is_wanted = self.answering.requests[0].num_top is not None
        return chat_logprobs(self.answering.engine.format.plain, tokens) if is_wanted else None

    def opening(self) -> list[Chunk]:
        """The role of every answer."""
        numbers = range(self.answering.num_answers)
        return [self._chunk(ChunkChoice(index=n, delta={"role": "assistant", "content": ""})) for n in numbers]

    def chunk(self, numbered: Numbered) -> Chunk:
        """Text, or the reason of an end."""
        event, index = numbered.event, numbered.index
        if isinstance(event, Piece):
            logprobs = self._logprobs(list(event.tokens))
            return self._chunk(ChunkChoice(index=index, delta={"content": event.text}, logprobs=logprobs))
        reason = event.reason if isinstance(event, Finished) else None
        return self._chunk(ChunkChoice(index=index, delta={}, finish_reason=reason))

    def usage_chunk(self) -> Chunk:
        """The token counts."""
        return self._chunk(None, self.answering.usage)

    def _chunk(self, choice: ChunkChoice | None, usage: Usage | None = None) -> Chunk:
        made, choices = self.answering, [] if choice is None else [choice]
        return Chunk(
            id=f"chatcmpl-{made.id}", created=made.created, model=made.engine.name, choices=choices, usage=usage
        )


def _reason(text: str) -> FinishReason:
    return "stop" if text == "stop" else "length"
