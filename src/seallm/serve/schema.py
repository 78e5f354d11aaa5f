"""What a client may send, checked strictly.

Field names and meanings are those of OpenAI's API; `top_k`, `min_p` and `repetition_penalty` are named as in vLLM. A
field that is known there but means nothing here is accepted at its neutral value and refused otherwise, so that nobody
believes a setting that has no effect.
"""

import secrets
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from seallm.base.records import Message, Role
from seallm.base.sampling import SamplingSettings

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "best_of": (1,),
    "suffix": ("",),
}
_LABELS = (
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
)  # notes for the operator: nothing depends on them
_MAX_SEED = 2**63 - 1


class Shape(BaseModel):
    """Base of what clients send: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _branch(value: object) -> str:
    return "as-list" if isinstance(value, list) else "as-text"


class TextPart(Shape):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


Content = Annotated[Annotated[str, Tag("as-text")] | Annotated[list[TextPart], Tag("as-list")], Discriminator(_branch)]


class ChatMessage(Shape):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    """`developer` is read as `system`."""
    content: Content
    """Text; parts are joined."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nothing(cls, value: object) -> object:
        """Clients send answers back with fields such as `refusal: null`."""
        return {k: v for k, v in value.items() if v is not None and v != []} if isinstance(value, dict) else value

    @field_validator("content")
    @classmethod
    def _has_text(cls, value: str | list[TextPart]) -> str | list[TextPart]:
        text = _joined(value)
        if not text.strip():
            raise ValueError("the message has no text")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("the message holds half a surrogate pair, which is not Unicode")
        return value

    def to_message(self) -> Message:
        """The turn as the chat format takes it."""
        role: Role = "system" if self.role == "developer" else self.role
        return Message(role, _joined(self.content))


def _joined(content: str | list[TextPart]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


class StreamOptions(Shape):
    """How a stream ends."""

    include_usage: bool = Field(default=False, strict=True)
    """Send the token counts in a last chunk of their own."""


StopString = Annotated[str, Field(min_length=1, max_length=200)]
StopList = Annotated[list[StopString], Field(max_length=4)]
Stop = Annotated[Annotated[StopString, Tag("as-text")] | Annotated[StopList, Tag("as-list")], Discriminator(_branch)]


Bias = Annotated[float, Field(strict=True, ge=-100, le=100)]
Penalty = Annotated[float | None, Field(strict=True, ge=-2, le=2, allow_inf_nan=False)]


class SamplingFields(Shape):
    """What chat and text completions have in common."""

    model: str | None = None
    """Name of the served model, from /v1/models; absent: that model."""
    temperature: float | None = Field(default=None, strict=True, ge=0, le=2, allow_inf_nan=False)
    """0 always takes the likeliest token; absent: the server's default."""
    top_p: float | None = Field(default=None, strict=True, ge=0, le=1, allow_inf_nan=False)
    """Sample among the likeliest tokens that together have this probability, the likeliest at least; absent: the
    server's default."""
    top_k: int | None = Field(default=None, strict=True, ge=1)
    """Sample among this many of the likeliest tokens."""
    min_p: float | None = Field(default=None, strict=True, ge=0, le=1, allow_inf_nan=False)
    """Leave out tokens with less than this share of the likeliest token's probability."""
    repetition_penalty: float | None = Field(default=None, strict=True, ge=0.01, le=10, allow_inf_nan=False)
    """Above 1, tokens of prompt and answer become less likely."""
    frequency_penalty: Penalty = None
    """Taken from a token's logit for each time that the answer holds it."""
    presence_penalty: Penalty = None
    """Taken from a token's logit once the answer holds it."""
    logit_bias: dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Bias] | None = Field(default=None, max_length=300)
    """Numbers added to the logits of token ids."""
    n: int | None = Field(default=None, strict=True, ge=1)
    """Answers wanted; absent: 1."""
    stop: Stop | None = None
    """Strings at which an answer ends; they are not part of it."""
    seed: int | None = Field(default=None, strict=True, ge=-_MAX_SEED, le=_MAX_SEED)
    """Same seed and same request give the same answer; answer i of several is drawn with seed + i."""
    stream: bool | None = Field(default=None, strict=True)
    """Send the answer as server-sent events while it is made."""
    stream_options: StreamOptions | None = None
    """Only with `stream`."""

    @model_validator(mode="before")
    @classmethod
    def _drop_neutral(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        kept = {}
        for name, item in value.items():
            if name in _NEUTRAL and item is not None and not any(_same(item, n) for n in _NEUTRAL[name]):
                raise ValueError(f"{name} is not supported; leave it out")
            if item is not None and name not in _NEUTRAL and name not in _LABELS:
                kept[name] = item
        return kept

    @model_validator(mode="after")
    def _has_stream_for_options(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream = true")
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop strings as a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        """True where a stream ends with its token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self, default: SamplingSettings, max_new_tokens: int) -> SamplingSettings:
        """How to draw; what is absent is taken from `default`, a seed is drawn."""
        given = {name: value for name in _SAMPLING if (value := getattr(self, name)) is not None}
        bias = tuple((int(token_id), number) for token_id, number in (self.logit_bias or {}).items())
        seed = secrets.randbits(32) if self.seed is None else self.seed
        return replace(default, **given, max_new_tokens=max_new_tokens, seed=seed, logit_bias=bias)


_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
)


class ChatRequest(SamplingFields):
    """Body of POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    """The conversation so far; its last turn is not the assistant's."""
    max_completion_tokens: int | None = Field(default=None, strict=True, ge=1)
    """Longest answer in tokens, its end included; cut to the positions that the conversation leaves."""
    max_tokens: int | None = Field(default=None, strict=True, ge=1)
    """Older name of `max_completion_tokens`."""
    logprobs: bool | None = Field(default=None, strict=True)
    """Give the log-probability of every token of the answer."""
    top_logprobs: int | None = Field(default=None, strict=True, ge=0, le=20)
    """Give those of this many of the likeliest tokens too; needs `logprobs`."""
    policy: str | None = Field(default=None, max_length=80)
    """Policy pack whose system prompt stands first, where the server leaves the choice."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message must not be the assistant's: it is the one that is made here")
        if None not in (self.max_tokens, self.max_completion_tokens):
            raise ValueError("give max_completion_tokens or max_tokens, not both")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs = true")
        return self

    @property
    def num_top(self) -> int | None:
        """How many of the likeliest tokens are wanted beside each; None: no log-probabilities at all."""
        return (self.top_logprobs or 0) if self.logprobs else None


def _prompt_branch(value: object) -> str:
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(value, list):
        return "as-text"
    return "as-lists" if isinstance(first, list) else "as-ids" if isinstance(first, int) else "as-texts"


TokenId = Annotated[int, Field(strict=True, ge=0)]
Ids = Annotated[list[TokenId], Field(min_length=1)]
Prompt = Annotated[
    Annotated[str, Tag("as-text")]
    | Annotated[list[str], Tag("as-texts"), Field(min_length=1)]
    | Annotated[Ids, Tag("as-ids")]
    | Annotated[list[Ids], Tag("as-lists")],
    Discriminator(_prompt_branch),
]


class CompletionRequest(SamplingFields):
    """Body of POST /v1/completions: text that is continued, without turns."""

    prompt: Prompt
    """A text, a list of texts, the ids of one, or lists of ids. Text never becomes a control token; ids may be any."""
    max_tokens: int | None = Field(default=None, strict=True, ge=0)
    """Longest answer in tokens; absent: 16. 0 only with `echo`."""
    echo: bool | None = Field(default=None, strict=True)
    """Put the prompt, and its log-probabilities, in front of the answer."""
    logprobs: int | None = Field(default=None, strict=True, ge=0, le=20)
    """Give the log-probability of every token, and those of this many of the likeliest."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens = 0 asks for nothing; it needs echo = true")
        return self

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts one by one."""
        given: Any = self.prompt
        return given if isinstance(given, list) and not isinstance(given[0], int) else [given]


class TokenizeRequest(Shape):
    """Body of POST /v1/tokenize: one of the two."""

    text: str | dict[Annotated[str, Field(max_length=40)], str] | None = Field(default=None, max_length=1_000_000)
    """A text, or texts by language (any names)."""
    messages: list[ChatMessage] | None = None
    """A conversation, counted with its headers and ends of turns."""
    with_ids: bool = Field(default=False, strict=True)
    """Give ids and pieces too."""

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.text is None) == (self.messages is None):
            raise ValueError("give text or messages")
        return self

    @property
    def by_language(self) -> list[tuple[str | None, str]]:
        """The texts with the names of their languages, where these were given."""
        return list(self.text.items()) if isinstance(self.text, dict) else [(None, self.text or "")]


def _same(given: object, neutral: object) -> bool:
    """Equal, and not a bool that happens to equal a number."""
    return given == neutral and isinstance(given, bool) == isinstance(neutral, bool)


REQUEST_FIELDS = frozenset(
    name
    for shape in (ChatRequest, CompletionRequest, TokenizeRequest, ChatMessage, TextPart, StreamOptions)
    for name in shape.model_fields
)
