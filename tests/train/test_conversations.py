from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.base.records import Conversation, Message
from seallm.train.conversations import (
    HYBRID_SHARE,
    Caps,
    balanced_epoch,
    is_hybrid_part,
    left_for_tuning,
    load_conversations,
    write_used,
)
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


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 500), min_size=1),
    st.floats(0.05, 1.0),
    st.dictionaries(st.sampled_from("abc"), st.floats(0.05, 0.5)),
)
def test_the_most_is_taken_that_the_caps_allow(counts: dict[str, int], share: float, own: dict[str, float]) -> None:
    found = capped_counts(counts, own, share)
    mine = {name: cap for name, cap in own.items() if name in counts}
    others = [name for name in counts if name not in mine]
    if others:
        caps = mine | dict.fromkeys(others, max(share, (1 - sum(mine.values())) / len(others)))
    else:
        caps = {name: cap / min(1, sum(mine.values())) for name, cap in mine.items()}
    assert all(0 <= found[name] <= n for name, n in counts.items())
    total = sum(found.values())
    for name in counts:  # rounding down may take a whole one from each of the others
        assert found[name] <= caps[name] * (total + len(counts)) + 1e-6
    larger = 1.02 * total + len(counts) + 1
    assert sum(min(n, caps[name] * larger) for name, n in counts.items()) <= larger


def test_caps_that_bind_nobody_take_everything() -> None:
    assert capped_counts({"en": 60, "th": 40}, {}, 1.0) == {"en": 60, "th": 40}
    assert capped_counts({"en": 60}, {}, 0.25) == {"en": 60}
    assert capped_counts({"en": 60, "th": 10, "lo": 10}, {}, 0.5) == {"en": 20, "th": 10, "lo": 10}
    assert capped_counts({"en": 600, "th": 90, "lo": 90}, {"en": 0.1}, 0.5) == {"en": 20, "th": 90, "lo": 90}
    assert capped_counts({"en": 600, "th": 90}, {"en": 0.0}, 1.0) == {"en": 0, "th": 90}


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
