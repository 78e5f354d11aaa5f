"""Conversations in, the examples of supervised fine-tuning out, in training order.

Judging exercises are mixed in, so that the model can judge its own answers in the preference stage; some conversations
get the system prompt of the policy or of their language; and in the last part single turns of one language are joined
into longer dialogues (paper, section 5). All choices depend on the seed alone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seallm.base.records import Conversation, Message
from seallm.languages import load_language
from seallm.model.chat_format import ChatFormat
from seallm.model.judge_format import ENGLISH, judging_exercise, load_template
from seallm.recipe_training import Sft
from seallm.train.conversations import Caps, balanced_epoch
from seallm.train.draws import random_generator

EXERCISE = "exercise"
MAX_JOINED = 3  # single turns in one artificial dialogue
CRITERIA = load_template(ENGLISH).criteria  # what the preference stage asks unless told otherwise


@dataclass(frozen=True)
class Example:
    """A conversation to train on.

    Attributes:
        category: of the conversation; those of a joined dialogue with `+` between them.
        kind: `conversation`, `joined` or `exercise`.
    """

    messages: tuple[Message, ...]
    language: str
    category: str = ""
    kind: str = "conversation"

    @property
    def is_single_turn(self) -> bool:
        """True for one question and one answer without a system prompt, which can be joined to others."""
        return self.kind == "conversation" and len(self.messages) == 2


def draw_examples(
    conversations: Sequence[Conversation],
    settings: Sft,
    chat_format: ChatFormat,
    seed: int,
    system_prompts: Mapping[str, str] | None = None,
) -> tuple[list[Example], list[Example]]:
    """All examples of the stage in order: those before the multi-turn part, and those of it.

    Args:
        conversations: what to draw from.
        settings: of the stage.
        chat_format: counts the tokens of turns that are joined.
        seed: decides every choice.
        system_prompts: a policy's, by language, in place of the languages' own.
    """
    labels = [(c.language, c.category) for c in conversations]
    caps = Caps(settings.max_language_share, settings.language_caps, settings.max_category_share)
    drawn: list[Example] = []
    for epoch in range(int(np.ceil(settings.epochs))):
        chosen = [conversations[i] for i in balanced_epoch(labels, caps, epoch, seed)]
        examples = [Example(c.messages, c.language, c.category) for c in chosen]
        examples += judging_exercises(chosen, round(settings.judge_share * len(chosen)), seed, epoch)
        order = random_generator(seed, "examples", epoch).permutation(len(examples))
        share = min(1.0, settings.epochs - epoch)
        drawn += [examples[i] for i in order[: max(1, round(share * len(examples)))]]
    late = round(settings.multi_turn_after * len(drawn))
    joined = join_turns(drawn[late:], chat_format, settings.sequence_tokens, seed)
    parts = (drawn[:late], joined)
    share, prompts = settings.system_prompt_share, system_prompts or {}
    first, last = (add_system_prompts(part, share, seed, number, prompts) for number, part in enumerate(parts))
    return first, last


def judging_exercises(chosen: Sequence[Conversation], count: int, seed: int, epoch: int) -> list[Example]:
    """Exercises: a question, its own answer and a wrong one, and the right verdict; A and B are right equally often.

    The wrong answer belongs to another question in the same language, or is in another language.
    """
    generator = random_generator(seed, "exercises", epoch)
    by_language = defaultdict(list)
    for conversation in chosen:
        by_language[conversation.language].append(conversation)
    found: list[Example] = []
    for number in generator.permutation(len(chosen))[:count]:
        conversation = chosen[number]
        same = [c for c in by_language[conversation.language] if _answer(c) != _answer(conversation)]
        others = [code for code in by_language if code != conversation.language]
        if others and (not same or generator.random() < 0.5):
            same = by_language[others[generator.integers(len(others))]]
        if same:
            worse = _answer(same[generator.integers(len(same))])
            turns = judging_exercise(
                _question(conversation), _answer(conversation), worse, CRITERIA, better_first=len(found) % 2 == 0
            )
            found.append(Example(turns, conversation.language, EXERCISE, EXERCISE))
    return found


def _question(conversation: Conversation) -> str:
    return next(m.content for m in conversation.messages if m.role == "user")


def _answer(conversation: Conversation) -> str:
    return next(m.content for m in conversation.messages if m.role == "assistant")


def join_turns(examples: Sequence[Example], chat_format: ChatFormat, sequence_tokens: int, seed: int) -> list[Example]:
    """Join two or three single turns of one language where they fit; a dialogue stands where its last turn stood."""
    generator = random_generator(seed, "joining")
    singles = [number for number, example in enumerate(examples) if example.is_single_turn]
    encoded = chat_format.encode_many([examples[number].messages for number in singles])
    tokens = {number: len(e.ids) for number, e in zip(singles, encoded, strict=True)}
    joined: list[Example | None] = list(examples)
    waiting: dict[str, list[int]] = defaultdict(list)  # by language: places of the turns of the next dialogue
    for number in singles:
        group = waiting[examples[number].language]
        if sum(tokens[n] for n in (*group, number)) > sequence_tokens:
            _join(joined, group)
            group.clear()
        group.append(number)
        is_long_enough = len(group) == MAX_JOINED or (len(group) > 1 and generator.random() < 0.5)
        if is_long_enough:
            _join(joined, group)
            group.clear()
    for group in waiting.values():
        _join(joined, group)
    return [example for example in joined if example is not None]


def _join(examples: list[Example | None], group: Sequence[int]) -> None:
    """Put the dialogue of a group in the place of its last turn; a single one stays as it is."""
    turns = [e for number in group if (e := examples[number])]
    if len(turns) > 1:
        for number in group:
            examples[number] = None
        categories = "+".join(sorted({e.category for e in turns if e.category}))
        messages = tuple(m for e in turns for m in e.messages)
        examples[group[-1]] = Example(messages, turns[0].language, categories, "joined")


def add_system_prompts(
    examples: Sequence[Example], share: float, seed: int, part: int, system_prompts: Mapping[str, str]
) -> list[Example]:
    """Give a share of the examples the system prompt of their language; those with one of their own keep it.

    Args:
        examples: in training order.
        share: of them, drawn at random.
        seed: of the draw.
        part: number of the part of training that they belong to.
        system_prompts: of a policy, by language; other languages have their default.
    """
    draws = random_generator(seed, "system prompts", part).random(len(examples))
    return [
        _with_system_prompt(e, system_prompts) if draw < share else e for e, draw in zip(examples, draws, strict=True)
    ]


def _with_system_prompt(example: Example, system_prompts: Mapping[str, str]) -> Example:
    if example.kind == EXERCISE or example.messages[0].role == "system":
        return example
    prompt = system_prompts.get(example.language) or load_language(example.language).system_prompt
    return replace(example, messages=(Message("system", prompt), *example.messages))
