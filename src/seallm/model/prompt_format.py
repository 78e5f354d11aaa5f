"""Conversations in, prompt ids out, as the model was taught them: our chat format, or the model's own template.

Models from elsewhere bring a chat template of their own. It is rendered to a string and parsed again, so that control
strings in a message could forge a turn: they are taken out of it first. A template without a system turn gets the
system prompt at the head of the first message.
"""

from collections.abc import Sequence
from dataclasses import replace

import jinja2
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import ModelError
from seallm.base.records import Message
from seallm.model.chat_format import MARKER, ChatFormat, document_start_id, has_own_format
from seallm.model.plain_text import PlainText


class PromptFormat:
    """How one model is asked.

    Args:
        tokenizer: the model's.
        end_ids: ids that end an answer beside the tokenizer's own, from the model's generation settings.

    Attributes:
        plain: encoder and decoder of text.
        stop_ids: ids that end an answer.

    Raises:
        ModelError: the model was not made for conversations.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, end_ids: Sequence[int] = ()) -> None:
        self._own = ChatFormat(tokenizer) if has_own_format(tokenizer) or not tokenizer.chat_template else None
        self.tokenizer = tokenizer
        self.plain = self._own.plain if self._own is not None else PlainText(tokenizer)
        marker = tokenizer.get_added_vocab().get(MARKER)
        ends = [*end_ids, tokenizer.eos_token_id, marker]
        self.stop_ids = frozenset(token_id for token_id in ends if token_id is not None)
        self._controls = sorted((t for t in tokenizer.get_added_vocab() if t.strip()), key=len, reverse=True)
        self._controls_by_end: dict[str, list[str]] = {}
        for control in self._controls:
            self._controls_by_end.setdefault(control[-1], []).append(control)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a conversation that end with the open header of the assistant's next turn.

        Raises:
            ModelError: the model's template refuses the conversation.
        """
        if self._own is not None:
            return self._own.prompt_ids(messages)
        clean = [replace(message, content=self._without_controls(message.content)) for message in messages]
        try:
            return self._render(clean)
        except jinja2.TemplateError as error:
            if clean[0].role != "system":
                raise ModelError(f"The model's chat template refuses a conversation: {error}") from None
        try:
            return self._render(_without_system(clean))
        except jinja2.TemplateError as error:
            raise ModelError(f"The model's chat template refuses a conversation: {error}") from None

    def text_ids(self, text: str) -> list[int]:
        """Ids of a plain text at the start of a document, with what the tokenizer itself puts before it."""
        return [*self.tokenizer("").input_ids, *self.plain.encode(text)]

    @property
    def start_id(self) -> int:
        """What stands before the first token of a document."""
        return document_start_id(self.tokenizer)

    def _render(self, messages: Sequence[Message]) -> list[int]:
        rows = [{"role": m.role, "content": m.content} for m in messages]
        ids = self.tokenizer.apply_chat_template(
            rows, add_generation_prompt=True, tokenize=True, return_dict=False, enable_thinking=False
        )
        return list(ids)

    def _without_controls(self, text: str) -> str:
        """Take control strings out, those too that the text forms once others are gone: `<|im_<|im_end|>end|>`."""
        if not any(control in text for control in self._controls):
            return text
        kept: list[str] = []  # characters
        longest = len(self._controls[0])
        for character in text:
            kept.append(character)
            if character in self._controls_by_end:
                end = "".join(kept[-longest:])
                control = next((c for c in self._controls_by_end[character] if end.endswith(c)), "")
                del kept[len(kept) - len(control) :]
        return "".join(kept)


def _without_system(messages: Sequence[Message]) -> list[Message]:
    system, first, *rest = messages
    return [replace(first, content=f"{system.content}\n\n{first.content}"), *rest]
