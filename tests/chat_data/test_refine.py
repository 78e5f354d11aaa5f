"""Refinement and paraphrase with a teacher on a real server."""

from collections.abc import Callable

from seallm.base.records import Conversation, Message
from seallm.base.runtime import Runtime
from seallm.base.sampling import SamplingSettings
from seallm.chat_data.made import Outcome
from seallm.chat_data.refine import paraphrase, refine
from seallm.chat_data.teaching import Teacher
from seallm.endpoints.settings import EndpointSettings
from seallm.model.chat_models import ChatModelSettings, open_chat_model
from tests.endpoints.scripted_server import Answer, Json, ScriptedServer, question


def talk(ask: str, answer: str) -> Conversation:
    return Conversation((Message("user", ask), Message("assistant", answer)), "th", "general", "demo", "CC0")


TALKS = [
    talk("กรุงเทพอยู่ที่ไหน", "อยู่ในประเทศไทย"),
    talk("บวก 25 กับ 17 ได้เท่าไร ใช้ `sum` ด้วย", "ได้สี่สิบสอง"),
    talk("เล่านิทานให้ฟัง", "กาลครั้งหนึ่งนานมาแล้ว"),
]


def with_teacher(answer: Callable[[Json], Answer], make: Callable[[Teacher], Outcome]) -> Outcome:
    with ScriptedServer(answer) as server:
        model = open_chat_model(server.address, ChatModelSettings(endpoint=EndpointSettings(attempts=1)))
        return make(Teacher(model, SamplingSettings(200, 0.0), False, Runtime(show_progress=False)))


def test_what_is_fine_stays_and_what_is_not_is_rewritten() -> None:
    def answer(body: Json) -> str:
        text = question(body)
        if "[criticism]" not in text:
            return "FINE." if "กรุงเทพ" in text else "Too short."
        return (
            "<think>hmm</think>กาลครั้งหนึ่งมีกระต่ายกับเต่า"
            if "นิทาน" in text
            else "Sorry, I will not write this answer in Thai today."
        )

    outcome = with_teacher(answer, lambda teacher: refine(TALKS, teacher))
    assert [m.story["refined"] for m in outcome.made] == ["not needed", "no", "yes"]
    assert outcome.made[0].conversation == TALKS[0]
    assert outcome.made[1].conversation == TALKS[1]
    assert outcome.made[1].story["why"] == "wrong_language"
    better = outcome.made[2].conversation
    assert better.messages[-1].content == "กาลครั้งหนึ่งมีกระต่ายกับเต่า"
    assert better.source == "demo, refined by scripted"
    assert outcome.made[2].story["criticism"] == "Too short."


def test_an_answer_that_grows_out_of_all_bounds_is_not_taken() -> None:
    long = "ยาวมาก" * 200
    outcome = with_teacher(
        lambda body: long if "[criticism]" in question(body) else "bad", lambda teacher: refine(TALKS[:1], teacher)
    )
    assert outcome.made[0].story["refined"] == "no"
    assert outcome.made[0].conversation == TALKS[0]


def test_paraphrases_are_other_words_for_the_same_with_all_numbers_and_code() -> None:
    def answer(body: Json) -> str:
        text = question(body)
        if text.startswith("Would the same"):
            return "No, it asks for a song." if "เพลง" in text else "Yes"
        if "กรุงเทพ" in text:
            return "เมืองหลวงของไทยตั้งอยู่ส่วนใดของโลก"
        return "ขอผลรวมของ 25 และ 71 โดยเรียกใช้คำสั่ง `sum`" if "25" in text else "ร้องเพลงให้ฉันหน่อยได้ไหม"

    outcome = with_teacher(answer, lambda teacher: paraphrase(TALKS, teacher))
    assert [m.conversation.messages[0].content for m in outcome.made] == ["เมืองหลวงของไทยตั้งอยู่ส่วนใดของโลก"]
    assert outcome.made[0].conversation.messages[1] == TALKS[0].messages[1]
    assert [(d.reason, d.detail) for d in outcome.dropped] == [
        ("number_or_code_lost", "the number 17 is lost"),
        ("other_meaning", "No, it asks for a song."),
    ]


def test_copies_must_differ_from_each_other() -> None:
    outcome = with_teacher(
        lambda body: "yes" if "same answer" in question(body) else "เมืองหลวงของไทยตั้งอยู่ส่วนใดของโลก",
        lambda teacher: paraphrase(TALKS[:1], teacher, copies=3),
    )
    assert len(outcome.made) == 1
    assert [d.reason for d in outcome.dropped] == ["not_new", "not_new"]
