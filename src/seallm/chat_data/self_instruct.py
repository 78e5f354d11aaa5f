"""A few native conversations in, many more like them out: the teacher writes instructions, and then answers to them.

Self-instruct (Wang et al. 2023) in the native language: each question to the teacher shows some seeds and some of what
was already made, and asks for a few new instructions. An instruction is kept if it is in the language, of usual length,
and less than `most_similar` alike (ROUGE-L) to everything before it. Rounds go on until there are enough, or hardly
anything new comes. What a round asks depends on the seed and on what was kept before, and on nothing else, so that a
run that was killed asks the same again and gets it from disk.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from seallm.base.records import Conversation, Message
from seallm.chat_data.answer_checks import CUT, WRONG_LANGUAGE, bare, foreign_languages, unfinished, unusable_text
from seallm.chat_data.made import Dropped, Made, Outcome
from seallm.chat_data.novelty import NoveltyPool
from seallm.chat_data.teaching import STAND_IN, Teacher
from seallm.endpoints.metering import estimated_tokens
from seallm.languages import load_language
from seallm.model.chat_models import Question

EXAMPLES, OWN_EXAMPLES = 6, 2  # shown in one question; so many of them made here
ASKED_AT_ONCE = 5  # instructions in one question
WRITING_TEMPERATURE = 1.0
LEAST_YIELD = 0.05  # of a round's instructions; below, the teacher only repeats itself
MOST_ROUNDS = 50
SHORTEST, LONGEST = 6, 2_000  # characters of an instruction
SEPARATOR = "==="
_SPLIT = re.compile(r"^\s*={3,}\s*$", re.MULTILINE)
_NUMBERING = re.compile(r"^\s*(?:\d+\s*[.):]|[-*•])\s+")


@dataclass(frozen=True)
class SelfInstructSettings:
    """How much is made, and how new it must be.

    Attributes:
        count: conversations wanted of each language.
        most_similar: greatest ROUGE-L to anything before.
        seed: of the examples that are shown.
        licence: of what is made.
    """

    count: int
    most_similar: float = 0.7
    seed: int = 0
    licence: str = ""


@dataclass
class _Writing:
    """One language at work."""

    language: str
    seeds: list[Conversation]
    pool: NoveltyPool
    kept: list[tuple[str, str]] = field(default_factory=list)  # instruction, category
    answered: int = 0
    asked: int = 0
    is_done: bool = False


def self_instruct(
    seeds: Sequence[Conversation], others: Sequence[str], teacher: Teacher, settings: SelfInstructSettings
) -> Outcome:
    """Make conversations of each language that the seeds have.

    Args:
        seeds: native conversations with categories.
        others: first turns that nothing new may resemble, beside those of the seeds: sets that are there already.
        teacher: writes and answers.
        settings: how much.

    Raises:
        EndpointError: the teacher cannot be asked; what was answered is kept on disk.
    """
    outcome = Outcome()
    writings = []
    for language in sorted({seed.language for seed in seeds}):
        own = [seed for seed in seeds if seed.language == language]
        writings.append(_Writing(language, own, NoveltyPool([*map(first_turn, own), *others])))
    for number in range(MOST_ROUNDS):
        going = [writing for writing in writings if not writing.is_done]
        if not going:
            break
        _round(going, number, teacher, settings, outcome)
        if teacher.is_rehearsal:
            break
    return outcome


def first_turn(conversation: Conversation) -> str:
    """What the user asked first."""
    return next(m.content for m in conversation.messages if m.role == "user")


def _round(
    writings: Sequence[_Writing], number: int, teacher: Teacher, settings: SelfInstructSettings, outcome: Outcome
) -> None:
    """Ask all languages for what they lack; sift; answer what is new."""
    asked: list[tuple[_Writing, str, Question]] = []
    for writing in writings:
        rng = random.Random(f"{settings.seed} {writing.language} {number}")
        lacking = settings.count - writing.answered
        for _ in range(-(-lacking // ASKED_AT_ONCE)):
            category, question = _question(writing, rng)
            asked.append((writing, category, question))
            writing.asked += 1
    expected = [_stand_in(writing, settings.count - writing.answered) for writing, _, _ in asked]
    answers = teacher.ask("write instructions", [question for _, _, question in asked], expected, WRITING_TEMPERATURE)
    new: list[tuple[_Writing, str, str]] = []
    came = dict.fromkeys((writing.language for writing in writings), 0)
    for (writing, category, _), answer in zip(asked, answers, strict=True):
        reason = unfinished(answer)
        if reason is not None and reason != CUT:
            outcome.dropped.append(Dropped(reason, answer.problem, writing.language, {"instruction": ""}))
            continue
        found = list(instructions(answer.text, is_cut=reason is not None))
        came[writing.language] += len(found)
        new += [(writing, category, text) for text in found]
    fresh = new if teacher.is_rehearsal else _sift(new, settings, outcome)
    _answer(fresh, teacher, settings, outcome)
    for writing in writings:
        gained = sum(w is writing for w, _, _ in fresh)
        enough = writing.answered >= settings.count
        writing.is_done = enough or gained < max(1, LEAST_YIELD * came[writing.language])


def _question(writing: _Writing, rng: random.Random) -> tuple[str, Question]:
    """Category and words of one question: examples of one category, so that all categories grow alike."""
    category = rng.choice(sorted({seed.category for seed in writing.seeds}))
    same = [first_turn(seed) for seed in writing.seeds if seed.category == category]
    own = [text for text, its in writing.kept if its == category]
    shown = rng.sample(own, min(OWN_EXAMPLES, len(own)))
    shown += rng.sample(same, min(EXAMPLES - len(shown), len(same)))
    rng.shuffle(shown)
    language = load_language(writing.language)
    lines = [
        f"Below are things that people asked an assistant in {language.name} ({language.native_name}). Write "
        f"{ASKED_AT_ONCE} new ones in {language.name}, as different from these and from each other as you can: other "
        "subjects, other wording, other lengths, from the daily life of people who speak the language.",
        "Each must stand by itself and hold all that is needed to answer it. Do not answer them. Put a line "
        f"{SEPARATOR} between them, and write nothing else.",
        "",
        f"\n{SEPARATOR}\n".join(shown),
        SEPARATOR,
    ]
    return category, Question((Message("user", "\n".join(lines)),), writing.language, writing.asked)


def instructions(text: str, *, is_cut: bool) -> Iterator[str]:
    """The instructions in a teacher's answer; the last one is left out where the answer was cut off."""
    parts = [_NUMBERING.sub("", bare(part)).strip() for part in _SPLIT.split(text)]
    yield from (part for part in (parts[:-1] if is_cut else parts) if part)


def _sift(
    new: Sequence[tuple[_Writing, str, str]], settings: SelfInstructSettings, outcome: Outcome
) -> list[tuple[_Writing, str, str]]:
    """What is usable and new, in order, no more than is wanted; the pools grow by it."""
    strange = foreign_languages([text for _, _, text in new], [writing.language for writing, _, _ in new])
    fresh: list[tuple[_Writing, str, str]] = []
    taken: dict[str, int] = {}
    for (writing, category, text), other in zip(new, strange, strict=True):
        room = settings.count - writing.answered - taken.get(writing.language, 0)
        reason, detail = _reason(writing, text, other, room, settings)
        if reason:
            outcome.dropped.append(Dropped(reason, detail, writing.language, {"instruction": text}))
            continue
        writing.pool.add(text)
        writing.kept.append((text, category))
        taken[writing.language] = taken.get(writing.language, 0) + 1
        fresh.append((writing, category, text))
    return fresh


def _reason(writing: _Writing, text: str, other: str, room: int, settings: SelfInstructSettings) -> tuple[str, str]:
    unusable = unusable_text(text)
    if unusable:
        return unusable, ""
    if not SHORTEST <= len(text) <= LONGEST:
        return "length", f"{len(text)} characters"
    if other:
        return WRONG_LANGUAGE, f"it is in {other}"
    closest = writing.pool.closest(text)
    if closest.similarity >= settings.most_similar:
        return "not_new", f"ROUGE-L {closest.similarity:.2f} to another"
    return ("enough", "") if room < 1 else ("", "")


def _answer(
    fresh: Sequence[tuple[_Writing, str, str]], teacher: Teacher, settings: SelfInstructSettings, outcome: Outcome
) -> None:
    questions, expected = [], []
    for writing, _, text in fresh:
        system = load_language(writing.language).system_prompt
        questions.append(Question((Message("system", system), Message("user", text)), writing.language))
        expected.append(_mean_answer(writing.seeds))
    answers = teacher.ask("answer them", questions, expected)
    texts = [answer.text for answer in answers]
    strange = foreign_languages(texts, [writing.language for writing, _, _ in fresh])
    for (writing, category, text), answer, other in zip(fresh, answers, strange, strict=True):
        reason = unfinished(answer) or unusable_text(answer.text) or (WRONG_LANGUAGE if other else None)
        messages = (Message("user", text), Message("assistant", answer.text))
        if reason:
            detail = answer.problem or (f"it is in {other}" if other else "")
            content = {"instruction": text, "answer": answer.text}
            outcome.dropped.append(Dropped(reason, detail, writing.language, content))
            continue
        source = f"self-instruct by {teacher.name}"
        made = Conversation(messages, writing.language, category, source, settings.licence)
        outcome.made.append(Made(made, {"made_by": "self-instruct", "teacher": teacher.name}))
        writing.answered += 1


def _stand_in(writing: _Writing, lacking: int) -> str:
    """As many instructions as are asked for, of the seeds' mean length."""
    tokens = sum(estimated_tokens(first_turn(seed)) for seed in writing.seeds) // len(writing.seeds)
    return f"\n{SEPARATOR}\n".join([STAND_IN * max(SHORTEST, tokens)] * min(ASKED_AT_ONCE, lacking))


def _mean_answer(seeds: Sequence[Conversation]) -> str:
    tokens = sum(estimated_tokens(seed.messages[-1].content) for seed in seeds) // len(seeds)
    return STAND_IN * max(1, tokens)
