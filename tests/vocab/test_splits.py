"""Merges by pairs against the definition of SentencePiece and tiktoken: the best resulting token, then the leftmost."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from seallm.vocab.splits import split_merges, splits_of
from tests.vocab.tiny import PROPERTY

TOKENS = st.lists(st.text("abc", min_size=2, max_size=5), unique=True, max_size=12)


def by_result(text: str, tokens: list[str]) -> list[str]:
    """Merge the neighbours whose result comes first among the tokens, the leftmost of equals."""
    parts = list(text)
    while True:
        found = [(tokens.index(a + b), at) for at, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in tokens]
        if not found:
            return parts
        _, at = min(found)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def by_pairs(text: str, merges: list[tuple[str, str]]) -> list[str]:
    """Plain BPE: the first merge, at its leftmost place."""
    parts = list(text)
    while True:
        found = [(merges.index(pair), at) for at, pair in enumerate(itertools.pairwise(parts)) if pair in merges]
        if not found:
            return parts
        _, at = min(found)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def repeats(token: str) -> bool:
    """True for a token that is one piece three times or more: "aaa", "ababab"."""
    return any(len(token) % size == 0 and len(token) // size > 2 and token == token[:size] * (len(token) // size)
               for size in range(1, len(token)))  # fmt: skip


@PROPERTY
@given(TOKENS, st.text("abc", max_size=24))
def test_both_ways_of_merging_agree(tokens: list[str], text: str) -> None:
    tokens = [token for token in tokens if not repeats(token)]
    known = {*tokens, *"abc"}
    assert by_pairs(text, list(split_merges(tokens, known))) == by_result(text, tokens)


def test_where_two_merges_of_one_token_compete_the_leftmost_wins() -> None:
    tokens = ["ab", "ba", "aba"]
    assert splits_of("aba", {*tokens, "a", "b"}) == [("ab", "a"), ("a", "ba")]
    # the other way round: the longer border asks for the shorter left part first
    assert splits_of("aab", {"a", "ab", "aa", "b"}) == [("aa", "b"), ("a", "ab")]


def test_parts_that_are_no_tokens_make_no_merge() -> None:
    assert splits_of("abc", {"a", "bc"}) == [("a", "bc")]
    assert splits_of("abc", {"b"}) == []
