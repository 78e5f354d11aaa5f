from collections.abc import Sequence

import pytest

from seallm.evaluate.task_files import words
from seallm.evaluate.written_choices import ask_for_letter, chosen_number

LETTERS = ["A", "B", "C", "D"]
TEXTS = ["the red boat", "the blue boat", "ເຮືອ", "none"]


@pytest.mark.parametrize(
    ("answer", "choices", "expected"),
    [
        ("B", LETTERS, 1),
        ("(C) because", LETTERS, 2),
        ("**D**", LETTERS, 3),
        ("The answer is B.", LETTERS, 1),
        ("答案是C。", LETTERS, None),  # no edge between a Chinese character and a letter: which one ends is unsure
        ("答案是 C。", LETTERS, 2),
        ("คำตอบคือ 3", ["1", "2", "3", "4"], 2),
        ("13", ["1", "2", "3", "4"], None),
        ("A or B", LETTERS, 0),
        ("Either A or B", LETTERS, None),
        ("E", LETTERS, None),
        ("Abdominal", LETTERS, None),
        ("", LETTERS, None),
        ("I cannot help with that.", LETTERS, None),
        ("It is the blue boat, I think", TEXTS, 1),
        ("ເຮືອ", TEXTS, 2),
        ("b) the blue boat", TEXTS, 1),
        ("the red boat and the blue boat", TEXTS, None),
    ],
)
def test_the_choice_that_an_answer_names(answer: str, choices: Sequence[str], expected: int | None) -> None:
    assert chosen_number(answer, choices) == expected


def test_choices_are_shown_where_the_prompt_does_not() -> None:
    assert ask_for_letter(LETTERS, "en") == "\nAnswer with the letter alone."
    assert ask_for_letter(TEXTS[:2], "th").splitlines()[1:3] == ["A. the red boat", "B. the blue boat"]
    assert ask_for_letter(TEXTS, "xx") == ask_for_letter(TEXTS, "en")
    assert len({ask_for_letter(TEXTS, code) for code in words()}) == len(words())
