import itertools
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.vocab.base_tokenizer import parse_bpe
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.pieces import MAX_PIECE_CHARACTERS, count_pieces, cut_long, encode_counts, joined
from seallm.vocab.pretokenizer import PreTokenizer
from seallm.vocab.scripts import is_cluster_boundary
from tests.vocab.tiny import BASES, PROPERTY, documents


@PROPERTY
@given(st.text(alphabet="កខ្រាំះ ก่า", max_size=400))
def test_long_pieces_are_cut_at_cluster_boundaries_and_nothing_is_lost(text: str) -> None:
    parts = cut_long(text)
    assert "".join(parts) == text
    assert all(is_cluster_boundary(a[-1], b[0]) for a, b in itertools.pairwise(parts))
    assert all(len(part) >= MAX_PIECE_CHARACTERS for part in parts[:-1])


def test_short_pieces_stay_whole() -> None:
    assert cut_long("ก" * MAX_PIECE_CHARACTERS) == ["ก" * MAX_PIECE_CHARACTERS]
    assert [len(part) for part in cut_long("ก" * (2 * MAX_PIECE_CHARACTERS + 5))] == [64, 64, 5]


def test_a_sentencepiece_text_falls_into_words() -> None:
    cut = PreTokenizer(parse_bpe(json.loads(BASES["sentencepiece"]()), "base"))
    assert count_pieces(["a b  a\na"], cut) == Counter({"▁a": 1, "▁b": 1, "▁▁a\na": 1})


@pytest.mark.parametrize("name", BASES)
def test_pieces_of_documents_have_as_many_tokens_as_the_documents(name: str) -> None:
    base = parse_bpe(json.loads(BASES[name]()), name)
    texts = documents("en")[:3]
    counts = count_pieces(texts, PreTokenizer(base))
    pieces = encode_counts(counts, Counter(), 0, BpeEncoder(base, {}, 0))
    tokens = int(((pieces.offsets[1:] - pieces.offsets[:-1]) * pieces.train_count).sum())
    encodings = base.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    assert tokens == sum(len(encoding.ids) for encoding in encodings)


def test_languages_are_joined_in_order() -> None:
    base = parse_bpe(json.loads(BASES["byte-level"]()), "base")
    encoder = BpeEncoder(base, {}, 0)
    parts = [
        encode_counts(Counter({" the": 3, "x": 1}), Counter({"x": 2, "y": 1}), 0, encoder),
        encode_counts(Counter({" the": 5}), Counter(), 1, encoder),
    ]
    both = joined(parts)
    assert both.language.tolist() == [0, 0, 0, 1]
    assert both.train_count.tolist() == [3, 1, 0, 5]
    assert both.dev_count.tolist() == [0, 2, 1, 0]
    last = both.ids[both.offsets[3] : both.offsets[4]]
    assert last.tolist() == encoder.encode([" the"])[0].tolist()
