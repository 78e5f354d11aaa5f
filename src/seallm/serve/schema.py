"""The shapes of the API: what a client sends, checked strictly, and what it gets back.

Field names and meanings are those of OpenAI's chat completions. A field that is known there but means nothing here is
accepted at its neutral value and refused otherwise, so that nobody believes a setting that has no effect.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from seallm.base.records import Message, Role

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
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


class ChatRequest(Shape):
    """Body of POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    """The conversation so far; its last turn is not the assistant's."""
    model: str | None = None
    """Name of the served model, from /v1/models; absent: that model."""
    temperature: float | None = Field(default=None, strict=True, ge=0, le=2, allow_inf_nan=False)
    """0 always takes the likeliest token; absent: the server's default."""
    top_p: float | None = Field(default=None, strict=True, gt=0, le=1, allow_inf_nan=False)
    """Sample among the likeliest tokens that together have this probability; absent: the server's default."""
    max_completion_tokens: int | None = Field(default=None, strict=True, ge=1)
    """Longest answer in tokens, its end included; cut to the positions that the conversation leaves."""
    max_tokens: int | None = Field(default=None, strict=True, ge=1)
    """Older name of `max_completion_tokens`."""
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
    def _fits_together(self) -> "ChatRequest":
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message must not be the assistant's: it is the one that is made here")
        if None not in (self.max_tokens, self.max_completion_tokens):
            raise ValueError("give max_completion_tokens or max_tokens, not both")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream = true")
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop strings as a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


def _same(given: object, neutral: object) -> bool:
    """Equal, and not a bool that happens to equal a number."""
    return given == neutral and isinstance(given, bool) == isinstance(neutral, bool)


class AnswerMessage(BaseModel):
    """The assistant's turn."""

    role: Literal["assistant"] = "assistant"
    content: str


FinishReason = Literal["stop", "length"]


class Choice(BaseModel):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: None = None
    finish_reason: FinishReason


class Usage(BaseModel):
    """Tokens read and made; ends of turns of answers are not counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """Answer of POST /v1/chat/completions without `stream`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class ChunkChoice(BaseModel):
    """More of one answer: a role at its start, text, or an empty delta with the reason of its end."""

    index: int
    delta: dict[str, str]
    logprobs: None = None
    finish_reason: FinishReason | None = None


class Chunk(BaseModel):
    """One event of a stream; the last one, if asked for, has no choice but the usage."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class ModelCard(BaseModel):
    """A served model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "seallm"
    max_model_len: int
    """Positions of the model: prompt and answer share them (named as in vLLM)."""


class ModelList(BaseModel):
    """Answer of GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """Answer of GET /health."""

    status: Literal["ok"] = "ok"
    version: str
    model: str
    pending: int
    """Requests that wait or are being answered."""


REQUEST_FIELDS = frozenset(
    name for shape in (ChatRequest, ChatMessage, TextPart, StreamOptions) for name in shape.model_fields
)
