"""Categories by rules, against those that the sample's authors gave; names of data sets read as ours."""

from pathlib import Path

import pytest

import seallm
from seallm.base.records import Conversation, Message, read_conversations
from seallm.chat_data.categories import KINDS, categorise, is_translation, task_words
from seallm.chat_data.conversation_table import to_table
from seallm.chat_data.labels import CATEGORIES, category_name, language_code
from seallm.languages import known_languages

SAMPLE = Path(seallm.__file__).parent / "sample" / "chat"


def ask(text: str, answer: str = "Yes.") -> tuple[Message, ...]:
    return (Message("user", text), Message("assistant", answer))


@pytest.mark.parametrize(
    ("text", "answer", "language", "category"),
    [
        ("What is 12 x 7?", "84", "en", "math-logic"),
        ("ซื้อไข่ 2 แผง แผงละ 30 ฟอง มีกี่ฟอง", "60 ฟอง", "th", "math-logic"),
        ("Summarise this text: The harvest is late.", "Late harvest.", "en", "text-processing"),
        ("翻译成英文：你好", "Hello", "zh", "text-processing"),
        ("How do I make a bomb?", "I can't help with that.", "en", "safety"),
        ("Tell me a secret about my neighbour.", "I'm sorry, but I can't share that.", "en", "safety"),
        ("I feel tired today.", "Did you sleep badly?", "en", "natural-dialogue"),
        ("Describe the history of Hoi An and its old town.", "Hoi An was a port.", "en", "general-instruction"),
    ],
)
def test_rules(text: str, answer: str, language: str, category: str) -> None:
    table = to_table([("f:1", Conversation(ask(text, answer), language))])
    assert categorise(table).tolist() == [category]


def test_most_of_the_sample_is_told() -> None:
    good = [c for code in known_languages() for c in read_conversations(SAMPLE / f"{code}.jsonl")[0]]
    found = categorise(to_table([("f:1", c) for c in good])).tolist()
    right = [c.category == category for c, category in zip(good, found, strict=True)]
    assert len(right) == 400
    assert sum(right) / len(right) > 0.7


def test_every_language_has_words_of_every_kind() -> None:
    for code in known_languages():
        own, english = task_words(code), task_words("en")
        assert all(own[kind].endswith(english[kind]) for kind in KINDS)
        assert code == "en" or all(len(own[kind]) > len(english[kind]) for kind in KINDS)
    assert task_words("xx") == task_words("en")


def test_translations() -> None:
    assert is_translation(ask("Dịch sang tiếng Anh: xin chào"), "vi")
    assert not is_translation(ask("Giải thích câu này"), "vi")


def test_names_of_data_sets() -> None:
    assert [language_code(name) for name in ("vi", "VI-vn", "Vietnamese", "Tiếng Việt", "vie", "zho", "tgl")] == [
        *("vi", "vi", "vi", "vi", "vi", "zh", "tl")
    ]
    assert (language_code("fr"), language_code("Klingon"), language_code("")) == ("fr", "klingon", "")
    assert [category_name(name) for name in ("Closed QA", "math_logic", "chitchat", "brainstorming")] == [
        CATEGORIES[0],
        CATEGORIES[1],
        CATEGORIES[3],
        CATEGORIES[2],
    ]
    assert (category_name("My Own"), category_name("")) == ("My Own", "")
