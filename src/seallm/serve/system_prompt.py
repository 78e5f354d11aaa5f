"""A client's messages in, the same with a policy's system prompt at their head out.

What a client says as `system` or `developer` is added behind the policy's prompt and cannot replace it, unless the
server allows that. The prompt's language is that of the first user message: it does not change in a conversation.
Where the server has no policy of its own, a client may choose a pack by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.policies.language_choice import choose_language
from seallm.policies.loading import known_policies, load_policy


@dataclass(frozen=True)
class ServedPolicy:
    """The policy of a conversation.

    Attributes:
        prompts: system prompts by language, the preferred language first.
        allow_system: let a client's system prompt take the place of the policy's.
        name: of the pack.
    """

    prompts: Mapping[str, str]
    allow_system: bool = False
    name: str = ""

    def applied(self, messages: Sequence[Message]) -> list[Message]:
        """The messages to answer: one system turn, then the others in their order."""
        asked = [m.content for m in messages if m.role == "system" and m.content.strip()]
        others = [m for m in messages if m.role != "system"]
        if asked and self.allow_system:
            return list(messages)
        first = next((m.content for m in others if m.role == "user"), "")
        own = self.prompts[choose_language(first, list(self.prompts))]
        return [Message("system", "\n\n".join([own, *asked])), *others]


def served_policy(name: str, *, allow_system: bool = False) -> ServedPolicy:
    """The policy of a name or path; `policies/` is looked for here.

    Raises:
        RecipeError: there is none, or its file is wrong.
    """
    policy = load_policy(name, Path.cwd())
    return ServedPolicy(policy.system_prompts(), allow_system, policy.name)


def chosen_policy(own: ServedPolicy | None, asked: str | None) -> ServedPolicy | None:
    """The policy of a conversation: the server's own, else the pack that the client asks for by name.

    Raises:
        DataError: there is no such pack, or the server's own policy leaves no choice.
        RecipeError: the pack's file is wrong.
    """
    if own is not None and not (asked and own.allow_system):
        if asked not in (None, own.name):
            raise DataError(f"policy: this server answers under {own.name!r} alone; leave it out")
        return own
    if asked is None:
        return None
    if asked not in (names := known_policies(Path.cwd())):  # a name alone: no path may come from a client
        raise DataError(f"policy: there is no such pack; expected one of {', '.join(names)}")
    return _served(asked)


@lru_cache(maxsize=32)
def _served(name: str) -> ServedPolicy:
    return served_policy(name)
