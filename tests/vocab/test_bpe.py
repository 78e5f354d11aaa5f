import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.pretokenizer import PreTokenizer
from seallm.vocab.reference import ReferenceBpe
from tests.vocab.tiny import BASES, PROPERTY, documents, sentencepiece_json

TEXTS = st.text(alphabet="aehinorst THE. 019'\n  éệกนาาကြန်汉😀\x00")


def base_of(name: str) -> BpeTokenizer:
    return parse_bpe(json.loads(BASES[name]()), name)


@pytest.mark.parametrize("name", BASES)
@PROPERTY
@given(st.lists(TEXTS | st.text(), max_size=5))
def test_ids_are_those_of_the_library_and_of_plain_python(name: str, texts: list[str]) -> None:
    base = base_of(name)
    encoder, reference, cut = BpeEncoder(base, {}, 0), ReferenceBpe(base), PreTokenizer(base)
    for text in (t for t in texts if not any(token in t for token in base.added_tokens)):
        ids, offsets = encoder.encode(cut.pieces(text))
        assert offsets[-1] == ids.size
        assert ids.tolist() == base.tokenizer.encode(text, add_special_tokens=False).ids
        assert ids.tolist() == reference.encode(text)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("language", ["en", "my", "vi", "zh"])
def test_ids_on_documents(name: str, language: str) -> None:
    base = base_of(name)
    encoder, cut = BpeEncoder(base, {}, 0), PreTokenizer(base)
    for text in documents(language)[:3]:
        ids, _ = encoder.encode(cut.pieces(text))
        assert ids.tolist() == base.tokenizer.encode(text, add_special_tokens=False).ids


def test_each_piece_is_encoded_by_itself() -> None:
    encoder = BpeEncoder(base_of("byte-level"), {}, 0)
    pieces = [" the", "", " there", "the"]
    ids, offsets = encoder.encode(pieces)
    for number, piece in enumerate(pieces):
        alone, _ = encoder.encode([piece])
        assert ids[offsets[number] : offsets[number + 1]].tolist() == alone.tolist()


def test_added_symbols_and_merges_are_used() -> None:
    base = parse_bpe(json.loads(sentencepiece_json()), "base")
    encoder = BpeEncoder(base, {"ก": 5000, "า": 5001}, 2)
    encoder.add_merge(5000, 5001, 5002, "กา")
    encoder.add_merge(5002, 5000, 5003, "กาก")
    ids, _ = encoder.encode(["กากา"])
    assert ids.tolist() == [5002, 5002]  # the earlier merge wins, from the left
    ids, _ = encoder.encode(["กาก"])
    assert ids.tolist() == [5003]


def test_no_pieces_give_no_ids() -> None:
    ids, offsets = BpeEncoder(base_of("byte-level"), {}, 0).encode([])
    assert ids.size == 0
    assert offsets.tolist() == [0]
    assert ids.dtype == np.int32
