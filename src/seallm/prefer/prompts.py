"""Conversations in, the prompts to answer out: first user turns, balanced over languages, the same for the same seed.

Languages take turns, so a language with few conversations gives all of its prompts and the others share the rest. Each
round goes on where the one before ended, and starts again when all prompts had their turn.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seallm.base.files import fingerprint
from seallm.base.records import Conversation

OTHERS = 500  # answers of a language that wrong ones are drawn from


@dataclass(frozen=True)
class Prompt:
    """A question, and the answer that the conversation has for it."""

    language: str
    question: str
    reference: str


def choose_prompts(
    conversations: Iterable[Conversation],
    languages: Sequence[str],
    max_prompts: int,
    seed: int,
    *,
    round_number: int = 1,
) -> tuple[list[Prompt], Counter[str]]:
    """Take prompts from conversations, balanced over languages.

    Args:
        conversations: where the first user turns and the assistant's first answers come from.
        languages: codes to take; conversations in others are counted and left out.
        max_prompts: number of prompts over all languages.
        seed: decides which prompts of a language are taken.
        round_number: from 1.

    Returns:
        The prompts, languages taking turns; and the number of conversations left out, by reason.
    """
    by_language: dict[str, dict[str, Prompt]] = defaultdict(dict)
    dropped: Counter[str] = Counter()
    for conversation in conversations:
        turns = [m.content for m in conversation.messages if m.role != "system"]
        prompt = Prompt(conversation.language, turns[0].strip(), turns[1].strip())
        if prompt.language not in languages:
            dropped["language not in the recipe"] += 1
        elif prompt.question in by_language[prompt.language]:
            dropped["question asked before"] += 1
        else:
            by_language[prompt.language][prompt.question] = prompt
    shuffled = [
        sorted(by_language[code].values(), key=lambda p: fingerprint([seed, p.language, p.question]))
        for code in languages
    ]
    all_prompts = [prompt for row in itertools.zip_longest(*shuffled) for prompt in row if prompt is not None]
    first = (round_number - 1) * max_prompts % max(1, len(all_prompts))
    return (all_prompts[first:] + all_prompts[:first])[:max_prompts], dropped


def other_answers(prompts: Sequence[Prompt], seed: int) -> list[str | None]:
    """For each prompt an answer to another question of its language: wrong for this one; None where there is no other.

    One of at most OTHERS of a language, so that the work grows with the prompts and not with their square.
    """
    by_language: dict[str, set[str]] = defaultdict(set)
    for prompt in prompts:
        by_language[prompt.language].add(prompt.reference)
    few = {
        code: sorted(texts, key=lambda text: fingerprint([seed, text]))[:OTHERS] for code, texts in by_language.items()
    }
    return [
        min(
            (text for text in few[prompt.language] if text != prompt.reference),
            key=lambda text: fingerprint([seed, prompt.question, text]),
            default=None,
        )
        for prompt in prompts
    ]
