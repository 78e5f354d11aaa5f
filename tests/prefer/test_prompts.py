from collections import Counter

import pytest

from seallm.base.records import Conversation, Message
from seallm.prefer import prompts as prompts_module
from seallm.prefer.prompts import Prompt, choose_prompts, other_answers


def talk(language: str, question: str, answer: str = "yes") -> Conversation:
    messages = (Message("system", "Be kind."), Message("user", f" {question} "), Message("assistant", answer))
    return Conversation(messages, language)


CONVERSATIONS = [talk("th", f"th{i}", f"a{i}") for i in range(30)] + [talk("lo", f"lo{i}", f"b{i}") for i in range(3)]


def test_languages_take_turns_and_small_ones_give_all() -> None:
    prompts, _ = choose_prompts(CONVERSATIONS, ["lo", "th", "km"], 10, seed=1)
    assert Counter(p.language for p in prompts) == {"lo": 3, "th": 7}
    assert [p.language for p in prompts[:4]] == ["lo", "th", "lo", "th"]
    assert all(p.reference.startswith("b" if p.language == "lo" else "a") for p in prompts)


def test_the_seed_decides_which_and_the_order_of_files_does_not() -> None:
    first, _ = choose_prompts(CONVERSATIONS, ["th"], 5, seed=1)
    assert first == choose_prompts(CONVERSATIONS[::-1], ["th"], 5, seed=1)[0]
    assert first != choose_prompts(CONVERSATIONS, ["th"], 5, seed=2)[0]


def test_what_is_left_out_is_counted() -> None:
    again = [talk("th", "th1", "another answer"), talk("ja", "x")]
    prompts, dropped = choose_prompts(CONVERSATIONS + again, ["th"], 100, seed=1)
    assert len(prompts) == 30
    assert dropped == {"language not in the recipe": 4, "question asked before": 1}


def test_a_wrong_answer_comes_from_the_same_language() -> None:
    prompts, _ = choose_prompts(CONVERSATIONS, ["th", "lo"], 100, seed=1)
    for prompt, wrong in zip(prompts, other_answers(prompts, seed=1), strict=True):
        assert wrong is not None
        assert wrong != prompt.reference
        assert wrong[0] == prompt.reference[0]
    alone, _ = choose_prompts([talk("km", "one"), talk("km", "two")], ["km"], 5, seed=1)
    assert other_answers(alone, seed=1) == [None, None]


def test_wrong_answers_are_drawn_from_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts_module, "OTHERS", 3)
    prompts = [Prompt("en", f"q{n}", f"a{n}") for n in range(50)]
    found = other_answers(prompts, seed=1)
    assert len(set(found)) == 3
    assert not any(wrong == prompt.reference for wrong, prompt in zip(found, prompts, strict=True))
