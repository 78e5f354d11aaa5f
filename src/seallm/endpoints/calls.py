"""Conversations and texts in, request bodies of OpenAI's API out; response bodies in, answers out.

Only fields that all servers of this shape know are sent. A seed is sent with sampling, so that servers that heed it
repeat themselves.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.metering import Usage, estimated_tokens

CHAT, COMPLETIONS = "chat/completions", "completions"
Finish = Literal["stop", "length", "filtered", "failed"]
Json = dict[str, Any]
_FINISHES: dict[str, Finish] = {"length": "length", "max_tokens": "length", "content_filter": "filtered"}


class MalformedAnswer(ValueError):
    """A JSON object came back that is no answer to the call."""


@dataclass(frozen=True)
class Call:
    """One question to an endpoint.

    Attributes:
        path: `chat/completions` or `completions`.
        body: the request, without the model's name.
        language: whom the meter counts it for.
        draw: number of this draw, where the same request is answered several times.
    """

    path: str
    body: Mapping[str, Any]
    language: str = ""
    draw: int = 0

    @property
    def question_tokens(self) -> int:
        """A guess."""
        texts = [self.body["prompt"]] if "prompt" in self.body else [m["content"] for m in self.body["messages"]]
        return sum(estimated_tokens(text) for text in texts)

    @property
    def most_tokens(self) -> int:
        """A guess of question and longest answer together: what providers count against a limit at first."""
        return self.question_tokens + int(self.body.get("max_tokens") or 0)


@dataclass(frozen=True)
class ChatReply:
    """An answer.

    Attributes:
        text: empty where there is none.
        finish: "stop" at its own end, "length" where it was cut, "filtered" where the server kept it back.
        first_token: natural-log probabilities of the likeliest first tokens, where they were asked for.
    """

    text: str
    finish: Finish
    first_token: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """Tokens of a text with what an endpoint says of each.

    Attributes:
        log_probability: natural log, summed over the tokens behind the prefix.
        is_greedy: each of them is the likeliest there.
        num_tokens: how many they are.
    """

    log_probability: float
    is_greedy: bool
    num_tokens: int


def chat_call(
    messages: Sequence[Message],
    sampling: SamplingSettings,
    *,
    stops: Sequence[str] = (),
    top_logprobs: int = 0,
    language: str = "",
    draw: int = 0,
) -> Call:
    """Ask for the assistant's next turn; `top_logprobs` asks for the likeliest first tokens as well."""
    body: Json = {"messages": [{"role": m.role, "content": m.content} for m in messages]}
    body |= _drawn(sampling, stops, draw)
    if top_logprobs:
        body |= {"logprobs": True, "top_logprobs": top_logprobs}
    return Call(CHAT, body, language, draw)


def text_call(
    text: str, sampling: SamplingSettings, *, stops: Sequence[str] = (), language: str = "", draw: int = 0
) -> Call:
    """Ask for what follows a text: servers of base models."""
    return Call(COMPLETIONS, {"prompt": text, **_drawn(sampling, stops, draw)}, language, draw)


def _drawn(sampling: SamplingSettings, stops: Sequence[str], draw: int) -> Json:
    fields: Json = {"max_tokens": sampling.max_new_tokens, "temperature": sampling.temperature}
    if sampling.temperature > 0:
        fields |= {"top_p": sampling.top_p, "seed": sampling.seed + draw}
    return fields | ({"stop": list(stops)} if stops else {})


def score_call(text: str, language: str = "") -> Call:
    """Ask how likely each token of a text is; one token is generated, as some servers refuse to generate none."""
    body: Json = {"prompt": text, "max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": 1}
    return Call(COMPLETIONS, body, language)


def chat_reply(body: Json) -> ChatReply:
    """The answer in a response to `chat_call`.

    Raises:
        MalformedAnswer: there is none.
    """
    choice = _choice(body)
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else 0
    if isinstance(content, list):  # some servers answer in parts; thoughts are parts of another type
        content = "".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    if not isinstance(message, dict) or not isinstance(content, str | None):
        raise MalformedAnswer(f"its choice has no message with a text: {_shown(choice)}")
    finish = _FINISHES.get(str(choice.get("finish_reason")), "stop")
    return ChatReply(content or message.get("refusal") or "", finish, _first_token(choice))


def text_reply(body: Json) -> ChatReply:
    """The text in a response to `text_call`.

    Raises:
        MalformedAnswer: there is none.
    """
    choice = _choice(body)
    if not isinstance(choice.get("text"), str):
        raise MalformedAnswer(f"its choice has no text: {_shown(choice)}")
    return ChatReply(choice["text"], _FINISHES.get(str(choice.get("finish_reason")), "stop"))


def scored_reply(body: Json, prefix_characters: int, text_characters: int) -> Scored:
    """Sum over the tokens of `score_call`'s text that start behind a prefix.

    Args:
        body: the response.
        prefix_characters: length of the prefix; a token that straddles its end counts to the prefix.
        text_characters: length of the whole text that was asked about.

    Raises:
        MalformedAnswer: the server gave no log-probabilities of the question's own tokens.
    """
    found = _choice(body).get("logprobs") or {}
    offsets, values, likeliest = (found.get(name) for name in ("text_offset", "token_logprobs", "top_logprobs"))
    if not isinstance(offsets, list) or not isinstance(values, list) or len(offsets) != len(values) or not offsets:
        raise MalformedAnswer("it has no log-probabilities of the text that was asked about (echo and logprobs)")
    places = [n for n, offset in enumerate(offsets) if prefix_characters <= offset < text_characters]
    if any(values[n] is None for n in places):
        raise MalformedAnswer("it has no log-probability of the text's first token; score with a prefix")
    tops = likeliest if isinstance(likeliest, list) and len(likeliest) == len(values) else [None] * len(values)
    greedy = all(values[n] >= max((tops[n] or {"": float("inf")}).values()) for n in places)
    return Scored(float(sum(values[n] for n in places)), greedy, len(places))


def usage_of(call: Call, body: Json) -> Usage:
    """The tokens that the server counted; where it did not, a guess that says that it is one."""
    told = body.get("usage") or {}
    question, answer = (told.get(name) for name in ("prompt_tokens", "completion_tokens"))
    if isinstance(question, int) and isinstance(answer, int):
        return Usage(calls=1, question_tokens=question, answer_tokens=answer)
    text = "".join(str((c.get("message") or {}).get("content") or c.get("text") or "") for c in body["choices"])
    guess = estimated_tokens(text)
    return Usage(calls=1, question_tokens=call.question_tokens, answer_tokens=guess, estimated_calls=1)


def _choice(body: Json) -> Json:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise MalformedAnswer(f"it has no choices: {_shown(body)}")
    return choices[0]


def _first_token(choice: Json) -> dict[str, float]:
    content = (choice.get("logprobs") or {}).get("content") or []
    tops = content[0].get("top_logprobs") or [] if content else []
    return {str(top["token"]): float(top["logprob"]) for top in reversed(tops)}  # of equal texts the likelier stays


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]
