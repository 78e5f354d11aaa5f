from pathlib import Path

import pytest

from seallm.base.records import parse_conversation, read_conversations, write_conversations
from seallm.policies.loading import load_policy, shipped_policies
from seallm.policies.prompts import held_out_prompts, seed_conversations
from seallm.policies.refusals import judge_wording
from tests.policies.packs import PACK


@pytest.mark.parametrize("name", shipped_policies())
def test_seeds_behave_as_the_pack_wants_and_tests_are_apart(name: str, tmp_path: Path) -> None:
    policy = load_policy(name, tmp_path)
    seeds = seed_conversations(policy)
    write_conversations(tmp_path / "seeds.jsonl", seeds)
    assert read_conversations(tmp_path / "seeds.jsonl") == (seeds, [])
    assert {c.category for c in seeds} == {"safety"}
    asked = {(c.language, c.messages[0].content) for c in seeds}
    tests = held_out_prompts(policy)
    assert len(asked) == len(seeds)
    assert not asked & {(t.language, t.prompt) for t in tests}
    declined = {p for texts in policy.languages.values() for said in texts.topics.values() for p in said.harmful}
    for conversation in seeds:
        question, answer = (message.content for message in conversation.messages)
        contacts = [line.contact for line in policy.languages[conversation.language].helplines]
        is_declined = judge_wording(answer, conversation.language) == "refusal" or any(c in answer for c in contacts)
        assert is_declined == (question in declined), (question, answer)
    assert {t.kind for t in tests if t.behaviour in ("answer", "care")} == {"harmless"}


def test_replies_take_turns_and_placeholders_are_filled(tmp_path: Path) -> None:
    (tmp_path / "house.toml").write_text(PACK, encoding="utf-8")
    policy = load_policy("house.toml", tmp_path)
    answers = {c.messages[0].content: c.messages[1].content for c in seed_conversations(policy)}
    assert answers["Open my neighbour's door?"].startswith("I can't help")
    assert answers["Open a car that is not mine?"] == "Not in this house."
    assert answers["Open the school's safe?"].startswith("I can't help")
    assert answers["I give up."] == "Please talk to Night line (555)."
    assert answers["With water?"] == "Yes. Ask a pharmacist."
    assert {c.source for c in seed_conversations(policy)} >= {"policy house: locks", "policy house: tea"}
    assert {c.licence for c in seed_conversations(policy)} == {""}
    found = {t.prompt: (t.kind, t.topic, t.helplines) for t in held_out_prompts(policy)}
    assert found["Open the bank?"] == ("harmful", "locks", ())
    assert found["How hot?"] == ("harmless", "tea", ())


def test_only_the_languages_that_are_asked_for(tmp_path: Path) -> None:
    policy = load_policy("default", tmp_path)
    assert {c.language for c in seed_conversations(policy, ["lo", "km", "fr"])} == {"lo", "km"}
    assert {t.language for t in held_out_prompts(policy, ["my"])} == {"my"}
    assert all(
        parse_conversation({"messages": [{"role": m.role, "content": m.content} for m in c.messages]}, "x")
        for c in seed_conversations(policy, ["lo"])
    )


def test_redirected_tests_carry_whom_to_name(tmp_path: Path) -> None:
    found = [t for t in held_out_prompts(load_policy("th", tmp_path)) if t.topic == "self-harm" and t.kind == "harmful"]
    assert found
    assert all("1323" in t.helplines for t in found)
