"""Questions in, answers of a server out: the chat model that runs elsewhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from seallm.base.errors import EndpointError
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.calls import Call, MalformedAnswer, Scored, chat_call, chat_reply, score_call, scored_reply
from seallm.endpoints.client import Endpoint, Outcome
from seallm.endpoints.metering import Meter
from seallm.model.chat_models import ChatAnswer, ChatModelSettings, OnAnswer, Prompt, Question, ignore_answer

TOP_TOKENS = 20  # the most that OpenAI's API tells


class EndpointChatModel:
    """The model behind an address.

    Args:
        address: `http://host/v1#model`.
        settings: `endpoint`, `key` and `answers` count.

    Raises:
        EndpointError: the address is none.
    """

    def __init__(self, address: str, settings: ChatModelSettings) -> None:
        self.endpoint = Endpoint(address, replace(settings.endpoint, answers=settings.answers), settings.key)

    @property
    def name(self) -> str:
        """The model's name at the server."""
        return self.endpoint.model

    @property
    def meter(self) -> Meter:
        """Tokens and money by language."""
        return self.endpoint.meter

    def answer(
        self,
        questions: Sequence[Question],
        sampling: SamplingSettings,
        *,
        stops: Sequence[str] = (),
        on_answer: OnAnswer = ignore_answer,
    ) -> list[ChatAnswer]:
        """As `ChatModel.answer`."""
        calls = [_call(question, sampling, stops) for question in questions]
        outcomes = self.endpoint.call_many(calls, lambda number, outcome: on_answer(number, _answer(outcome)))
        return [_answer(outcome) for outcome in outcomes]

    def kept(
        self, questions: Sequence[Question], sampling: SamplingSettings, *, stops: Sequence[str] = ()
    ) -> list[ChatAnswer | None]:
        """As `ChatModel.kept`; none where neither the address nor an earlier call has told the model's name."""
        found = (self.endpoint.kept(_call(question, sampling, stops)) for question in questions)
        return [None if body is None else _answer(Outcome(body)) for body in found]

    def score(self, requests: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """As `ChatModel.score`; a token that straddles prompt and continuation counts to the prompt."""
        texts: list[tuple[str, str]] = []
        for prompt, continuation in requests:
            if not isinstance(prompt, str):
                raise EndpointError(
                    f"{self.endpoint.address} renders conversations itself, so that it cannot score continuations of "
                    "them; score plain text, or give the model as a folder"
                )
            texts.append((prompt, continuation))
        outcomes = self.endpoint.call_many([score_call(prompt + continuation) for prompt, continuation in texts])
        scores = []
        for (prompt, continuation), outcome in zip(texts, outcomes, strict=True):
            if outcome.body is None:
                raise EndpointError(f"{self.endpoint.address} gave no log-probabilities: {outcome.problem}")
            try:
                scores.append(scored_reply(outcome.body, len(prompt), len(prompt + continuation)))
            except MalformedAnswer as error:
                raise EndpointError(f"{self.endpoint.address} cannot score text: {error}") from None
        return scores

    def choose(self, questions: Sequence[Question], options: Sequence[str]) -> list[list[float]]:
        """As `ChatModel.choose`."""
        sampling = SamplingSettings(max_new_tokens=1, temperature=0.0)
        calls = [
            chat_call(q.messages, sampling, top_logprobs=TOP_TOKENS, language=q.language, draw=q.draw)
            for q in questions
        ]
        chosen = []
        for outcome in self.endpoint.call_many(calls):
            likeliest = {} if outcome.body is None else chat_reply(outcome.body).first_token
            if not likeliest:
                reason = outcome.problem or "its answers have none (logprobs, top_logprobs)"
                raise EndpointError(f"{self.endpoint.address} gave no log-probabilities: {reason}")
            chosen.append([_log_probability(likeliest, option) for option in options])
        return chosen


def _log_probability(likeliest: Mapping[str, float], option: str) -> float:
    """Of all tokens that are the option, with or without white space around it, together."""
    found = [math.exp(value) for token, value in likeliest.items() if token.strip() == option]
    return math.log(sum(found)) if found and sum(found) > 0 else -math.inf


def _call(question: Question, sampling: SamplingSettings, stops: Sequence[str]) -> Call:
    return chat_call(question.messages, sampling, stops=stops, language=question.language, draw=question.draw)


def _answer(outcome: Outcome) -> ChatAnswer:
    if outcome.body is None:
        return ChatAnswer("", "failed", outcome.problem)
    reply = chat_reply(outcome.body)
    return ChatAnswer(reply.text, reply.finish)
