"""Judging prompts: short, order-symmetric, with verdicts that one token decides; their words are data."""

from pathlib import Path

import pytest

from seallm.base.errors import ModelError, RecipeError
from seallm.base.records import Message
from seallm.languages import known_languages
from seallm.model.chat_format import ChatFormat
from seallm.model.judge_format import (
    JudgeTemplate,
    judge_messages,
    judging_exercise,
    load_template,
    read_template,
    verdict_ids,
)

CRITERIA = load_template("en").criteria


def test_verdict_ids_stand_where_training_puts_them(any_format: ChatFormat) -> None:
    for better_first in (True, False):
        exercise = judging_exercise("2 + 3?", " 5", "6 ", CRITERIA, better_first=better_first)
        encoded = any_format.encode(exercise)
        answers = ("5", "6") if better_first else ("6", "5")
        prefix = any_format.prompt_ids(judge_messages("2 + 3?", *answers, CRITERIA))
        verdict = verdict_ids(any_format, load_template("en"))[0 if better_first else 1]
        assert [*prefix, verdict, any_format.end_id] == encoded.ids
        supervised = [i for i, s in zip(encoded.ids, encoded.supervised, strict=True) if s]
        assert supervised == [verdict, any_format.end_id]
        assert exercise[-1] == Message("assistant", "A" if better_first else "B")


def test_both_orders_share_all_but_the_answers() -> None:
    (one,), (other,) = judge_messages("Why?", "So.", "No.", CRITERIA), judge_messages("Why?", "No.", "So.", CRITERIA)
    start = one.content.index("So.")
    assert one.content[:start] == other.content[:start]
    frame = one.content.replace("Why?", "").replace("So.", "").replace("No.", "")
    assert len(frame) < 130


@pytest.mark.parametrize("code", known_languages())
def test_every_language_has_its_own_words(code: str, any_format: ChatFormat) -> None:
    template = load_template(code)
    (message,) = judge_messages("{a}?", "{b}", "so", template.criteria, template)
    assert all(part in message.content for part in (template.criteria, "{a}?", "{b}", "so"))
    assert len(set(verdict_ids(any_format, template))) == 2
    assert code == "en" or template.question != load_template("en").question


def test_a_language_without_words_is_asked_in_english() -> None:
    assert load_template("xx") == load_template("en")


def test_words_of_ones_own(tmp_path: Path, chat_format: ChatFormat) -> None:
    path = tmp_path / "mine.toml"
    words = load_template("en").model_dump() | {"verdicts": ["first", "firm"]}
    lines = "\n".join(f"{name} = {value!r}".replace("\\n", "\\n") for name, value in words.items())
    path.write_text(lines.replace("question = '", 'question = "').replace("{b}\\n'", '{b}"'), encoding="utf-8")
    assert read_template(path).verdicts == ("first", "firm")
    same = JudgeTemplate.model_validate(words | {"verdicts": ["A", "A"]})
    with pytest.raises(ModelError, match="begin with the same token"):
        verdict_ids(chat_format, same)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question = 3", "mine.toml is not a judging template"),
        ('criteria = "x"\nquestion = "{criteria} {question} {a}"\nverdicts = ["A", "B"]\nreason = "y"', "lacks {b}"),
        ('criteria = "x"\nquestion = "{who} {a} {b}"\nverdicts = ["A", "B"]\nreason = "y"', "that nothing fills"),
        ("not toml", "mine.toml is not a judging template"),
    ],
)
def test_bad_words_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        read_template(tmp_path / "mine.toml")
