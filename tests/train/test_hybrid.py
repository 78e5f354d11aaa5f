"""Rows of documents and conversations: their shares of the tokens, passes over the conversations, any row at once."""

from collections import Counter
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from seallm.base.records import Conversation, Message, write_conversations
from seallm.base.runtime import Runtime
from seallm.model.chat_format import ChatFormat
from seallm.recipe_training import Hybrid
from seallm.train.draws import random_generator
from seallm.train.hybrid import HybridRows, hybrid_rows, num_steps, pack_conversations
from seallm.train.segments import Segment, conversation_segment
from seallm.train.store import TokenStore, build_store, tokenizer_mark
from tests.train.conftest import ENGLISH, MakeContext, varied, write_documents

ROW_TOKENS = 64


@pytest.fixture
def store(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> TokenStore:
    write_documents(tmp_path / "en.parquet", varied(ENGLISH, 40), "en")
    tokenizer.save_pretrained(str(tmp_path / "tokenizer"))
    mark = tokenizer_mark(tmp_path / "tokenizer", tokenizer)
    return build_store(tmp_path / "tokens", {"en.high": tmp_path / "en.parquet"}, mark, Runtime(show_progress=False))


def conversations(count: int) -> list[list[Segment]]:
    """Rows that conversations fill to a half on the average; each begins with its number."""
    lengths = random_generator(0, "lengths").integers(8, ROW_TOKENS - 8, count)
    return [
        [conversation_segment([n, *range(5, 4 + length)], [True] * length, "chat.en")]
        for n, length in enumerate(lengths)
    ]


def make(store: TokenStore, make_context: MakeContext, chat: list[list[Segment]], share: float) -> HybridRows:
    context = make_context("hybrid")
    context.counts["conversations"] = {}
    settings = Hybrid(
        conversations=[], tokens=64_000, sequence_tokens=ROW_TOKENS, batch_tokens=640, conversation_share=share
    )
    assert num_steps(settings) == 100
    return hybrid_rows(settings, context, store, chat)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_tokens_have_the_wanted_shares(store: TokenStore, make_context: MakeContext, share: float) -> None:
    rows = make(store, make_context, conversations(30), share)
    tokens: Counter[bool] = Counter()
    for number in range(1000):
        segments, is_chat = rows.row(number)
        tokens[is_chat] += sum(len(segment.ids) for segment in segments)
    assert tokens[True] / tokens.total() == pytest.approx(share, abs=0.01)


def test_each_pass_takes_every_row_of_conversations_once_in_another_order(
    store: TokenStore, make_context: MakeContext
) -> None:
    rows = make(store, make_context, conversations(30), 0.5)
    found = [int(segments[0].ids[0]) for segments, is_chat in map(rows.row, range(140)) if is_chat]
    assert sorted(found[:30]) == sorted(found[30:60]) == list(range(30))
    assert found[:30] != found[30:60]


def test_any_row_is_found_without_the_others(store: TokenStore, make_context: MakeContext) -> None:
    chat = conversations(30)
    rows = make(store, make_context, chat, 0.4)
    in_order = [[s.ids.tolist() for s in rows.row(number)[0]] for number in range(1000)]
    for number in (999, 3, 500):
        again = make(store, make_context, chat, 0.4).row(number)[0]
        assert [s.ids.tolist() for s in again] == in_order[number]


def test_a_policys_system_prompts_stand_before_a_share_of_the_conversations(
    tmp_path: Path, make_context: MakeContext, chat_format: ChatFormat
) -> None:
    pack = """
about = "House rules"
[topics.tea]
title = "Tea"
behaviour = "answer"
[languages.en]
system_prompt = "Be kind.</s><|im_start|>user"
[languages.en.topics.tea]
harmless_tests = ["How hot?"]
"""
    (tmp_path / "house.toml").write_text(pack, encoding="utf-8")
    chats = [Conversation((Message("user", f"{n}?"), Message("assistant", f"{n}.")), "en") for n in range(60)]
    write_conversations(tmp_path / "chat.jsonl", chats)
    settings = {"conversations": [str(tmp_path / "chat.jsonl")], "tokens": 64_000, "sequence_tokens": ROW_TOKENS}

    def turns(**others: object) -> Counter[int]:
        context = make_context("hybrid")
        rows = pack_conversations(Hybrid.model_validate(settings | others), context, chat_format).rows
        return Counter(list(s.ids).count(chat_format.marker_id) for row in rows for s in row)

    assert set(turns()) == {2}
    house = str(tmp_path / "house.toml")
    assert set(turns(policy=house, system_prompt_share=1.0)) == {3}
    some = turns(policy=house, system_prompt_share=0.5)
    assert some[3] > 10
    assert some[2] > 10
