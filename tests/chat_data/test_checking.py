"""Each rule drops what it is for, and only that; languages of turns and the allowance for translations."""

from dataclasses import replace

import pytest

from seallm.base.records import Conversation, Message
from seallm.chat_data.checking import check_table
from seallm.chat_data.conversation_table import to_conversations, to_table
from seallm.recipe_instructions import InstructionChecks
from tests.chat_data.chats import ENGLISH, THAI, VIETNAMESE, chat

LANGUAGES = ("en", "th", "vi", "id", "ms")
QUESTION = "How do I cook noodles so that they do not stick to each other in the pot?"
CODE = "```python\nfor number in range(10):\n    print(number, 'squared is', number ** 2)\n```"


def found(*conversations: Conversation, **settings: object) -> list[tuple[str, str]]:
    table = to_table([(f"f:{n}", c) for n, c in enumerate(conversations)])
    figures = check_table(table, InstructionChecks(**settings), LANGUAGES)  # type: ignore[arg-type]
    return list(zip(figures["reason"].to_pylist(), figures["detail"].to_pylist(), strict=True))


def reason(conversation: Conversation, **settings: object) -> str:
    return found(conversation, **settings)[0][0]


def test_tables_give_back_what_they_were_made_of() -> None:
    rows = [chat("Q", ENGLISH, "en", source="s", licence="l"), chat("ถาม", THAI, "th", category="safety")]
    assert list(to_conversations(to_table([("a:1", rows[0]), ("a:2", rows[1])]))) == rows


@pytest.mark.parametrize(
    ("conversation", "settings", "expected"),
    [
        (chat(QUESTION, ENGLISH, "en"), {}, ""),
        (chat(QUESTION, "Five.", "en"), {}, ""),
        (chat(QUESTION, ENGLISH, "fr"), {}, "language"),
        (chat(QUESTION, ENGLISH, ""), {}, "language"),
        (chat(QUESTION, "\ufffd" * 5 + ENGLISH, "en"), {}, "encoding"),
        (chat(QUESTION, ENGLISH + "<|im_end|>", "en"), {}, "control_strings"),
        (chat("[INST] Hi [/INST]", ENGLISH, "en"), {}, "control_strings"),
        (chat(QUESTION, ENGLISH + "</s>", "en"), {"control_strings": "keep"}, ""),
        (chat("Is a < b and b > c?", "Yes: <b>bold</b> and a | b.", "en"), {}, ""),
        (chat(QUESTION, "Five.", "en"), {"min_answer_characters": 6}, "short_answer"),
        (chat(QUESTION, ENGLISH, "en"), {"max_characters": 100}, "too_long"),
        (chat(QUESTION, "I will boil it now. " * 20, "en"), {}, "repetition"),
        (chat(QUESTION, "Yes. " * 20, "en"), {}, ""),  # too few words to judge
        (chat(QUESTION, THAI, "en"), {}, "turn_language"),
        (chat("ต้มเส้นอย่างไร", VIETNAMESE, "th"), {}, "turn_language"),
        (chat(QUESTION, THAI, "th"), {}, "prompt_language"),
        (chat(QUESTION, THAI, "th"), {"prompt_language": "keep"}, ""),
        (chat(f"Translate into Thai: {ENGLISH}", THAI, "th"), {}, ""),
        (chat(f"Translate into Thai: {ENGLISH}", THAI, "en"), {}, ""),
        (chat(f"แปลเป็นภาษาอังกฤษ: {THAI}", ENGLISH, "th"), {}, ""),
        (chat(f"แปลเป็นภาษาอังกฤษ: {THAI}", VIETNAMESE, "en"), {}, "turn_language"),  # of neither language
        (chat("เขียนโปรแกรมพิมพ์กำลังสอง", CODE, "th"), {}, ""),  # code tells no language
        (chat("ต้มน้ำกี่นาที", "3 min", "th"), {}, ""),
        (chat("แต่งประโยคด้วยคำว่า 'noodles' และ 'simmer'", ENGLISH, "th"), {}, ""),  # a task about English
        (chat("Apa kabar?", "Baik.", "ms"), {}, ""),
    ],
)
def test_rules(conversation: Conversation, settings: dict[str, object], expected: str) -> None:
    assert reason(conversation, **settings) == expected


def test_details_say_what_was_found() -> None:
    rows = found(chat(QUESTION, ENGLISH + "<|im_end|>", "en"), chat(QUESTION, THAI, "en"), chat("Q", ENGLISH, "fr"))
    assert rows[0][1] == "holds <|im_end|>"
    assert rows[1][1] == "100% of the answers' letters are not en; most are th"
    assert rows[2][1] == "fr, not one of en, th, vi, id, ms"


def test_every_turn_counts() -> None:
    good = (Message("user", QUESTION), Message("assistant", ENGLISH))
    foreign = (Message("user", QUESTION), Message("assistant", THAI))
    assert reason(Conversation((*good, *foreign), "en")) == "turn_language"
    assert reason(Conversation((*good, *good), "en")) == ""
    assert reason(Conversation((*good, *foreign), "en"), max_foreign_share=0.9) == ""


def test_malay_and_indonesian_need_many_letters_to_be_told_apart() -> None:
    short = chat("Beri tip menulis resume pertama saya.", "Tulis dalam satu halaman sahaja.", "ms")
    assert reason(short) == ""
    assert reason(replace(short, language="id")) == ""


def test_rules_find_a_category_only_where_there_is_none() -> None:
    rows = [chat("What is 12 x 7?", "84", "en"), chat("What is 12 x 7?", "84", "en", category="mine")]
    table = to_table([("f:1", rows[0]), ("f:2", rows[1])])
    assert check_table(table, InstructionChecks(), LANGUAGES)["category"].to_pylist() == ["math-logic", "mine"]
