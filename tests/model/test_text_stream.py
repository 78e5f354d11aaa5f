"""Streams of ids become text in whole clusters."""

import unicodedata
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.model.chat_format import ChatFormat
from seallm.model.text_stream import TextStream, stream_text

WORDS = [
    "สวัสดีครับ",
    "น้ำ",
    "ກຳ",
    "សួស្តី",
    "ខ្ញុំ",
    "ប៊\u200cី",
    "မင်္ဂလာပါ",
    "ကျွန်တော်",
    "Tiếng Việt",
    "e\u0301",
    "👩‍👩‍👧",
    "👍🏽",
    "🇹🇭",
    "今天",
]


@settings(max_examples=30, deadline=None)
@given(text=st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), max_size=8).map("".join))
def test_streamed_text_is_whole_and_complete(any_format: ChatFormat, text: str) -> None:
    ids = any_format.answer_ids(text)
    pieces = list(stream_text(any_format, iter(ids)))
    assert "".join(pieces) == any_format.decode(ids)
    assert all(pieces)
    for before, piece in pairwise(pieces):
        if before.endswith("\n"):  # nothing joins a line end
            continue
        assert unicodedata.category(piece[0]) not in ("Mn", "Mc", "Me")
        assert piece[0] not in "ำຳ\u200d\u200c"
    assert all(piece[-1] not in "\u17d2\u1039\u200d" for piece in pieces[:-1])


@settings(max_examples=30, deadline=None)
@given(ids=st.lists(st.integers(min_value=0, max_value=720), max_size=30))
def test_any_ids_stream_to_what_they_decode_to(any_format: ChatFormat, ids: list[int]) -> None:
    assert "".join(stream_text(any_format.plain, iter(ids))) == any_format.decode(ids)


def test_text_is_shown_as_soon_as_it_is_safe(chat_format: ChatFormat) -> None:
    ids = chat_format.encode_text("Hello, what is the weather like today?")
    seen: list[str] = []
    after: list[int] = []
    for piece in stream_text(chat_format, iter(ids)):
        seen.append(piece)
        after.append(len("".join(seen)))
    assert len(seen) > 3
    characters = [len(chat_format.decode(ids[: n + 1])) for n in range(len(ids))]
    assert after[:-1] == [c - 1 for c in characters if c > 1][: len(after) - 1]


def test_a_line_end_is_shown_at_once(chat_format: ChatFormat) -> None:
    text = TextStream(chat_format)
    pieces = [text.feed(token_id) for token_id in chat_format.encode_text("Hello.\n")]
    assert "".join(pieces) == "Hello.\n"
    assert text.finish() == ""


def test_a_cluster_with_a_non_joiner_is_one(chat_format: ChatFormat) -> None:
    pieces = list(stream_text(chat_format, chat_format.encode_text("ក ប៊\u200cី ក")))
    assert any("ប៊\u200cី" in piece for piece in pieces)


def test_an_answer_that_is_cut_keeps_no_half_character(chat_format: ChatFormat) -> None:
    ids = chat_format.plain.encode("ไ")
    text = TextStream(chat_format)
    assert text.feed(ids[0]) == ""
    assert TextStream(chat_format).finish() == text.finish(is_cut=True) == ""
