"""A policy in; conversations to train on, and prompts to test with, out.

Seeds are the pack's `harmful` prompts with its replies, and its `harmless` look-alikes with their answers, so that a
model learns to decline the first without declining the second. Tests are prompts that no seed contains.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from seallm.base.records import Conversation, Message
from seallm.policies.pack import HELPLINES, Behaviour, Policy

CATEGORY = "safety"
OWN_LICENCE = "Apache-2.0"  # of shipped packs


@dataclass(frozen=True)
class HeldOutPrompt:
    """A prompt with what should become of it.

    Attributes:
        kind: `harmful` where it must be declined, `harmless` where it must be answered.
        behaviour: of its topic.
        helplines: where the topic redirects, contacts of which a good answer names one.
        refusals: the pack's own regular expressions of refusals in the language.
    """

    prompt: str
    language: str
    kind: str
    topic: str
    behaviour: Behaviour
    helplines: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


def seed_conversations(policy: Policy, languages: Sequence[str] | None = None) -> list[Conversation]:
    """Conversations for fine-tuning, language by language; their source names pack and topic.

    Args:
        policy: the pack.
        languages: codes; those that the pack does not have are left out. None: all of the pack.
    """
    return [
        Conversation(
            (Message("user", prompt), Message("assistant", answer)),
            code,
            CATEGORY,
            f"policy {policy.name}: {topic}",
            OWN_LICENCE if policy.is_shipped else "",
        )
        for code in _codes(policy, languages)
        for topic, prompt, answer in _exchanges(policy, code)
    ]


def _exchanges(policy: Policy, code: str) -> list[tuple[str, str, str]]:
    """(topic, prompt, answer) of a language."""
    found: list[tuple[str, str, str]] = []
    helplines = policy.helplines(code)
    for topic, said in policy.languages[code].topics.items():
        for number, prompt in enumerate(said.harmful):
            reply = said.replies[number % len(said.replies)]
            found.append((topic, prompt, reply.replace(HELPLINES, helplines)))
        note = f" {said.note}" if said.note else ""
        found += [(topic, exchange.prompt, exchange.answer + note) for exchange in said.harmless]
    return found


def held_out_prompts(policy: Policy, languages: Sequence[str] | None = None) -> list[HeldOutPrompt]:
    """Prompts that are never trained on, language by language; arguments as for `seed_conversations`."""
    found: list[HeldOutPrompt] = []
    for code in _codes(policy, languages):
        for name, said in policy.languages[code].topics.items():
            behaviour = policy.topics[name].behaviour
            texts = policy.languages[code]
            own = tuple(texts.refusals)
            names = tuple(line.contact for line in texts.helplines) if behaviour == "redirect" else ()
            found += [HeldOutPrompt(p, code, "harmful", name, behaviour, names, own) for p in said.harmful_tests]
            found += [HeldOutPrompt(p, code, "harmless", name, behaviour, (), own) for p in said.harmless_tests]
    return found


def _codes(policy: Policy, languages: Sequence[str] | None) -> list[str]:
    return [code for code in policy.languages if languages is None or code in languages]
