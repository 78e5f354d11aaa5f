from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError, ModelError
from seallm.base.records import Message
from seallm.model.chat_format import MARKER, ChatFormat
from seallm.train.chat_rows import ChatBatches, ChatRows
from seallm.train.examples import Example
from seallm.train.inspector import Inspector
from seallm.train.processes import ALONE
from seallm.train.segments import IGNORED, Segment, conversation_segment

CPU = torch.device("cpu")
texts = st.text(min_size=1, max_size=12).filter(str.strip) | st.sampled_from(
    [MARKER, "</s>", "<s>", "assistant\n", "สวัสดี"]
)
turns = st.lists(st.tuples(texts, texts), min_size=1, max_size=3)


def dialogue(pairs: list[tuple[str, str]], system: str = "") -> tuple[Message, ...]:
    messages = [Message("system", system)] if system else []
    for question, answer in pairs:
        messages += [Message("user", question), Message("assistant", answer)]
    return tuple(messages)


def segment_of(messages: tuple[Message, ...], chat_format: ChatFormat) -> Segment:
    encoded = chat_format.encode(messages)
    return conversation_segment(encoded.ids, encoded.supervised, "en")


@settings(deadline=None)
@given(turns, texts | st.just(""))
def test_right_masks_pass(chat_format: ChatFormat, pairs: list[tuple[str, str]], system: str) -> None:
    Inspector(chat_format).check([[segment_of(dialogue(pairs, system), chat_format)]])


@settings(deadline=None, max_examples=60)
@given(turns, st.data())
def test_any_wrong_target_is_found(chat_format: ChatFormat, pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    segment = segment_of(dialogue(pairs), chat_format)
    place = data.draw(st.integers(0, len(segment.ids) - 2))
    was = int(segment.targets[place])
    segment.targets[place] = IGNORED if was != IGNORED else segment.ids[place + 1]
    expected = "carries no loss" if was != IGNORED else "a token of a prompt carries loss"
    with pytest.raises(ModelError, match=expected):
        Inspector(chat_format).check([[segment]])


def test_an_unsupervised_end_of_turn_is_named(chat_format: ChatFormat) -> None:
    segment = segment_of(dialogue([("Hi", "Hello")]), chat_format)
    segment.targets[segment.targets == chat_format.end_id] = IGNORED
    with pytest.raises(ModelError, match="an end of turn carries no loss"):
        Inspector(chat_format).check([[segment]])


def test_a_turn_without_end_is_found(chat_format: ChatFormat) -> None:
    segment = segment_of(dialogue([("Hi", "Hello")]), chat_format)
    with pytest.raises(ModelError, match="no end of turn"):
        Inspector(chat_format).check([[Segment(segment.ids[:-1], segment.targets[:-1], "en")]])


def test_conversations_are_packed_whole_and_long_ones_left_out(chat_format: ChatFormat) -> None:
    examples = [Example(dialogue([(f"Question {n}", "word " * (n % 7))]), "en") for n in range(1, 40) if n % 7]
    examples.append(Example(dialogue([("Long", "word " * 400)]), "th"))
    rows = ChatRows()
    rows.add(examples, chat_format, 256, seed=0)
    assert rows.counts == {"conversation": len(examples) - 1, "left out: conversation longer than sequence_tokens": 1}
    found = Counter(tuple(segment.ids.tolist()) for row in rows.rows for segment in row)
    assert found == Counter(tuple(chat_format.encode(e.messages).ids) for e in examples[:-1])
    assert all(sum(len(segment.ids) for segment in row) <= 256 for row in rows.rows)
    assert len(rows.rows) <= 1 + 1.05 * sum(len(s.ids) for row in rows.rows for s in row) / 256


def test_examples_are_counted_by_language_and_category(chat_format: ChatFormat) -> None:
    turns = dialogue([("a", "b")])
    rows = ChatRows()
    kinds = [Example(turns, "en", "quiz"), Example(turns, "th", "quiz+safety", "joined"), Example(turns, "th")]
    rows.add(kinds, chat_format, 64, seed=0)
    assert rows.languages == {"en": 1, "th": 2}
    assert rows.categories == {"quiz": 2, "safety": 1, "none": 1}


def test_what_comes_late_stays_late(chat_format: ChatFormat) -> None:
    rows = ChatRows()
    for language in ("en", "th"):
        rows.add([Example(dialogue([("a", "b")]), language)] * 30, chat_format, 64, seed=0, label="chat.")
    labels = [segment.label for row in rows.rows for segment in row]
    assert labels == ["chat.en"] * 30 + ["chat.th"] * 30


def test_a_system_prompt_gives_way_where_it_is_too_long(chat_format: ChatFormat) -> None:
    rows = ChatRows()
    rows.add([Example(dialogue([("Hi", "Hello")], system="word " * 100), "en")], chat_format, 64, seed=0)
    assert rows.rows[0][0].ids.tolist() == chat_format.encode(dialogue([("Hi", "Hello")])).ids


def test_nothing_that_fits_is_an_error(chat_format: ChatFormat) -> None:
    rows = ChatRows()
    rows.add([Example(dialogue([("Hi", "Hello")]), "en")], chat_format, 8, seed=0)
    with pytest.raises(DataError, match="sequence_tokens = 8"):
        rows.check(8)


def test_batches_hold_all_rows_and_are_inspected(chat_format: ChatFormat) -> None:
    rows = ChatRows()
    rows.add([Example(dialogue([(f"q {n}", "yes")]), "en") for n in range(25)], chat_format, 64, seed=0)
    batches = ChatBatches(rows.rows, 4, 64, CPU, Inspector(chat_format))
    steps = [batches(step) for step in range(batches.steps)]
    assert sum(part.input_ids.shape[0] for step in steps for part in step.parts(ALONE)) == len(rows.rows)
    supervised = sum(int((part.targets != IGNORED).sum()) for part in steps[0].parts(ALONE))
    assert next(iter(steps[0].parts(ALONE))).loss_tokens == supervised
    target = rows.rows[0][0].targets
    target[np.flatnonzero(target != IGNORED)[0]] = IGNORED
    with pytest.raises(ModelError, match="carries no loss"):
        batches(0)
