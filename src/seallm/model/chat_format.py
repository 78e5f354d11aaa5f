"""The one chat format: messages to ids and loss mask, and ids back to text.

    <s><|im_start|>system\\nYou are ...</s><|im_start|>user\\nHello</s><|im_start|>assistant\\nHi!</s>

A turn is the marker `<|im_start|>` (one control id), the role, a newline, the content without white space at its ends,
and the base model's own end-of-sequence token (SeaLLMs v2; there the marker was plain text). A conversation starts with
the base's beginning-of-sequence token where it has one of its own. The loss covers exactly the content and the end of
every assistant turn.

Each content is encoded by itself, as plain text: content cannot forge a turn, tokens never straddle header and
content, and `prompt_ids` is a prefix of the training ids by construction. On content without control strings the ids
are those of `tokenizer.apply_chat_template`, so that other programs prompt the model just as it was trained.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from transformers import AddedToken, PreTrainedTokenizerFast

from seallm.base.errors import ModelError
from seallm.base.records import Message, Role
from seallm.model.plain_text import PlainText

MARKER = "<|im_start|>"
_TURNS = (
    "{% for message in messages %}"
    "{{ '" + MARKER + "' + message['role'] + '\n' + message['content'] | trim + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + MARKER + "assistant\n' }}{% endif %}"
)
_TRIAL = (
    Message("system", "Be kind."),
    Message("user", "What is 2 + 3?\nTell me."),
    Message("assistant", "It is 5."),
    Message("user", "Thanks"),
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Ids of a conversation, and for each id whether the loss covers it (as a target)."""

    ids: list[int]
    supervised: list[bool]


def add_chat_tokens(tokenizer: PreTrainedTokenizerFast) -> int:
    """Give a tokenizer the marker, where it has none, and the chat template; changes it in place.

    Returns:
        Number of tokens added: 0 or 1. The model needs a row for it (`embeddings.extend_model`).

    Raises:
        ModelError: there is no end-of-sequence token, or the tokenizer does not keep turns apart.
    """
    _end_id(tokenizer)
    is_known = MARKER in tokenizer.get_added_vocab()
    added = 0 if is_known else tokenizer.add_tokens([AddedToken(MARKER, special=True, normalized=False)], True)
    tokenizer.chat_template = _template(tokenizer)
    rows = [{"role": m.role, "content": m.content} for m in _TRIAL]
    theirs = tokenizer.apply_chat_template(rows, tokenize=True, return_dict=False)
    if theirs != ChatFormat(tokenizer).encode(_TRIAL).ids:
        raise ModelError(
            f"The tokenizer merges or moves text across {MARKER!r}, {tokenizer.eos_token!r} or the newline after the "
            "role: its chat template would not give the ids that the model is trained on. Make both tokens special and "
            "not normalized in tokenizer.json"
        )
    return int(added)


def has_own_format(tokenizer: PreTrainedTokenizerFast) -> bool:
    """True where a tokenizer's chat template is the one of this module: the model was trained by it."""
    template = tokenizer.chat_template
    return isinstance(template, str) and template.strip() == _template(tokenizer)


def _template(tokenizer: PreTrainedTokenizerFast) -> str:
    return ("{{ bos_token }}" if _beginning_ids(tokenizer) else "") + _TURNS


def document_start_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The id that stands before the first token of a document: beginning-of-sequence, or end-of-sequence without one.

    Raises:
        ModelError: the tokenizer has neither.
    """
    return (_beginning_ids(tokenizer) or [_end_id(tokenizer)])[0]


class ChatFormat:
    """Encoder and decoder of conversations.

    Attributes:
        tokenizer: the Hugging Face tokenizer.
        plain: encoder and decoder of text without control tokens.
        marker_id: id that opens a turn.
        end_id: id that ends a turn; generation stops at it.

    Raises:
        ModelError: the tokenizer lacks the marker or an end-of-sequence token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.plain = PlainText(tokenizer)
        self.end_id = _end_id(tokenizer)
        added = tokenizer.get_added_vocab()
        if MARKER not in added:
            raise ModelError(
                f"The tokenizer has no control token {MARKER!r}: the model was not made for conversations. Run the "
                "hybrid or sft stage on it first"
            )
        self.marker_id: int = added[MARKER]
        self._beginning = _beginning_ids(tokenizer)
        # the whole tokenizer knows best what stands after a control token: some put a space before `user` there
        backend = tokenizer.backend_tokenizer
        self._headers: dict[str, list[int]] = {
            role: backend.encode(f"{MARKER}{role}\n", add_special_tokens=False).ids for role in get_args(Role)
        }

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """Ids and loss mask of a conversation.

        Raises:
            DataError: a content is not Unicode.
        """
        return self.encode_many([messages])[0]

    def encode_many(self, conversations: Sequence[Sequence[Message]]) -> list[Encoded]:
        """`encode` for many conversations at once, on all cores."""
        contents = iter(self.plain.encode_inner([m.content.strip() for c in conversations for m in c]))
        return [self._join([(m.role, next(contents)) for m in messages]) for messages in conversations]

    def _join(self, turns: Iterable[tuple[str, list[int]]]) -> Encoded:
        ids = list(self._beginning)
        supervised = [False] * len(ids)
        for role, content in turns:
            header = self._headers[role]
            ids += header
            ids += content
            ids.append(self.end_id)
            supervised += [False] * len(header)
            supervised += [role == "assistant"] * (len(content) + 1)
        return Encoded(ids, supervised)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a conversation that end with the open header of the assistant's next turn."""
        return self.encode(messages).ids + self._headers["assistant"]

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an assistant's content and its end of turn: what follows `prompt_ids`."""
        return [*self.plain.encode_inner([text.strip()])[0], self.end_id]

    def encode_text(self, text: str) -> list[int]:
        """Ids of a plain text, never a control id."""
        return self.plain.encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, control tokens left out."""
        return self.plain.decode(ids)


def _end_id(tokenizer: PreTrainedTokenizerFast) -> int:
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "The tokenizer has no end-of-sequence token, which ends documents and turns. Set `eos_token` in its "
            "tokenizer_config.json"
        )
    return int(tokenizer.eos_token_id)


def _beginning_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The beginning-of-sequence id, where it is a token of its own: some bases reuse the end or the marker for it."""
    is_own = tokenizer.bos_token is not None and tokenizer.bos_token not in (tokenizer.eos_token, MARKER)
    return [int(tokenizer.bos_token_id)] if is_own else []
