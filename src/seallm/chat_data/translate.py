"""English conversations in, the same in other languages out: translated, checked, translated back, compared.

Selective: what loses its sense in another language is left alone (code, and tasks about English words). Each turn is
translated by itself, an answer with its question in sight. A translation is kept if code, addresses, numbers and names
survived, it is in its language, and its translation back into English is close enough to the source by chrF (Popović
2015, computed by sacrebleu). What fails is drawn again, with some temperature, and then dropped with its reason. A
conversation is kept with all of its turns.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seallm.base.records import Conversation, Message
from seallm.chat_data.answer_checks import FAILED, WRONG_LANGUAGE, bare, foreign_languages, unfinished, unusable_text
from seallm.chat_data.keepsakes import (
    Marked,
    mark,
    marks_problem,
    names,
    names_problem,
    numbers_problem,
    unmark,
    without_marks,
)
from seallm.chat_data.made import Dropped, Made, Outcome, made_source
from seallm.chat_data.teaching import Teacher, relative_length, stand_in
from seallm.languages import load_language
from seallm.model.chat_models import ChatAnswer, Question

ENGLISH = "en"
REDRAW_TEMPERATURE = 0.7
SEEN_QUESTION_CHARACTERS = 400
MOST_KEPT_SHARE = 0.5  # of a conversation's characters in code and formulas
LENGTH_FACTOR = 3.0  # beyond this, longer or shorter than expected, something is missing or was added
SHORT_CHARACTERS = 30  # below, lengths say nothing
_ABOUT_ENGLISH = re.compile(
    r"\b(rhym\w*|pun|puns|spell(?:ing|ed)?|misspell\w*|grammar|grammatical\w*|synonyms?|antonyms?|homophones?|anagrams?|"
    r"palindromes?|acronyms?|haiku|limerick|alliterat\w*|idioms?|vowels?|consonants?|syllables?|part of speech|"
    r"past tense|plural form|punctuat\w*|capitali[sz]e|crossword|tongue twisters?|in english|english (?:word|sentence|"
    r"language|letter|alphabet)s?|letters? of the alphabet|how many letters|translate|translation)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TranslationSettings:
    """How conversations are translated.

    Attributes:
        least_chrf: chrF of the translation back, 0 to 100, that is close enough.
        keeps_names: names must stay as they are written.
        draws: how often a turn is tried.
        checks_back: translate back at all.
    """

    least_chrf: float = 50.0
    keeps_names: bool = True
    draws: int = 2
    checks_back: bool = True


@dataclass
class _Turn:
    """One turn on its way into one language."""

    owner: int
    number: int
    source: Message
    question: str
    language: str
    marked: Marked
    text: str = ""
    reason: str = "not_translated"
    detail: str = ""
    chrf: float | None = None


def reason_to_leave(conversation: Conversation) -> str | None:
    """Why a conversation is not worth translating, or cannot be; None where it can."""
    if conversation.language not in ("", ENGLISH):
        return "not_english"
    contents = [message.content for message in conversation.messages]
    marked = [mark(content) for content in contents]
    kept = sum(each.kept_share * len(content) for each, content in zip(marked, contents, strict=True))
    if kept > MOST_KEPT_SHARE * sum(map(len, contents)):
        return "mostly_code"
    if any(_ABOUT_ENGLISH.search(m.content) for m in conversation.messages if m.role == "user"):
        return "about_english_words"
    return None


def translate(
    conversations: Sequence[Conversation], languages: Sequence[str], teacher: Teacher, settings: TranslationSettings
) -> Outcome:
    """Translate every conversation into every language.

    Args:
        conversations: those in English are translated.
        languages: codes.
        teacher: who translates, there and back.
        settings: what is good enough.

    Raises:
        EndpointError: the teacher cannot be asked; what was answered is kept on disk.
    """
    outcome = Outcome()
    turns: list[_Turn] = []
    for owner, conversation in enumerate(conversations):
        reason = reason_to_leave(conversation)
        for language in languages:
            if reason is not None:
                outcome.dropped.append(Dropped(reason, "", language, _shown(conversation)))
            else:
                turns += _turns(owner, conversation, language)
    for draw in range(settings.draws):
        left = [turn for turn in turns if turn.reason not in ("", FAILED)]
        _translate_once(left, teacher, settings, draw)
    _gather(conversations, turns, teacher.name, outcome)
    return outcome


def _turns(owner: int, conversation: Conversation, language: str) -> Iterator[_Turn]:
    question = ""
    for number, message in enumerate(conversation.messages):
        yield _Turn(owner, number, message, question, language, mark(message.content))
        question = message.content if message.role == "user" else ""


def _translate_once(turns: Sequence[_Turn], teacher: Teacher, settings: TranslationSettings, draw: int) -> None:
    """One draw of each turn: there, checks, and back where the checks were passed."""
    temperature = REDRAW_TEMPERATURE if draw else 0.0
    asked = [_there(turn, settings, draw) for turn in turns]
    expected = [_expected(turn) for turn in turns]
    for turn, answer in zip(turns, teacher.ask("translate", asked, expected, temperature), strict=True):
        turn.text = bare(answer.text, turn.source.content)
        turn.reason, turn.detail = _problem(turn, answer, settings)
    if not teacher.is_rehearsal:
        _check_languages([turn for turn in turns if not turn.reason])
    good = [turn for turn in turns if not turn.reason or teacher.is_rehearsal]
    if settings.checks_back:
        back = teacher.ask(
            "translate back", [_back(turn, draw) for turn in good], [turn.marked.text for turn in good], 0.0
        )
        for turn, answer in zip(good, back, strict=True):
            _compare(turn, answer, settings)
    if teacher.is_rehearsal:
        for turn in turns:
            turn.reason = ""  # nobody knows what will have to be drawn again


def _there(turn: _Turn, settings: TranslationSettings, draw: int) -> Question:
    language = load_language(turn.language)
    lines = [
        f"Translate the text below into {language.name} ({language.native_name}), as a native speaker would write it: "
        "natural, complete, in the same tone, not word for word.",
        "Keep the layout: lines, lists, markdown. Keep all numbers.",
    ]
    if turn.marked.kept:
        lines.append("Marks such as ⟦1⟧ stand for code and addresses. Put each of them once where it belongs.")
    own = names(turn.source.content) if settings.keeps_names else []
    if own:
        lines.append(f"Leave these names as they are written: {', '.join(own)}.")
    if turn.question:
        seen = " ".join(turn.question.split())[:SEEN_QUESTION_CHARACTERS]
        lines.append(f"It answers this question, which is not to be translated: {seen}")
    lines.append(f"Reply with the {language.name} text and nothing else.")
    return _asked([*lines, "", turn.marked.text], turn.language, draw)


def _back(turn: _Turn, draw: int) -> Question:
    language = load_language(turn.language)
    lines = [
        f"Translate the {language.name} text below into English, exactly as it is, with its mistakes.",
        "Keep marks such as ⟦1⟧. Reply with the English text and nothing else.",
        "",
        turn.text,
    ]
    return _asked(lines, turn.language, draw)


def _asked(lines: Sequence[str], language: str, draw: int) -> Question:
    return Question((Message("user", "\n".join(lines)),), language, draw)


def _expected(turn: _Turn) -> str:
    marks = "".join(f"⟦{number}⟧" for number in range(1, len(turn.marked.kept) + 1))
    return stand_in(turn.marked.text, ENGLISH, turn.language) + marks


def _problem(turn: _Turn, answer: ChatAnswer, settings: TranslationSettings) -> tuple[str, str]:
    """Reason and detail of the first check that a translation fails; empty where it passes."""
    unread = unfinished(answer)
    if unread:
        return unread, answer.problem
    problem = marks_problem(turn.text, turn.marked.kept)
    if problem:
        return "code_lost", problem
    unusable = unusable_text(unmark(turn.text, turn.marked.kept))
    if unusable and not unusable_text(turn.source.content):
        return unusable, ""
    problem = numbers_problem(turn.marked.text, turn.text)
    if problem:
        return "number_lost", problem
    problem = names_problem(turn.marked.text, turn.text) if settings.keeps_names else None
    return ("name_lost", problem) if problem else _length_problem(turn)


def _length_problem(turn: _Turn) -> tuple[str, str]:
    source, text = (without_marks(each).strip() for each in (turn.marked.text, turn.text))
    if len(source) >= SHORT_CHARACTERS and source == text:
        return "not_translated", "the text came back as it was"
    if not usual_length(source, text, turn.language):
        return "length", f"{len(text)} characters for {len(source)}"
    return "", ""


def usual_length(source: str, text: str, language: str) -> bool:
    """Whether a translation from English is about as long as translations into the language are; short ones always."""
    expected = len(source) * relative_length(language)
    return len(source) < SHORT_CHARACTERS or expected / LENGTH_FACTOR <= len(text) <= expected * LENGTH_FACTOR


def _check_languages(turns: Sequence[_Turn]) -> None:
    texts = [without_marks(turn.text) for turn in turns]
    for turn, other in zip(turns, foreign_languages(texts, [turn.language for turn in turns]), strict=True):
        if other:
            turn.reason, turn.detail = WRONG_LANGUAGE, f"it is in {other}"


def _compare(turn: _Turn, answer: ChatAnswer, settings: TranslationSettings) -> None:
    unread = unfinished(answer)
    if unread:
        turn.reason, turn.detail = unread, f"on the way back: {answer.problem}"
        return
    turn.chrf = chrf(without_marks(bare(answer.text, turn.source.content)), without_marks(turn.marked.text))
    if turn.chrf < settings.least_chrf:
        turn.reason, turn.detail = "back_translation", f"chrF {turn.chrf:.1f}: {answer.text[:200]}"


def chrf(text: str, reference: str) -> float:
    """Character F-score of two texts, 0 to 100; 100 where neither has a letter."""
    from sacrebleu import sentence_chrf

    if not text.strip() and not reference.strip():
        return 100.0
    return float(sentence_chrf(text.strip(), [reference.strip()]).score)


def _gather(conversations: Sequence[Conversation], turns: Sequence[_Turn], teacher: str, outcome: Outcome) -> None:
    by_target: dict[tuple[int, str], list[_Turn]] = {}
    for turn in turns:
        by_target.setdefault((turn.owner, turn.language), []).append(turn)
    for (owner, language), own in by_target.items():
        source = conversations[owner]
        bad = next((turn for turn in own if turn.reason), None)
        messages = tuple(Message(t.source.role, unmark(t.text, t.marked.kept).strip()) for t in own)
        if bad is not None:
            content = {**_shown(source), "turn": bad.number, "text": bad.text}
            outcome.dropped.append(Dropped(bad.reason, bad.detail, language, content))
            continue
        made = replace(
            source, messages=messages, language=language, source=made_source(source.source, "translated", teacher)
        )
        scores = [turn.chrf for turn in own if turn.chrf is not None]
        story: dict[str, Any] = {"made_by": "translation", "teacher": teacher}
        if scores:
            story["least_chrf"] = round(min(scores), 1)
        outcome.made.append(Made(made, story))


def _shown(conversation: Conversation) -> Mapping[str, Any]:
    return {"messages": [vars(m) for m in conversation.messages], "source": conversation.source}
