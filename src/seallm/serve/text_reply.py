"""Answers as text completions, with the prompt in front where that is wanted."""

from collections.abc import Sequence

from seallm.serve.answering import Answering, Numbered
from seallm.serve.replies import TextChoice, TextCompletion, TextLogprobs, Usage
from seallm.serve.requests import Finished, Piece, PromptScores, ScoredToken
from seallm.serve.tokens import TextTokens


class TextReply:
    """A text completion, whole or in chunks.

    Args:
        answering: the submitted request.
        echoed: text of each prompt that is put in front of its answers; None: it is not wanted.
    """

    def __init__(self, answering: Answering, echoed: Sequence[str] | None) -> None:
        self.answering, self._echoed = answering, echoed
        plain = answering.engine.format.plain
        self._tokens = [TextTokens(plain) for _ in range(answering.num_answers)]
        self._prompt_scores: dict[int, tuple[ScoredToken, ...]] = {}

    async def complete(self) -> TextCompletion:
        """Wait for all answers."""
        count = self.answering.num_answers
        texts, parts = (
            [self._opening_text(n) for n in range(count)],
            [TextChoice(index=n, text="") for n in range(count)],
        )
        tokens: list[list[ScoredToken]] = [[] for _ in range(count)]
        async for numbered in self.answering.events():
            event, index = numbered.event, numbered.index
            if isinstance(event, PromptScores):
                self._prompt_scores[index] = event.tokens
            elif isinstance(event, Piece):
                texts[index] += event.text
                tokens[index] += event.tokens
            else:
                parts[index].finish_reason = event.reason
        choices = [
            part.model_copy(update={"text": text, "logprobs": self._logprobs(part.index, told, is_first=True)})
            for part, text, told in zip(parts, texts, tokens, strict=True)
        ]
        return self._completion(choices, self.answering.usage)

    def opening(self) -> list[TextCompletion]:
        """The prompts, where they are wanted without scores; with them, they come when they are known."""
        if self._echoed is None or self.answering.requests[0].scores_prompt:
            return []
        numbers = range(self.answering.num_answers)
        return [self._completion([TextChoice(index=n, text=self._opening_text(n))]) for n in numbers]

    def chunk(self, numbered: Numbered) -> TextCompletion:
        """Text, or the reason of an end."""
        event, index = numbered.event, numbered.index
        if isinstance(event, PromptScores):
            self._prompt_scores[index] = event.tokens
            told = self._logprobs(index, [], is_first=True)
            return self._completion([TextChoice(index=index, text=self._opening_text(index), logprobs=told)])
        if isinstance(event, Finished):
            return self._completion([TextChoice(index=index, text="", finish_reason=event.reason)])
        told = self._logprobs(index, event.tokens, is_first=False)
        return self._completion([TextChoice(index=index, text=event.text, logprobs=told)])

    def usage_chunk(self) -> TextCompletion:
        """The token counts."""
        return self._completion([], self.answering.usage)

    def _prompt_of(self, index: int) -> int:
        return index // self.answering.requests[0].num_answers

    def _opening_text(self, index: int) -> str:
        return "" if self._echoed is None else self._echoed[self._prompt_of(index)]

    def _logprobs(self, index: int, tokens: Sequence[ScoredToken], *, is_first: bool) -> TextLogprobs | None:
        request = self.answering.requests[self._prompt_of(index)]
        if request.num_top is None:
            return None
        if is_first and request.scores_prompt:
            return self._tokens[index].logprobs([*self._prompt_scores[index], *tokens], first_id=request.prompt[0])
        return self._tokens[index].logprobs(tokens)

    def _completion(self, choices: list[TextChoice], usage: Usage | None = None) -> TextCompletion:
        made = self.answering
        return TextCompletion(
            id=f"cmpl-{made.id}", created=made.created, model=made.engine.name, choices=choices, usage=usage
        )
