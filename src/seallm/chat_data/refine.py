"""Conversations in, the same with better answers out, or with their question asked in other words.

Refining (Madaan et al. 2023): the teacher criticises an answer, and then rewrites it by its own criticism; an answer
that it finds nothing wrong with stays. Paraphrasing: the first question in other words, checked by the teacher to ask
the same, by ROUGE-L to be other words, and by its numbers and code to be complete; the answer stays.

A conversation that cannot be refined stays as it is, and its story says why; a paraphrase that fails is dropped.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from seallm.base.records import Conversation, Message
from seallm.chat_data.answer_checks import WRONG_LANGUAGE, bare, foreign_languages, unfinished, unusable_text
from seallm.chat_data.keepsakes import mark, numbers_problem
from seallm.chat_data.made import Dropped, Made, Outcome, made_source
from seallm.chat_data.novelty import NoveltyPool
from seallm.chat_data.self_instruct import first_turn
from seallm.chat_data.teaching import STAND_IN, Teacher
from seallm.languages import load_language
from seallm.model.chat_models import ChatAnswer, Question

FINE = "FINE"
SHORTER, LONGER = 0.3, 4.0  # beyond, a rewritten answer is another answer
CRITICISM_TOKENS = 120
PARAPHRASE_TEMPERATURE = 1.0
_SAME = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)


def refine(conversations: Sequence[Conversation], teacher: Teacher) -> Outcome:
    """Criticise and rewrite the last answer of every conversation.

    Raises:
        EndpointError: the teacher cannot be asked; what was answered is kept on disk.
    """
    languages = [conversation.language for conversation in conversations]
    asked = [_criticism(conversation) for conversation in conversations]
    criticisms = teacher.ask("criticise", asked, [STAND_IN * CRITICISM_TOKENS] * len(asked), 0.0)
    stories: list[dict[str, Any]] = [_verdict(answer) for answer in criticisms]
    open_ones = [number for number, story in enumerate(stories) if not story]
    rewritten = teacher.ask(
        "rewrite",
        [_rewriting(conversations[n], criticisms[n].text) for n in open_ones],
        [conversations[n].messages[-1].content for n in open_ones],
        0.0,
    )
    texts = {n: bare(a.text, conversations[n].messages[-1].content) for n, a in zip(open_ones, rewritten, strict=True)}
    strange = foreign_languages(list(texts.values()), [languages[n] for n in open_ones])
    for number, answer, other in zip(open_ones, rewritten, strange, strict=True):
        problem = _rewriting_problem(conversations[number].messages[-1].content, texts[number], answer, other)
        stories[number] = {"refined": "no", "why": problem} if problem else {"refined": "yes"}
    outcome = Outcome()
    for number, (conversation, story) in enumerate(zip(conversations, stories, strict=True)):
        made = conversation
        if story["refined"] == "yes":
            messages = (*conversation.messages[:-1], Message("assistant", texts[number]))
            source = made_source(conversation.source, "refined", teacher.name)
            made = replace(conversation, messages=messages, source=source)
            story |= {"criticism": criticisms[number].text}
        outcome.made.append(Made(made, {"made_by": "refinement", "teacher": teacher.name, **story}))
    return outcome


def _criticism(conversation: Conversation) -> Question:
    lines = [
        "Read the conversation below. Is its last answer right, complete, natural and polite "
        f"{load_language(conversation.language).name}, safe, and no longer than it has to be?",
        f"If nothing is wrong with it, reply with the single word {FINE}. Otherwise list, in a few short lines, what "
        "must be changed, and nothing else.",
        "",
        _script(conversation),
    ]
    return _asked(lines, conversation.language)


def _verdict(answer: ChatAnswer) -> dict[str, Any]:
    """The story of an answer that is not rewritten; empty where it is."""
    reason = unfinished(answer)
    if reason is not None:
        return {"refined": "no", "why": reason}
    return {"refined": "not needed"} if answer.text.strip().strip(".*").upper().startswith(FINE) else {}


def _rewriting(conversation: Conversation, criticism: str) -> Question:
    lines = [
        "Below are a conversation and a criticism of its last answer. Write that answer anew, as the assistant would, "
        "so that nothing of the criticism holds any more; what was good stays.",
        f"Write {load_language(conversation.language).name}. Reply with the new answer and nothing else.",
        "",
        _script(conversation),
        "",
        "[criticism]",
        criticism.strip(),
    ]
    return _asked(lines, conversation.language)


def _rewriting_problem(before: str, text: str, answer: ChatAnswer, other: str) -> str | None:
    reason = unfinished(answer) or unusable_text(text) or (WRONG_LANGUAGE if other else None)
    if reason is not None:
        return reason
    ratio = len(text) / max(len(before), 1)
    is_other = len(text) < SHORTER * len(before) or len(text) > LONGER * len(before) + 200
    return f"{ratio:.1f} times as long" if is_other else None


def paraphrase(
    conversations: Sequence[Conversation], teacher: Teacher, *, copies: int = 1, most_similar: float = 0.8
) -> Outcome:
    """Ask the first question of every conversation in other words.

    Args:
        conversations: what to vary.
        teacher: writes, and says whether both ask the same.
        copies: paraphrases wanted of each.
        most_similar: greatest ROUGE-L to the original and to the other copies.

    Raises:
        EndpointError: the teacher cannot be asked; what was answered is kept on disk.
    """
    todo = [(conversation, copy) for conversation in conversations for copy in range(copies)]
    asked = [_rewording(conversation, copy) for conversation, copy in todo]
    expected = [first_turn(conversation) for conversation, _ in todo]
    answers = teacher.ask("paraphrase", asked, expected, PARAPHRASE_TEMPERATURE)
    texts = [bare(answer.text, first_turn(c)) for answer, (c, _) in zip(answers, todo, strict=True)]
    languages = [conversation.language for conversation, _ in todo]
    reasons = _paraphrase_problems(todo, texts, answers, foreign_languages(texts, languages), most_similar)
    good = [n for n, reason in enumerate(reasons) if not reason[0] or teacher.is_rehearsal]
    verdicts = teacher.ask(
        "compare", [_comparison(first_turn(todo[n][0]), texts[n], languages[n]) for n in good], ["yes"] * len(good), 0.0
    )
    for number, verdict in zip(good, verdicts, strict=True):
        found = _SAME.match(verdict.text)
        if found is None or found[1].lower() != "yes":
            reasons[number] = ("other_meaning", verdict.text[:100])
    return _paraphrased(todo, texts, reasons, teacher.name)


def _paraphrase_problems(
    todo: Sequence[tuple[Conversation, int]],
    texts: Sequence[str],
    answers: Sequence[ChatAnswer],
    strange: Sequence[str],
    most_similar: float,
) -> list[tuple[str, str]]:
    """Reason and detail of each that cannot be used; empty where it can."""
    reasons: list[tuple[str, str]] = []
    pools: dict[int, NoveltyPool] = {}
    for (conversation, _), text, answer, other in zip(todo, texts, answers, strange, strict=True):
        original = first_turn(conversation)
        pool = pools.setdefault(id(conversation), NoveltyPool([original]))
        reason = unfinished(answer) or unusable_text(text) or (WRONG_LANGUAGE if other else None)
        lost = None if reason else _lost(original, text)
        similarity = pool.closest(text).similarity
        if reason or lost:
            reasons.append((reason or "number_or_code_lost", answer.problem or lost or other))
        elif similarity >= most_similar:
            reasons.append(("not_new", f"ROUGE-L {similarity:.2f}"))
        else:
            pool.add(text)
            reasons.append(("", ""))
    return reasons


def _lost(original: str, text: str) -> str | None:
    """The first piece of code or number that is not in a text any more."""
    missing = next((kept for kept in mark(original).kept if kept not in text), None)
    return missing or numbers_problem(original, text)


def _rewording(conversation: Conversation, copy: int) -> Question:
    language = load_language(conversation.language)
    lines = [
        f"Say the request below in other words, in natural {language.name}, as another person would. It must ask for "
        "exactly the same: keep every fact, number, name, piece of code and text that it holds.",
        "Do not answer it. Reply with the reworded request and nothing else.",
        "",
        first_turn(conversation),
    ]
    return _asked(lines, conversation.language, copy)


def _comparison(first: str, second: str, language: str) -> Question:
    lines = [
        "Would the same answer be right for both requests below? Reply with yes or no.",
        "",
        "[first]",
        first,
        "",
        "[second]",
        second,
    ]
    return _asked(lines, language)


def _paraphrased(
    todo: Sequence[tuple[Conversation, int]],
    texts: Sequence[str],
    reasons: Sequence[tuple[str, str]],
    teacher: str,
) -> Outcome:
    outcome = Outcome()
    for (conversation, _), text, (reason, detail) in zip(todo, texts, reasons, strict=True):
        if reason:
            content: Mapping[str, Any] = {"instruction": first_turn(conversation), "text": text}
            outcome.dropped.append(Dropped(reason, detail, conversation.language, content))
            continue
        place = next(n for n, m in enumerate(conversation.messages) if m.role == "user")
        messages = (*conversation.messages[:place], Message("user", text), *conversation.messages[place + 1 :])
        source = made_source(conversation.source, "paraphrased", teacher)
        made = replace(conversation, messages=messages, source=source)
        outcome.made.append(Made(made, {"made_by": "paraphrase", "teacher": teacher}))
    return outcome


def _script(conversation: Conversation) -> str:
    return "\n\n".join(f"[{message.role}]\n{message.content.strip()}" for message in conversation.messages)


def _asked(lines: Sequence[str], language: str, draw: int = 0) -> Question:
    return Question((Message("user", "\n".join(lines)),), language, draw)
