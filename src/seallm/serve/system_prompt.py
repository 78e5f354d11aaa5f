"""A client's messages in, the same with the policy's system prompt at their head out.

What a client says as `system` or `developer` is added behind the policy's prompt and cannot replace it, unless the
server allows that. The prompt's language is that of the first user message: it does not change in a conversation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seallm.base.records import Message
from seallm.policies.language_choice import choose_language
from seallm.policies.loading import load_policy


@dataclass(frozen=True)
class ServedPolicy:
    """The policy of a server.

    Attributes:
        prompts: system prompts by language, the preferred language first.
        allow_system: let a client's system prompt take the place of the policy's.
    """

    prompts: Mapping[str, str]
    allow_system: bool = False

    def applied(self, messages: Sequence[Message]) -> list[Message]:
        """The messages to answer: one system turn, then the others in their order."""
        asked = [m.content for m in messages if m.role == "system" and m.content.strip()]
        others = [m for m in messages if m.role != "system"]
        if asked and self.allow_system:
            return list(messages)
        first = next((m.content for m in others if m.role == "user"), "")
        own = self.prompts[choose_language(first, list(self.prompts))]
        return [Message("system", "\n\n".join([own, *asked])), *others]


def served_policy(name: str, *, allow_system: bool) -> ServedPolicy:
    """The policy of a name or path; `policies/` is looked for here.

    Raises:
        RecipeError: there is none, or its file is wrong.
    """
    return ServedPolicy(load_policy(name, Path.cwd()).system_prompts(), allow_system)
