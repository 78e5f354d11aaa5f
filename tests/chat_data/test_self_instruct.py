"""Self-instruct with a teacher on a real server: only what is new, usable and in the language is kept and answered."""

import random

from seallm.base.records import Conversation, Message
from seallm.base.runtime import Runtime
from seallm.base.sampling import SamplingSettings
from seallm.chat_data.made import Outcome
from seallm.chat_data.novelty import NoveltyPool
from seallm.chat_data.self_instruct import SelfInstructSettings, instructions, self_instruct
from seallm.chat_data.teaching import Teacher
from seallm.endpoints.settings import EndpointSettings
from seallm.model.chat_models import ChatModelSettings, open_chat_model
from tests.endpoints.scripted_server import Json, ScriptedServer, question

THAI = [chr(0x0E01 + n) for n in range(40)]
SEEDS = [
    Conversation((Message("user", text), Message("assistant", "ตอบว่าได้ค่ะ")), "th", category, "demo")
    for text, category in (
        ("ช่วยแนะนำร้านก๋วยเตี๋ยวอร่อยในเชียงใหม่", "general-instruction"),
        ("สรุปข่าวน้ำท่วมเมื่อวานให้ฟังหน่อย", "text-processing"),
        ("ถ้ามีส้มสิบสองลูกแบ่งให้เพื่อนสามคนจะได้คนละกี่ลูก", "math-logic"),
    )
]


def invented(body: Json) -> str:
    """Five instructions of random letters, from the question's own draw; an answer where an instruction is asked."""
    text = question(body)
    if "===" not in text:
        return "คำตอบคือ" + text[:5] + "ครับผม"
    rng = random.Random(f"{text} {body['seed']}")
    return "\n===\n".join(f"{n}. " + "".join(rng.choices(THAI, k=30)) for n in range(1, 6))


def make(teach: object, count: int, **settings: object) -> tuple[Outcome, ScriptedServer]:
    with ScriptedServer(teach) as server:  # type: ignore[arg-type]
        model = open_chat_model(server.address, ChatModelSettings(endpoint=EndpointSettings(attempts=1)))
        teacher = Teacher(model, SamplingSettings(200, 0.7), False, Runtime(show_progress=False))
        outcome = self_instruct(SEEDS, ["ของเก่าที่มีอยู่แล้ว"], teacher, SelfInstructSettings(count, **settings))  # type: ignore[arg-type]
    return outcome, server


def test_as_many_as_are_wanted_all_new_and_the_same_again() -> None:
    outcome, server = make(invented, 23, licence="CC0")
    asked = [made.conversation.messages[0].content for made in outcome.made]
    assert len(asked) == len(set(asked)) == 23
    pool = NoveltyPool([s.messages[0].content for s in SEEDS])
    for text in asked:
        assert pool.closest(text).similarity < 0.7
        pool.add(text)
    first = outcome.made[0].conversation
    assert (first.language, first.source, first.licence) == ("th", "self-instruct by scripted", "CC0")
    assert {made.conversation.category for made in outcome.made} <= {s.category for s in SEEDS}
    assert not asked[0].startswith("1."), "the numbering stayed"
    assert set(server.paid.values()) == {1}
    assert make(invented, 23, licence="CC0")[0] == outcome
    assert make(invented, 23, licence="CC0", seed=1)[0].made != outcome.made


def test_a_teacher_that_repeats_itself_ends_the_work() -> None:
    def parrot(body: Json) -> str:
        same = "ช่วยเขียนจดหมายลางานให้หน่อยนะครับ"
        return f"{same}\n===\n{same}\n===\n{SEEDS[0].messages[0].content}" if "===" in question(body) else "ได้ครับ ตามนี้"

    outcome, server = make(parrot, 40)
    assert len(outcome.made) == 1
    assert {d.reason for d in outcome.dropped} == {"not_new"}
    assert len(server.asked) <= 8 + 1 + 8


def test_wrong_language_control_strings_and_refusals_are_dropped() -> None:
    def careless(body: Json) -> object:
        text = question(body)
        if "===" in text:
            good = invented(body).split("\n===\n")[:2]
            bad = ["Please write a short poem about the river and the moon tonight", "เขียน<|im_end|>สิบคำสั้น ๆ", "สั้น"]
            return "\n===\n".join([*good, *bad])
        return (
            "I only speak English, I am afraid, so here is a long English answer." if text[0] < "ฟ" else invented(body)
        )

    outcome, _ = make(careless, 10)
    reasons = {d.reason for d in outcome.dropped}
    assert {"wrong_language", "control_strings", "length"} <= reasons
    assert all(made.conversation.messages[1].content.startswith("คำตอบ") for made in outcome.made)
    answered_badly = [d for d in outcome.dropped if "answer" in d.content]
    assert answered_badly
    assert {d.reason for d in answered_badly} == {"wrong_language"}


def test_the_last_instruction_of_a_cut_answer_is_left_out() -> None:
    assert list(instructions("1. a b\n===\n- c\n=====\n\nd e", is_cut=False)) == ["a b", "c", "d e"]
    assert list(instructions("1. a b\n===\n- c\n=====\n\nd e", is_cut=True)) == ["a b", "c"]
