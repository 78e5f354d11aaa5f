import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from seallm.vocab.base_tokenizer import byte_alphabet, parse_bpe
from seallm.vocab.pretokenizer import (
    GPT2_PATTERN,
    PreTokenizer,
    admit_marks,
    has_marks,
    is_letters_only,
    letters_only_patterns,
    repair,
)
from tests.vocab.tiny import BASES, LLAMA3_PATTERN, PROPERTY, byte_level_json, sentencepiece_json

LATIN_AND_SEA = st.sampled_from("abc XYZ 019 .,!'\n\t éêđ กขแ ກຂ កខ ကခ 汉字 ，。ﬁ￼")
BURMESE, KHMER = "မြန်မာနိုင်ငံ", "ព្រះរាជាណាចក្រ"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r" ?\p{L}+", r" ?[\p{L}\p{M}]+"),
        (r" ?[^\s\p{L}\p{N}]+", r" ?[^\s\p{L}\p{M}\p{N}]+"),
        (r"\[\p{L}", r"\[[\p{L}\p{M}]"),
        (r"\p{N}{1,3}", r"\p{N}{1,3}"),
    ],
)
def test_marks_become_letters(before: str, after: str) -> None:
    assert admit_marks(before) == after


@pytest.mark.parametrize("pattern", [GPT2_PATTERN, LLAMA3_PATTERN])
@PROPERTY
@given(st.text(LATIN_AND_SEA) | st.text())
def test_text_without_marks_is_cut_as_before(pattern: str, text: str) -> None:
    text = "".join(c for c in text if unicodedata.category(c)[0] != "M")
    cuts = [pre_tokenizers.Split(Regex(p), "isolated").pre_tokenize_str(text) for p in (pattern, admit_marks(pattern))]
    assert cuts[0] == cuts[1]


@pytest.mark.parametrize("name", ["byte-level", "byte-level with specials behind"])
def test_the_repair_lets_words_with_marks_be_one_piece(name: str) -> None:
    document = json.loads(BASES[name]())
    assert len(letters_only_patterns(document)) == 1
    repaired = repair(document)
    assert letters_only_patterns(repaired) == []
    assert repair(repaired) == repaired
    before, after = (PreTokenizer(parse_bpe(d, name)) for d in (document, repaired))
    for word in (BURMESE, KHMER):
        assert len(before.pieces(word)) > 3
        assert after.pieces(word) == [word]


def test_a_pattern_that_knows_marks_is_left_alone() -> None:
    assert not is_letters_only(r"[\p{L}\p{M}]+")
    document = json.loads(sentencepiece_json())
    assert repair(document) == document


@pytest.mark.parametrize("name", ["byte-level", "byte-level with specials behind"])
@PROPERTY
@given(st.text(LATIN_AND_SEA) | st.text(alphabet="ကြို့។ំ្ a1\n"))
def test_pieces_are_the_librarys(name: str, text: str) -> None:
    base = parse_bpe(json.loads(BASES[name]()), name)
    spelled = ["".join(byte_alphabet()[b] for b in piece.encode()) for piece in PreTokenizer(base).pieces(text)]
    assert spelled == [piece for piece, _ in base.tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def test_a_space_in_front_is_added_where_the_base_adds_one() -> None:
    document = json.loads(byte_level_json())
    document["pre_tokenizer"]["add_prefix_space"] = True
    pieces = PreTokenizer(parse_bpe(document, "base")).pieces
    assert pieces("ab c") == [" ab", " c"]
    assert pieces(" ab") == [" ab"]
    assert pieces("") == []


def test_metaspace_pieces() -> None:
    document = json.loads(sentencepiece_json())
    metaspace = Tokenizer(models.BPE())
    metaspace.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    document |= {"normalizer": None, "pre_tokenizer": json.loads(metaspace.to_str())["pre_tokenizer"]}
    assert PreTokenizer(parse_bpe(document, "base")).pieces("ab c") == ["▁ab▁c"]
    assert re.search("▁", "".join(PreTokenizer(parse_bpe(json.loads(sentencepiece_json()), "b")).pieces("ab c")))


def test_marks_are_found() -> None:
    assert has_marks(["abc", BURMESE])
    assert not has_marks(["abc", "汉字", "tiếng Việt"])
