"""Cases in, verdicts out: what a model says of an answer, or of two.

A model in a folder is not made to write: the likelihood of each score, or of each verdict, is read after the prompt.
The score is then the mean of its distribution (Liu et al. 2023, G-Eval, section 2), finer than eleven steps. What the
judge writes itself (`prose`) is read back by `judge_prompts`. Both ways keep on disk what was computed or paid for.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from seallm.base.errors import ModelError
from seallm.base.files import fingerprint
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.answer_cache import AnswerCache
from seallm.endpoints.calls import Scored
from seallm.endpoints.metering import Meter, Usage, estimated_tokens
from seallm.evaluate.judge_cases import Case
from seallm.evaluate.judge_prompts import (
    SCORES,
    VERDICTS,
    Mode,
    pair_prompt,
    read_score,
    read_verdict,
    score_prompt,
)
from seallm.model.chat_models import ChatAnswer, ChatModel
from seallm.model.chat_models import Question as ChatQuestion

if TYPE_CHECKING:
    from seallm.model.folder_chat_model import FolderChatModel

CASES_AT_ONCE = 16
PROSE_TOKENS, BARE_TOKENS = 400, 16
OnDone = Callable[[int], object]


@dataclass(frozen=True)
class Verdict:
    """What was decided.

    Attributes:
        case: about what.
        value: a score from 0 to 10; or "A", "B" or "C"; None where the judge gave none that could be read.
        probabilities: of the scores 0 to 10, or of A, B and C, where they were read; else empty.
        said: what the judge wrote, or why it gave no verdict.
    """

    case: Case
    value: float | str | None
    probabilities: tuple[float, ...] = ()
    said: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """As the file of verdicts has it."""
        row = {**self.case.about, "value": self.value}
        if self.probabilities:
            row["probabilities"] = [round(p, 6) for p in self.probabilities]
        return row | ({"said": self.said} if self.said else {})


class Judge(Protocol):
    """Whoever decides."""

    @property
    def name(self) -> str:
        """As reports name it."""
        ...

    @property
    def meter(self) -> Meter:
        """What was spent, by language."""
        ...

    def decide(self, cases: Sequence[Case], on_done: OnDone) -> list[Verdict | None]:
        """One verdict a case, in order; None for a case that this judge is not asked about.

        `on_done` is told how many more are decided.

        Raises:
            ModelError: the judge can decide nothing.
            EndpointError: its server does not answer.
        """
        ...


def settled(cases: Sequence[Case]) -> list[Verdict | None]:
    """The verdicts of those cases that a rule decides."""
    return [None if case.rule is None else Verdict(case, case.decided) for case in cases]


def prompt_of(case: Case, *, prose: bool) -> tuple[Message, ...]:
    """What a judge is asked about a case."""
    if len(case.models) == 1:
        return score_prompt(case.question, case.answers[0], prose=prose)
    return pair_prompt(case.question, *case.answers, prose=prose)


class LikelihoodJudge:
    """A judge in a folder, whose likelihoods are read.

    Args:
        model: computed here or by vLLM.
        mode: score or pairwise.
        kept: folder that keeps what was read.
    """

    def __init__(self, model: "FolderChatModel", mode: Mode, kept: Path) -> None:
        self._model, self._cache = model, AnswerCache(kept)
        self.meter = Meter()
        self._options = SCORES if mode == "score" else VERDICTS

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    def decide(self, cases: Sequence[Case], on_done: OnDone) -> list[Verdict | None]:
        """As `Judge.decide`; the same question is read once, however often it is repeated."""
        prompts = [prompt_of(case, prose=False) for case in cases]
        keys = [fingerprint([self._model.identity, [vars_of(m) for m in prompt], self._options]) for prompt in prompts]
        first = {key: number for number, key in reversed(list(enumerate(keys)))}
        order = sorted(first.values())
        found: dict[str, dict[str, Any]] = {}
        for some in (order[start : start + CASES_AT_ONCE] for start in range(0, len(order), CASES_AT_ONCE)):
            kept = {keys[n]: entry for n in some if (entry := self._cache.find(keys[n])) is not None}
            missing = [n for n in some if keys[n] not in kept]
            for number, entry in zip(missing, self._ask([prompts[n] for n in missing]), strict=True):
                self._keep(keys[number], prompts[number], cases[number].question.language, entry)
                found[keys[number]] = entry
            for number in (n for n in some if keys[n] in kept):
                self.meter.of(cases[number].question.language).reused += 1
            found |= kept
            on_done(len(some))
        on_done(len(cases) - len(order))
        if cases and all("problem" in entry for entry in found.values()):
            raise ModelError(f"The judge {self.name} could decide nothing: {next(iter(found.values()))['problem']}")
        return [self._verdict(case, found[key]) for case, key in zip(cases, keys, strict=True)]

    def _keep(self, key: str, prompt: Sequence[Message], language: str, entry: dict[str, Any]) -> None:
        if "problem" in entry:
            self.meter.of(language).failed += 1
            return
        asked = sum(estimated_tokens(message.content) for message in prompt)
        self.meter.of(language).add(Usage(calls=1, question_tokens=asked, estimated_calls=1))
        self._cache.keep(key, [vars_of(message) for message in prompt], entry)

    def _ask(self, prompts: Sequence[tuple[Message, ...]]) -> list[dict[str, Any]]:
        if not prompts:
            return []
        try:
            scored = self._model.score([(prompt, option) for prompt in prompts for option in self._options])
        except ModelError as error:
            if len(prompts) == 1:  # too long for the judge: this one alone has no verdict
                return [{"problem": str(error)}]
            return [entry for prompt in prompts for entry in self._ask([prompt])]
        size = len(self._options)
        return [{"probabilities": distribution(scored[at : at + size])} for at in range(0, len(scored), size)]

    def _verdict(self, case: Case, entry: dict[str, Any]) -> Verdict:
        if "problem" in entry:
            return Verdict(case, None, said=entry["problem"])
        probabilities = tuple(float(p) for p in entry["probabilities"])
        if self._options is VERDICTS:
            return Verdict(case, VERDICTS[probabilities.index(max(probabilities))], probabilities)
        return Verdict(case, sum(score * p for score, p in enumerate(probabilities)), probabilities)


def distribution(scored: Sequence[Scored]) -> list[float]:
    """Probabilities of the options, which sum to 1; what begins with "10" does not count as "1"."""
    most = max(score.log_probability for score in scored)
    found = [math.exp(score.log_probability - most) for score in scored]
    if len(scored) == len(SCORES) and scored[10].num_tokens > scored[1].num_tokens:
        found[1] = max(0.0, found[1] - found[10])
    whole = sum(found)
    return [value / whole for value in found]


def vars_of(message: Message) -> dict[str, str]:
    """A message as JSON."""
    return {"role": message.role, "content": message.content}


class WritingJudge:
    """A judge that writes its verdict: an endpoint, or a model in a folder.

    Args:
        model: keeps its own answers.
        mode: score or pairwise.
        prose: it says why first.
        temperature: 0 takes the likeliest words; above it, repeats differ.
    """

    def __init__(self, model: ChatModel, mode: Mode, *, prose: bool, temperature: float = 0.0) -> None:
        self._model, self._prose = model, prose
        self._read: Callable[[str], float | str | None] = read_score if mode == "score" else read_verdict
        self.sampling = SamplingSettings(PROSE_TOKENS if prose else BARE_TOKENS, temperature)

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    @property
    def meter(self) -> Meter:
        """The model's."""
        return self._model.meter

    def questions(self, cases: Sequence[Case]) -> list[ChatQuestion]:
        """What the model is asked."""
        return [
            ChatQuestion(prompt_of(case, prose=self._prose), case.question.language, draw=case.repeat) for case in cases
        ]

    def decide(self, cases: Sequence[Case], on_done: OnDone) -> list[Verdict | None]:
        """As `Judge.decide`."""

        def told(number: int, answer: ChatAnswer) -> None:
            on_done(1)

        answers = self._model.answer(self.questions(cases), self.sampling, on_answer=told)
        return [
            Verdict(
                case, None if answer.finish == "failed" else self._read(answer.text), (), answer.text or answer.problem
            )
            for case, answer in zip(cases, answers, strict=True)
        ]
