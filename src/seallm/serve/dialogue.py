"""A conversation in the terminal: what was said, what is sent of it, and the file it is kept in.

The file is that of the page's download: `messages` as seallm reads conversations everywhere, and what made them.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from seallm.base.errors import DataError
from seallm.base.files import read_json, write_json
from seallm.base.records import Message, parse_messages
from seallm.languages import load_language
from seallm.serve.system_prompt import ServedPolicy

if TYPE_CHECKING:
    from seallm.base.sampling import SamplingSettings
    from seallm.serve.engine import Engine
    from seallm.serve.requests import AnswerRequest


@dataclass
class Dialogue:
    """The conversation so far.

    Attributes:
        system: the user's own system prompt.
        turns: user and assistant in turn, without any system prompt.
        policy: whose system prompt stands before the user's.
        language: code of the language that the system prompt is in; None: of the first message.
        unanswered: the last message, where no answer to it came.
    """

    engine: "Engine"
    system: str
    turns: list[Message] = field(default_factory=list)
    policy: ServedPolicy | None = None
    language: str | None = None
    unanswered: str | None = field(default=None, init=False)

    def messages(self) -> list[Message]:
        """What is sent: one system turn at most, then the turns."""
        own = [Message("system", self.system)] if self.system else []
        if self.policy is None and self.language is None:
            return [*own, *self.turns]
        prompts = {} if self.policy is None else self.policy.prompts
        if self.language is not None:
            default = load_language(self.language).system_prompt
            prompts = {self.language: prompts.get(self.language, default)}
        return ServedPolicy(prompts).applied([*own, *self.turns])

    def request(self, sampling: "SamplingSettings") -> tuple["AnswerRequest", int]:
        """Ask for the next answer; the oldest exchanges are left out until the longest answer fits, or a quarter of
        the model's positions is free for it.

        Returns:
            The request, and how many exchanges were forgotten for it.

        Raises:
            PromptTooLong: not even the last message fits; nothing was forgotten for it.
        """
        from seallm.serve.requests import PromptTooLong

        forgotten, whole = 0, list(self.turns)
        wanted = min(sampling.max_new_tokens, self.engine.max_sequence_tokens // 4)
        while True:
            is_last = len(self.turns) == 1
            try:
                request = self.engine.request(self.messages(), sampling)
                if is_last or request.sampling.max_new_tokens >= wanted:
                    return request, forgotten
            except PromptTooLong:
                if is_last:
                    self.turns = whole
                    raise
            del self.turns[:2]
            forgotten += 1

    def ask(self, text: str) -> None:
        """Say a message."""
        self.turns.append(Message("user", text))
        self.unanswered = None

    def leave_unanswered(self) -> None:
        """Take the last message out: no answer came, and an empty turn cannot be sent."""
        self.unanswered = self.turns.pop().content

    def forget(self) -> None:
        """Begin anew; system prompt, policy and language stay."""
        self.turns.clear()
        self.unanswered = None

    def take_back(self) -> str | None:
        """Forget the last message and its answer, if one came; returns the message, None where nothing was asked."""
        if self.unanswered is not None:
            return self.unanswered
        while self.turns:
            turn = self.turns.pop()
            if turn.role == "user":
                return turn.content
        return None

    def save(self, file: Path) -> None:
        """Write the conversation."""
        own = [Message("system", self.system)] if self.system else []
        record = {
            "messages": [{"role": m.role, "content": m.content} for m in [*own, *self.turns]],
            "language": self.language or "",
            "model": self.engine.name,
            "policy": self.policy.name if self.policy else None,
            "saved": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(file, record)

    def load(self, file: Path) -> str | None:
        """Take up a conversation in place of this one; policy and language stay as they are.

        Returns:
            The name of the policy that it was held under.

        Raises:
            DataError: the file holds no conversation.
        """
        try:
            found = read_json(file)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read ({type(error).__name__})") from None
        if not isinstance(found, dict):
            raise DataError(f"{file}: expected an object with `messages`, found {type(found).__name__}")
        messages = parse_messages(found.get("messages"), str(file))
        turns = [message for message in messages if message.role != "system"]
        expected = ["user" if number % 2 == 0 else "assistant" for number in range(len(turns))]
        if not turns or [turn.role for turn in turns] != expected or len(turns) % 2:
            raise DataError(f"{file}: expected user and assistant in turn, the last one the assistant's")
        self.system = "\n\n".join(message.content for message in messages if message.role == "system")
        self.turns, self.unanswered = turns, None
        policy = found.get("policy")
        return policy if isinstance(policy, str) else None
