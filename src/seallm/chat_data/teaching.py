"""Rounds of questions in, a teacher's answers out; or, in a rehearsal, what the rounds would cost.

A maker asks in rounds: all questions of a round at once, the next round made from the answers. In a rehearsal nothing
is asked. Answers that are on disk are used, and the others are played by stand-ins of the expected length, so that the
maker runs through all its rounds and the meter fills with guesses; what it then makes is thrown away.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources

from seallm.base.runtime import Runtime, progress
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.metering import Meter, Usage, estimated_tokens
from seallm.model.chat_models import ChatAnswer, ChatModel, Question

STAND_IN = "·"  # a token by itself in every guess
UNKNOWN_RATIO = 2.0  # of a language without shipped sentences
_THINKING = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)


@dataclass
class Teacher:
    """A chat model at work.

    Attributes:
        model: who answers.
        sampling: how answers are drawn.
        is_rehearsal: nothing is asked.
        runtime: whether progress is shown.
        guesses: in a rehearsal, what would be spent.
    """

    model: ChatModel
    sampling: SamplingSettings
    is_rehearsal: bool = False
    runtime: Runtime = field(default_factory=Runtime)
    guesses: Meter = field(default_factory=Meter)

    @property
    def name(self) -> str:
        """Of the model, as data made by it tells; a rehearsal does not ask for it."""
        return "rehearsal" if self.is_rehearsal else self.model.name

    @property
    def meter(self) -> Meter:
        """What was spent; in a rehearsal, what would be."""
        return self.guesses if self.is_rehearsal else self.model.meter

    def ask(
        self, title: str, questions: Sequence[Question], expected: Sequence[str], temperature: float | None = None
    ) -> list[ChatAnswer]:
        """One round.

        Args:
            title: for the display.
            questions: what to ask.
            expected: for each a text as long as the answer is likely to be, in the shape that the maker reads.
            temperature: in place of the teacher's own.

        Returns:
            One answer a question; a reasoning model's thoughts are cut off.

        Raises:
            EndpointError: no question would be answered by the server.
        """
        sampling = self.sampling if temperature is None else replace(self.sampling, temperature=temperature)
        if self.is_rehearsal:
            return self._rehearse(questions, expected, sampling)
        if not questions:
            return []
        with progress(title, len(questions), self.runtime) as task:
            answers = self.model.answer(questions, sampling, on_answer=lambda number, answer: task.advance())
        return [replace(answer, text=_THINKING.sub("", answer.text).strip()) for answer in answers]

    def _rehearse(
        self, questions: Sequence[Question], expected: Sequence[str], sampling: SamplingSettings
    ) -> list[ChatAnswer]:
        answers = []
        self.guesses.price = self.model.meter.price
        for question, text, kept in zip(questions, expected, self.model.kept(questions, sampling), strict=True):
            usage = self.guesses.of(question.language)
            if kept is not None:
                usage.reused += 1
                answers.append(kept)
                continue
            asked = sum(estimated_tokens(message.content) for message in question.messages)
            told = min(estimated_tokens(text), sampling.max_new_tokens)
            usage.add(Usage(calls=1, question_tokens=asked, answer_tokens=told, estimated_calls=1))
            answers.append(ChatAnswer(text, "stop"))
        return answers


def stand_in(text: str, from_language: str, to_language: str) -> str:
    """A text as long, in guessed tokens, as a translation of another between two languages."""
    tokens = (
        estimated_tokens(text) * _relative(to_language, estimated_tokens) / _relative(from_language, estimated_tokens)
    )
    return STAND_IN * max(1, round(tokens))


def relative_length(language: str) -> float:
    """Characters of the same meaning, over those of English, by the aligned sentences that ship with seallm."""
    return _relative(language, len)


@functools.cache
def _relative(language: str, length: Callable[[str], int]) -> float:
    folder = resources.files("seallm") / "sample" / "parallel"
    own, english = (folder / f"dev.{code}.txt" for code in (language, "en"))
    if not own.is_file():
        return UNKNOWN_RATIO
    return length(own.read_text(encoding="utf-8")) / length(english.read_text(encoding="utf-8"))
