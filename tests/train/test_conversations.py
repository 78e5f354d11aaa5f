from collections import Counter
from pathlib import Path

import pytest

from seallm.base.errors import DataError
from seallm.base.records import Conversation, Message
from seallm.model.chat_format import ChatFormat
from seallm.recipe_training import Hybrid, Sft
from seallm.train.conversations import (
    HYBRID_SHARE,
    Caps,
    balanced_epoch,
    is_hybrid_part,
    left_for_tuning,
    load_conversations,
    write_used,
)
from seallm.train.hybrid import pack_conversations
from seallm.train.sft import tuning_conversations
from tests.train.conftest import MakeContext, chat_row, rows_of, write_chat


def conversation(text: str, language: str = "en") -> Conversation:
    return Conversation((Message("user", text), Message("assistant", "Yes.")), language)


def test_bad_rows_are_quarantined_and_everything_is_counted(tmp_path: Path, make_context: MakeContext) -> None:
    rows = [chat_row("Hi", "Hello", "en"), {"messages": "none", "language": "en"}, chat_row("Oi", "Olá", "pt")]
    path = write_chat(tmp_path / "chat.jsonl", rows)
    with path.open("a") as file:
        file.write("{broken\n")
    context = make_context("sft")
    assert [c.language for c in load_conversations([path], context)] == ["en"]
    assert context.counts["conversations"] == {"read": 1, "quarantined": 2, "of other languages": 1}
    quarantine = rows_of(context.out / "quarantine.jsonl")
    assert [row["where"] for row in quarantine] == ["chat.jsonl:2", "chat.jsonl:4"]
    assert "messages" in quarantine[0]["reason"]
    assert str(tmp_path) not in str(quarantine)


def test_no_conversation_at_all_is_an_error(tmp_path: Path, make_context: MakeContext) -> None:
    path = write_chat(tmp_path / "chat.jsonl", [chat_row("Oi", "Olá", "pt")])
    with pytest.raises(DataError, match=r"chat\.jsonl.*en, th, lo.*1 in other languages"):
        load_conversations([path], make_context("sft"))


def test_hybrid_and_tuning_share_no_conversation_and_lose_none(tmp_path: Path) -> None:
    conversations = [conversation(f"question {n}", "en" if n % 2 else "th") for n in range(1000)]
    english = [c for c in conversations if c.language == "en"]
    used = [c for c in english if is_hybrid_part(c)]
    assert len(used) / len(english) == pytest.approx(HYBRID_SHARE, abs=0.05)
    assert left_for_tuning(conversations, tmp_path) == conversations
    write_used(tmp_path, ["en"])
    left = left_for_tuning(conversations, tmp_path)
    assert [c for c in conversations if c not in used] == left
    assert sum(c.language == "th" for c in left) == 500


def test_epochs_are_balanced_and_take_turns() -> None:
    languages = ["en"] * 60 + ["th"] * 10 + ["lo"] * 10
    labels = [(language, "") for language in languages]
    epochs = [balanced_epoch(labels, Caps(0.5), epoch, seed=1) for epoch in range(3)]
    for chosen in epochs:
        assert Counter(languages[i] for i in chosen) == {"en": 20, "th": 10, "lo": 10}
        assert len(set(chosen)) == len(chosen)
    assert {i for chosen in epochs for i in chosen if i < 60} == set(range(60))
    assert epochs[0] != sorted(epochs[0])
    assert balanced_epoch(labels, Caps(0.5), 2, seed=1) == epochs[2]
    assert balanced_epoch(labels, Caps(0.5), 0, seed=2) != epochs[0]


def test_categories_are_balanced_within_each_language() -> None:
    labels = [("en", "quiz")] * 80 + [("en", "safety")] * 20 + [("th", "quiz")] * 30
    chosen = Counter(labels[i] for i in balanced_epoch(labels, Caps(1.0, {}, 0.6), 0, seed=1))
    assert chosen == {("en", "quiz"): 30, ("en", "safety"): 20, ("th", "quiz"): 30}
    chosen = Counter(labels[i] for i in balanced_epoch(labels, Caps(1.0, {"en": 0.25}, 0.6), 0, seed=1))
    assert chosen == {("en", "quiz"): 6, ("en", "safety"): 4, ("th", "quiz"): 30}


def test_a_stage_of_instructions_parts_conversations_for_hybrid_and_tuning(
    tmp_path: Path, make_context: MakeContext, chat_format: ChatFormat
) -> None:
    parts = tmp_path / "instructions"
    hybrid = write_chat(parts / "hybrid.jsonl", [chat_row(f"Is {n} a number?", "Yes.", "en") for n in range(9)])
    tuning = write_chat(parts / "sft.jsonl", [chat_row(f"And {n}, is it one?", "It is.", "en") for n in range(9)])
    context = make_context("hybrid", inputs={"instructions": parts, "model": tmp_path})
    assert context.conversations([], "hybrid") == [hybrid]
    assert context.conversations([], "sft") == [tuning]
    packed = pack_conversations(Hybrid(tokens=64), context, chat_format)
    assert packed.counts["conversation"] == 9  # all of them, not a share
    write_used(tmp_path, ())
    assert len(tuning_conversations(Sft(), context)) == 9
    named = make_context("other", inputs={})
    assert named.conversations([str(hybrid)], "hybrid") == [hybrid]
