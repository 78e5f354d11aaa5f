"""Tokens as the API writes them: their text where they are text, their bytes where they are half a character."""

from collections.abc import Sequence

from seallm.model.plain_text import PlainText
from seallm.model.text_stream import TextStream
from seallm.serve.replies import ChatLogprobs, ChatToken, LikelyToken, TextLogprobs
from seallm.serve.requests import ScoredToken


def token_bytes(plain: PlainText, token_id: int) -> bytes:
    """UTF-8 bytes of a token; of a control token, those of its name."""
    if token_id in plain.control_ids:
        return str(plain.tokenizer.convert_ids_to_tokens(token_id)).encode()
    return plain.token_bytes(token_id, is_first=False)


def token_text(plain: PlainText, token_id: int) -> str:
    """A token's text; `bytes:\\xe0\\xb8` where it is not whole characters, so that different tokens look different."""
    found = token_bytes(plain, token_id)
    try:
        return found.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in found)


def chat_logprobs(plain: PlainText, tokens: Sequence[ScoredToken]) -> ChatLogprobs:
    """Tokens of a chat answer, as chat completions tell them."""

    def likely(token_id: int, log_probability: float) -> LikelyToken:
        return LikelyToken(
            token=token_text(plain, token_id), logprob=log_probability, bytes=list(token_bytes(plain, token_id))
        )

    return ChatLogprobs(
        content=[
            ChatToken(
                **likely(token.token_id, token.score.log_probability).model_dump(),
                top_logprobs=[likely(*pair) for pair in token.score.top],
            )
            for token in tokens
        ]
    )


class TextTokens:
    """Tokens of one text, as text completions tell them: with the place of each in the text."""

    def __init__(self, plain: PlainText) -> None:
        self._plain, self._text = plain, TextStream(plain)

    def logprobs(self, tokens: Sequence[ScoredToken], first_id: int | None = None) -> TextLogprobs:
        """The next tokens.

        Args:
            tokens: with their scores.
            first_id: a token before them that has no score: the first of a prompt.
        """
        told = TextLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        if first_id is not None:
            self._add(told, first_id)
        for token in tokens:
            self._add(told, token.token_id)
            told.token_logprobs[-1] = token.score.log_probability
            likely = (*token.score.top, (token.token_id, token.score.log_probability))
            told.top_logprobs[-1] = {token_text(self._plain, token_id): value for token_id, value in likely}
        return told

    def _add(self, told: TextLogprobs, token_id: int) -> None:
        told.text_offset.append(self._text.num_characters)
        self._text.feed(token_id)
        told.tokens.append(token_text(self._plain, token_id))
        told.token_logprobs.append(None)
        told.top_logprobs.append(None)
