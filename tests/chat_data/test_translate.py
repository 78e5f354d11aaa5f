"""Translation with a teacher on a real server: what is kept, what is checked, what is tried again, what it costs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seallm.base.records import Conversation, Message
from seallm.base.runtime import Runtime
from seallm.base.sampling import SamplingSettings
from seallm.chat_data.teaching import Teacher, stand_in
from seallm.chat_data.translate import TranslationSettings, chrf, reason_to_leave, translate
from seallm.endpoints.settings import EndpointSettings
from seallm.model.chat_models import ChatModelSettings, open_chat_model
from tests.chat_data.scripted_teacher import to, translator
from tests.endpoints.scripted_server import Answer, Json, ScriptedServer, question

CODE = "Use `git status` first, then see https://git-scm.com/docs for the 12 other commands that Linus wrote."
TALK = Conversation(
    (Message("user", "How do I see what changed in my folder?"), Message("assistant", CODE)),
    "en",
    "general",
    "demo",
    "CC0",
)


@contextmanager
def teacher_on(
    answer: Callable[[Json], Answer], answers: Path | None = None, *, is_rehearsal: bool = False
) -> Iterator[tuple[ScriptedServer, Teacher]]:
    with ScriptedServer(answer) as server:
        settings = ChatModelSettings(endpoint=EndpointSettings(attempts=2, first_wait_seconds=0.01), answers=answers)
        model = open_chat_model(server.address, settings)
        yield server, Teacher(model, SamplingSettings(200, 0.0), is_rehearsal, Runtime(show_progress=False))


def test_a_good_teacher_translates_and_code_comes_back() -> None:
    with teacher_on(translator) as (server, teacher):
        outcome = translate([TALK], ["th", "lo"], teacher, TranslationSettings())
    assert not outcome.dropped
    thai, lao = (made.conversation for made in outcome.made)
    assert thai.messages[0].content == to("Thai", TALK.messages[0].content)
    assert "`git status`" in thai.messages[1].content
    assert "https://git-scm.com/docs" in lao.messages[1].content
    assert "12" in lao.messages[1].content
    assert "Linus" in lao.messages[1].content
    assert (thai.language, thai.category, thai.licence) == ("th", "general", "CC0")
    assert thai.source == "demo, translated by scripted"
    assert outcome.made[0].story["least_chrf"] > 80
    assert len(server.asked) == 8  # two turns, two languages, there and back
    asked = [question(body) for body in server.asked]
    assert not any("git status" in text or "git-scm" in text for text in asked), "code was sent to be translated"
    assert any("Leave these names as they are written: Linus." in text for text in asked)
    assert any("It answers this question, which is not to be translated: How do I see" in text for text in asked)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda text: text.replace("⟦1⟧", ""), "code_lost"),
        (lambda text: text.replace("12", "13"), "number_lost"),
        (lambda text: text.replace("Linus", "ລີນຸສ"), "name_lost"),
        (lambda text: "I am sorry, but I cannot do that, Linus, in 12 ⟦1⟧ ⟦2⟧ ways of any kind.", "wrong_language"),
        (lambda text: text + " <|im_end|>", "control_strings"),
        (lambda text: text * 6, "code_lost"),
        (lambda text: text + "ກ" * 900, "length"),
        (lambda text: "", "empty"),
        (lambda text: "⟦1⟧⟦2⟧ 12 Linus" + to("Lao", "something else altogether here"), "back_translation"),
    ],
)
def test_every_check(fault: Callable[[str], str], reason: str) -> None:
    """The teacher is at fault in the answer, whatever the draw; the question goes well."""

    def answer(body: Json) -> str:
        text = translator(body)
        is_fault = "git" not in question(body) and "⟦1⟧" in question(body) and "into Lao" in question(body)
        return fault(text) if is_fault else text

    with teacher_on(answer) as (server, teacher):
        outcome = translate([TALK], ["lo"], teacher, TranslationSettings())
    assert not outcome.made
    assert [dropped.reason for dropped in outcome.dropped] == [reason]
    assert outcome.dropped[0].content["turn"] == 1
    second = [b for b in server.asked if b["temperature"] > 0]
    assert second, "it was not tried again"


def test_what_fails_once_is_drawn_again_and_the_good_turn_is_not() -> None:
    def answer(body: Json) -> str:
        is_first = body["temperature"] == 0 and "⟦1⟧" in question(body) and "into Lao" in question(body)
        return "Sorry, I can only speak English with you today, my friend." if is_first else translator(body)

    with teacher_on(answer) as (server, teacher):
        outcome = translate([TALK], ["lo"], teacher, TranslationSettings())
    assert len(outcome.made) == 1
    assert len(server.asked) == 5  # there twice, back once; there again, back once


def test_a_prefaced_and_quoted_answer_is_laid_bare() -> None:
    def answer(body: Json) -> str:
        text = translator(body)
        return text if "into English" in question(body) else f'Here is the translation:\n\n"{text}"'

    with teacher_on(answer) as (_, teacher):
        outcome = translate([TALK], ["th"], teacher, TranslationSettings())
    assert outcome.made[0].conversation.messages[0].content == to("Thai", TALK.messages[0].content)


@pytest.mark.parametrize(
    ("prompt", "answer", "reason"),
    [
        ("Sort this list", "```python\nsorted(x)\n```", "mostly_code"),
        ("What rhymes with orange?", "Nothing does.", "about_english_words"),
        ("Correct the grammar: he go home", "He goes home.", "about_english_words"),
        ("How do plants drink?", "Through their roots.", None),
    ],
)
def test_what_is_left_alone(prompt: str, answer: str, reason: str | None) -> None:
    talk = Conversation((Message("user", prompt), Message("assistant", answer)), "en")
    assert reason_to_leave(talk) == reason


def test_other_languages_are_not_sent_as_english() -> None:
    thai = Conversation((Message("user", "วิธีต้มไข่"), Message("assistant", "ใส่เกลือในน้ำ")), "th")
    with teacher_on(translator) as (server, teacher):
        outcome = translate([thai], ["lo"], teacher, TranslationSettings())
        assert not server.asked
    assert [dropped.reason for dropped in outcome.dropped] == ["not_english"]


def test_a_rehearsal_asks_nothing_and_comes_close(tmp_path: Path) -> None:
    talks = [
        Conversation((Message("user", f"What is the {n}th thing to do here?"), Message("assistant", CODE)), "en")
        for n in range(20, 30)
    ]
    with teacher_on(translator, tmp_path, is_rehearsal=True) as (server, teacher):
        translate(talks, ["th", "lo"], teacher, TranslationSettings())
        assert not server.asked
        guessed = teacher.meter.by_language["th"]
        assert guessed.calls == 10 * 2 * 2
        assert guessed.question_tokens > guessed.answer_tokens > 0
        teacher.is_rehearsal = False
        translate(talks[:4], ["th"], teacher, TranslationSettings())
    again = Teacher(teacher.model, teacher.sampling, True)
    translate(talks, ["th"], again, TranslationSettings())
    assert again.meter.by_language["th"].reused == 4 * 2 * 2


def test_stand_ins_are_as_long_as_translations() -> None:
    assert len(stand_in("a" * 400, "en", "th")) > 2 * len(stand_in("a" * 400, "en", "id")) > 100
    assert len(stand_in("a" * 400, "en", "xx")) == 200


def test_chrf_of_texts_without_letters() -> None:
    assert chrf("", "") == 100.0
    assert chrf("the same text", "the same text") == pytest.approx(100.0)
    assert chrf("nothing", "") < 1
