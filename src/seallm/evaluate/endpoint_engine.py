"""Requests of lm-evaluation-harness in, answers of a server that speaks OpenAI's API out.

Where the server tells the log-probabilities of a prompt (completions with `echo`, as vLLM does), choices are compared
by their likelihood on plain prompts, as those of a folder are. Where it does not, the model is shown the choices and
writes the letter of one (`written_choices.py`): such figures are named, for they are not the same measure.

Every answer is on disk as soon as it is there: a server that dies, or a kill, costs no answer twice.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from seallm.base.errors import EndpointError
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.calls import (
    Call,
    MalformedAnswer,
    chat_call,
    chat_reply,
    score_call,
    scored_reply,
    text_call,
    text_reply,
)
from seallm.endpoints.client import Endpoint, Outcome
from seallm.evaluate.token_engine import cut_at_stop, generation_settings
from seallm.evaluate.written_choices import WRITTEN_TOKENS, ask_for_letter, chosen_number, questions_of

MOST_STOPS = 4  # what OpenAI's API takes; answers are cut at the others here
MOST_TOKENS = 2**20  # a server knows its own limit
UNLIKELY = -1e4
_PROBE = "One two three four five"


class ChatText(str):
    """A conversation as text, for what the harness keeps of it, with its messages."""

    messages: tuple[Message, ...]

    def __new__(cls, messages: Sequence[Message]) -> "ChatText":
        """The text of messages."""
        prompt = super().__new__(cls, "\n\n".join(f"{m.role}: {m.content}" for m in messages))
        prompt.messages = tuple(messages)
        return prompt


class EndpointEngine(LM):  # type: ignore[misc]
    """A server behind the interface of lm-evaluation-harness.

    Args:
        endpoint: the server of one model.
        seed: for tasks that sample.
        advance: called with a number of finished requests.

    Attributes:
        unanswered: prompts whose answers named no choice, or whose questions the server gave up: they count as wrong.
        cut_prompts, cut_questions: 0: a server says itself that a prompt is too long, and its question is unanswered.
        given_up: questions that the server gave up.
        problem: why it gave up the first of them.
        language: of the task that is asked, for the meter.
    """

    cut_prompts = cut_questions = 0

    def __init__(self, endpoint: Endpoint, seed: int = 0, advance: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self.endpoint, self.seed, self.advance = endpoint, seed, advance
        self.unanswered: set[str] = set()
        self.given_up = 0
        self.problem = self.language = ""

    @property
    def tokenizer_name(self) -> str:
        """The model's name: what chat prompts depend on, as far as can be seen from here."""
        return self.endpoint.model

    @cached_property
    def tells_likelihoods(self) -> bool:
        """True where the server tells the log-probabilities of a prompt; one short question finds out."""
        call = score_call(_PROBE)
        try:
            body = self.endpoint.call_many([call])[0].body
            return body is not None and scored_reply(body, len("One"), len(_PROBE)).num_tokens > 0
        except (EndpointError, MalformedAnswer):
            return False  # a server that is gone is told of at the first real question

    def apply_chat_template(self, chat_history: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation; without `add_generation_prompt` its last message begins the answer and is left out."""
        messages = [Message(m["role"], m["content"]) for m in chat_history]  # type: ignore[arg-type]
        return ChatText(messages if add_generation_prompt else messages[:-1])

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """(log-likelihood, is it the greedy continuation); of written letters 0 for the chosen choice.

        Raises:
            EndpointError: the server answers nothing more; what it answered is kept.
        """
        if not requests:
            return []
        if self.tells_likelihoods and not isinstance(requests[0].args[0], ChatText):
            return self._scored(requests)
        return self._written(requests)

    def _scored(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        texts = [(str(request.args[0]), str(request.args[1])) for request in requests]
        outcomes = self._call([score_call(prefix + choice, self.language) for prefix, choice in texts])
        found = []
        for (prefix, choice), outcome in zip(texts, outcomes, strict=True):
            if outcome.body is None:
                self._give_up(prefix, outcome)
                found.append((UNLIKELY, False))
                continue
            try:
                scored = scored_reply(outcome.body, len(prefix), len(prefix + choice))
            except MalformedAnswer as error:
                raise EndpointError(f"{self.endpoint.address} cannot score {choice[:60]!r}: {error}") from None
            found.append((scored.log_probability, scored.is_greedy))
        return found

    def _written(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        questions = questions_of(requests)
        calls = [self._letter_call(requests[numbers[0]].args[0], choices) for numbers, choices in questions]
        weights = [len(numbers) for numbers, _ in questions]
        scores = [(UNLIKELY, False)] * len(requests)
        for (numbers, choices), outcome in zip(questions, self._call(calls, weights), strict=True):
            prompt = requests[numbers[0]].args[0]
            if outcome.body is None:
                self._give_up(prompt, outcome)
                continue
            chosen = chosen_number(self._text(outcome, prompt), choices)
            if chosen is None:
                self.unanswered.add(prompt)
            else:
                scores[numbers[chosen]] = (0.0, True)
        return scores

    def _letter_call(self, prompt: str, choices: Sequence[str]) -> Call:
        settings = SamplingSettings(WRITTEN_TOKENS, temperature=0.0)
        question = ask_for_letter(choices, self.language)
        if isinstance(prompt, ChatText):
            *earlier, last = prompt.messages
            asked = [*earlier, Message(last.role, last.content + question)]
            return chat_call(asked, settings, language=self.language)
        return text_call(prompt + question + "\n", settings, stops=["\n\n"], language=self.language)

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Answers up to a stop string; empty where the server gave the question up.

        Raises:
            EndpointError: the server answers nothing more; what it answered is kept.
            RecipeError: a task asks for a generation setting that we do not have.
        """
        wanted = [generation_settings(request.args[1], self.seed, MOST_TOKENS) for request in requests]
        calls = [self._writing_call(r.args[0], *of) for r, of in zip(requests, wanted, strict=True)]
        answers = []
        for request, (_, stops), outcome in zip(requests, wanted, self._call(calls), strict=True):
            if outcome.body is None:
                self._give_up(request.args[0], outcome)
                answers.append("")
            else:
                answers.append(cut_at_stop(self._text(outcome, request.args[0]), stops))
        return answers

    def _writing_call(self, prompt: str, settings: SamplingSettings, stops: Sequence[str]) -> Call:
        if isinstance(prompt, ChatText):
            return chat_call(prompt.messages, settings, stops=stops[:MOST_STOPS], language=self.language)
        return text_call(prompt, settings, stops=stops[:MOST_STOPS], language=self.language)

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Not of a server: none tells the probability of a text's first token.

        Raises:
            EndpointError: always.
        """
        raise EndpointError(
            f"{self.endpoint.address} does not tell the probability of whole texts; give the model as a folder"
        )

    def _call(self, calls: Sequence[Call], weights: Sequence[int] | None = None) -> list[Outcome]:
        def done(number: int, _: Outcome) -> None:
            self.advance(1 if weights is None else weights[number])

        return self.endpoint.call_many(calls, done)

    def _text(self, outcome: Outcome, prompt: str) -> str:
        body: Any = outcome.body
        return (chat_reply(body) if isinstance(prompt, ChatText) else text_reply(body)).text

    def _give_up(self, prompt: str, outcome: Outcome) -> None:
        self.unanswered.add(prompt)
        self.given_up += 1
        self.problem = self.problem or outcome.problem
