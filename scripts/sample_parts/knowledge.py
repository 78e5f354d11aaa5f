"""Quiz items in, three things out: documents that state the facts, conversations that ask, questions that test.

Facts are dealt like cards, so every fact is stated about equally often; a document never uses one template of one
relation twice, so documents share few word runs. Test questions use templates that no training text holds.
"""

import json
import random
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from sample_parts.sources import Row, Source

DOCUMENTS = 150
STATEMENTS = (6, 10)
CHOICES = 4
# An answer that is also right for another item is never its distractor: a mango is a food, too.
ALSO_RIGHT = {("kind", "mango"): ("rice",), ("kind", "rice"): ("mango",)}


@dataclass(frozen=True)
class Fact:
    """One item of one relation in one language."""

    relation: str
    item: str
    subject: str
    answer: str


def load_quiz(folder: Path, language: str) -> Row:
    """Relations with items, statements, questions and test questions."""
    quiz: Row = json.loads((folder / f"{language}.json").read_text(encoding="utf-8"))
    return quiz


def facts_of(quiz: Row) -> list[Fact]:
    """All facts of one language."""
    return [Fact(r, item, *pair) for r, table in quiz.items() for item, pair in table["items"].items()]


def fill(template: str, fact: Fact) -> str:
    """A statement or question; the first letter is made a capital where the script has them."""
    text = template.format(subject=fact.subject, answer=fact.answer)
    return unicodedata.normalize("NFC", text[:1].upper() + text[1:])


def documents(quiz: Row, language: str, source: Source, rng: random.Random) -> list[Row]:
    """Short documents of six to ten statements."""
    cards = [(fact, k) for fact in facts_of(quiz) for k in range(len(quiz[fact.relation]["statements"]))]
    deck: list[tuple[Fact, int]] = []
    rows = []
    for number in range(DOCUMENTS):
        hand: list[tuple[Fact, int]] = []
        wanted = rng.randint(*STATEMENTS)
        while len(hand) < wanted:
            if len(deck) < len(cards) // 2:  # the old half stays on top, so that no card is left behind
                deck = rng.sample(cards, len(cards)) + deck
            used = {(fact.relation, k) for fact, k in hand} | {fact for fact, _ in hand}
            at = next(
                i for i in reversed(range(len(deck))) if not {(deck[i][0].relation, deck[i][1]), deck[i][0]} & used
            )
            hand.append(deck.pop(at))
        sentences = [fill(quiz[fact.relation]["statements"][k], fact) for fact, k in hand]
        rows.append(
            {
                "id": f"{language}/knowledge#{number}",
                "text": _layout(sentences, language, rng),
                "source": source.name,
                "url": source.link,
                "licence": source.licence,
            }
        )
    return rows


def _layout(sentences: list[str], language: str, rng: random.Random) -> str:
    glue = "" if language == "zh" else " "
    shape = rng.randrange(3)
    if shape == 0:
        return glue.join(sentences)
    if shape == 1:
        return "\n".join(sentences)
    middle = len(sentences) // 2
    return glue.join(sentences[:middle]) + "\n\n" + glue.join(sentences[middle:])


def conversations(quiz: Row, language: str, source: Source, rng: random.Random) -> list[Row]:
    """Each fact asked with two of the training questions; half the answers are sentences, half the bare answer."""
    rows = []
    for number, fact in enumerate(facts_of(quiz)):
        table = quiz[fact.relation]
        for k, question in enumerate(rng.sample(table["questions"], 2)):
            bare = (number + k) % 2 == 1
            answer = fact.answer if bare else fill(rng.choice(table["statements"]), fact)
            messages = [
                {"role": "user", "content": fill(question, fact)},
                {"role": "assistant", "content": unicodedata.normalize("NFC", answer)},
            ]
            labels = {"category": "knowledge", "source": source.name, "licence": source.licence}
            rows.append({"messages": messages, "language": language, **labels})
    return rows


def test_questions(quiz: Row, rng: random.Random) -> list[Row]:
    """One question with four choices for every fact, in words that training never used."""
    rows = []
    for number, fact in enumerate(facts_of(quiz)):
        table = quiz[fact.relation]
        also_right = {table["items"][item][1] for item in ALSO_RIGHT.get((fact.relation, fact.item), ())}
        wrong = sorted({answer for _, answer in table["items"].values()} - {fact.answer, fact.subject} - also_right)
        choices = [*rng.sample(wrong, CHOICES - 1), fact.answer]
        rng.shuffle(choices)
        rows.append(
            {
                "question": fill(table["test_questions"][number % 2], fact),
                "choices": [unicodedata.normalize("NFC", choice) for choice in choices],
                "answer": choices.index(fact.answer),
                "relation": fact.relation,
                "item": fact.item,
            }
        )
    return rows
