"""Questions in, answers out, of a model in a folder: what is the same for every engine that computes it.

An answer is kept under the fingerprints of the model's files, the conversation, and how it was drawn. Questions of
similar length are computed together, a few batches at a time, so that a kill loses no more than these.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from seallm.base.files import file_fingerprint, fingerprint, read_json
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.answer_cache import AnswerCache
from seallm.endpoints.calls import Scored
from seallm.endpoints.metering import Meter, Usage
from seallm.model.chat_models import ChatAnswer, ChatModelSettings, OnAnswer, Prompt, Question, ignore_answer
from seallm.model.checkpoints import load_tokenizer
from seallm.model.places import find_model
from seallm.model.prompt_format import PromptFormat

BATCHES_AT_ONCE = 4
_WEIGHTS_AND_WORDS = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")

Ids = list[int]


class Drawn(NamedTuple):
    """Ids of an answer without its end, and whether it ended by itself."""

    ids: Ids
    has_ended: bool


class FolderChatModel(ABC):
    """A `ChatModel` in a folder.

    Args:
        place: a run, a stage of a run, or a Hugging Face folder.
        settings: how it is computed, and where answers are kept.

    Raises:
        ModelError: there is no finished model.
    """

    engine = "here"

    def __init__(self, place: Path, settings: ChatModelSettings) -> None:
        found = find_model(place)
        self.folder, self.name, self.settings = found.folder, found.name, settings
        self.meter = Meter(settings.endpoint.price)
        self._cache = AnswerCache(settings.answers)

    @cached_property
    def format(self) -> PromptFormat:
        """How the model is asked."""
        path = self.folder / "generation_config.json"
        named = read_json(path).get("eos_token_id") if path.is_file() else None
        return PromptFormat(load_tokenizer(self.folder), [named] if isinstance(named, int) else list(named or ()))

    @property
    @abstractmethod
    def max_sequence_tokens(self) -> int:
        """Positions for prompt and answer."""

    @abstractmethod
    def draw(
        self, prompts: Sequence[Ids], seeds: Sequence[int], sampling: SamplingSettings, stops: Sequence[str]
    ) -> list[Drawn]:
        """One answer a prompt, drawn from its own seed; it may run beyond a stop string."""

    @abstractmethod
    def score_ids(self, requests: Sequence[tuple[Ids, Ids]]) -> list[Scored]:
        """Log-likelihoods of (prefix, continuation)."""

    def answer(
        self,
        questions: Sequence[Question],
        sampling: SamplingSettings,
        *,
        stops: Sequence[str] = (),
        on_answer: OnAnswer = ignore_answer,
    ) -> list[ChatAnswer]:
        """As `ChatModel.answer`."""
        answers: dict[int, ChatAnswer] = {}
        first_of: dict[str, int] = {}  # equal questions are computed once
        keys = [self._key(question, sampling, stops) for question in questions]
        for number, found in enumerate(self._find(keys)):
            if found is not None:
                answers[number] = found
                self.meter.of(questions[number].language).reused += 1
                on_answer(number, found)
            else:
                first_of.setdefault(keys[number], number)
        for some in self._portions(questions, list(first_of.values())):
            for number, answer in self._compute(questions, some, sampling, stops).items():
                if answer.finish != "failed":
                    self._cache.keep(keys[number], _shown(questions[number]), vars(answer))
                answers[number] = answer
                on_answer(number, answer)
        for number, key in enumerate(keys):
            if number not in answers:
                answers[number] = answers[first_of[key]]
                self.meter.of(questions[number].language).reused += 1
                on_answer(number, answers[number])
        return [answers[number] for number in range(len(questions))]

    def kept(
        self, questions: Sequence[Question], sampling: SamplingSettings, *, stops: Sequence[str] = ()
    ) -> list[ChatAnswer | None]:
        """As `ChatModel.kept`."""
        return self._find([self._key(question, sampling, stops) for question in questions])

    def score(self, requests: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """As `ChatModel.score`."""
        return self.score_ids([self._request(prompt, continuation) for prompt, continuation in requests])

    def choose(self, questions: Sequence[Question], options: Sequence[str]) -> list[list[float]]:
        """As `ChatModel.choose`."""
        scores = iter(self.score([(q.messages, option) for q in questions for option in options]))
        return [[next(scores).log_probability for _ in options] for _ in questions]

    def _request(self, prompt: Prompt, continuation: str) -> tuple[Ids, Ids]:
        if isinstance(prompt, str):
            prefix, whole = self.format.text_ids(prompt), self.format.text_ids(prompt + continuation)
            rest = whole[len(prefix) :]
            return prefix or [self.format.start_id], rest
        return self.format.prompt_ids(prompt), self.format.plain.encode_inner([continuation])[0]

    def _compute(
        self, questions: Sequence[Question], numbers: Sequence[int], sampling: SamplingSettings, stops: Sequence[str]
    ) -> dict[int, ChatAnswer]:
        answers: dict[int, ChatAnswer] = {}
        prompts: dict[int, Ids] = {}
        for number in numbers:
            ids = self.format.prompt_ids(questions[number].messages)
            if len(ids) < self.max_sequence_tokens:
                prompts[number] = ids
            else:
                problem = (
                    f"the conversation has {len(ids)} tokens; {self.name} has {self.max_sequence_tokens} positions"
                )
                answers[number] = ChatAnswer("", "failed", problem)
                self.meter.of(questions[number].language).failed += 1
        seeds = [int(fingerprint([_shown(questions[n]), questions[n].draw])[:15], 16) for n in prompts]
        drawn = self.draw(list(prompts.values()), seeds, sampling, stops) if prompts else []
        for (number, prompt), (ids, has_ended) in zip(prompts.items(), drawn, strict=True):
            usage = Usage(calls=1, question_tokens=len(prompt), answer_tokens=len(ids))
            self.meter.of(questions[number].language).add(usage)
            answers[number] = _cut(self.format.plain.decode(ids), has_ended, stops)
        return answers

    def _portions(self, questions: Sequence[Question], numbers: list[int]) -> Iterator[list[int]]:
        size = BATCHES_AT_ONCE * self.settings.batch_sequences
        ordered = sorted(numbers, key=lambda n: sum(len(m.content) for m in questions[n].messages))
        for start in range(0, len(ordered), size):
            yield ordered[start : start + size]

    def _find(self, keys: Sequence[str]) -> list[ChatAnswer | None]:
        found = (self._cache.find(key) for key in keys)
        return [None if entry is None else ChatAnswer(**entry) for entry in found]

    def _key(self, question: Question, sampling: SamplingSettings, stops: Sequence[str]) -> str:
        drawn = {**vars(sampling), **({"seed": 0, "top_p": 1.0} if sampling.temperature == 0 else {})}
        return fingerprint([self.identity, _shown(question), question.draw, drawn, list(stops)])

    @cached_property
    def identity(self) -> list[str]:
        """What the answers depend on beside the question."""
        files = [self.folder / name for name in _WEIGHTS_AND_WORDS]
        files += sorted(self.folder.glob("*.safetensors"))
        prints = [file_fingerprint(path) for path in files if path.is_file()]
        return [self.engine, self.settings.runtime.dtype, *prints]


def _shown(question: Question) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in question.messages]


def _cut(text: str, has_ended: bool, stops: Sequence[str]) -> ChatAnswer:
    """The text before the first stop string."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    if places:
        return ChatAnswer(text[: min(places)], "stop")
    return ChatAnswer(text if has_ended else text.rstrip("\ufffd"), "stop" if has_ended else "length")
