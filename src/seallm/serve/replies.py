"""What a client gets back, in the shapes of OpenAI's API."""

from typing import Literal

from pydantic import BaseModel


class AnswerMessage(BaseModel):
    """The assistant's turn."""

    role: Literal["assistant"] = "assistant"
    content: str


FinishReason = Literal["stop", "length"]


class LikelyToken(BaseModel):
    """A token that could stand here."""

    token: str
    """Its text; bytes that are no whole character are written as bytes:\\xe0."""
    logprob: float
    bytes: list[int]


class ChatToken(LikelyToken):
    """A token of an answer."""

    top_logprobs: list[LikelyToken]


class ChatLogprobs(BaseModel):
    """Tokens of an answer with their log-probabilities."""

    content: list[ChatToken]
    refusal: None = None


class Choice(BaseModel):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None = None
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
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None = None


class Chunk(BaseModel):
    """One event of a stream; the last one, if asked for, has no choice but the usage."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class TextLogprobs(BaseModel):
    """Tokens of a text with their log-probabilities; the first token of a prompt has none."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class TextChoice(BaseModel):
    """One text, or in a stream more of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None = None
    finish_reason: FinishReason | None = None


class TextCompletion(BaseModel):
    """Answer of POST /v1/completions, and one event of its stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None


class TokenCount(BaseModel):
    """What a text costs."""

    language: str | None
    """As it was named in the request."""
    characters: int
    bytes: int
    tokens: int
    base_tokens: int | None
    """In the tokenizer of the base model, where that is known."""
    tokens_per_base_token: float | None
    """Below 1, this model is cheaper than its base."""
    ids: list[int] | None = None
    pieces: list[str] | None = None


class TokenCounts(BaseModel):
    """Answer of POST /v1/tokenize."""

    model: str
    base: str | None
    counts: list[TokenCount]


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
