"""The regexes of this list cut as llama.cpp's of the same name; the nearest is found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from seallm.export.check_texts import check_texts
from seallm.export.gguf_file import plan_conversion, write_gguf
from seallm.export.llama_cpp_reader import LlamaCpp, has_llama_cpp
from seallm.export.pre_tokenizers import (
    KNOWN,
    Fit,
    PreTokenizer,
    as_llama_cpp,
    by_name,
    different_share,
    encode_all,
    fit,
)
from seallm.vocab.base_tokenizer import BpeTokenizer, load_bpe, parse_bpe
from tests.export.conftest import MakeModel

TEXTS = [text for lines in check_texts().values() for text in lines[-6:]]


@pytest.fixture(scope="module")
def folder(make_model: MakeModel) -> Path:
    return make_model("llama", "qwen")


@pytest.fixture(scope="module")
def qwen_with_marks(folder: Path) -> BpeTokenizer:
    return load_bpe(folder)


@pytest.fixture(scope="module")
def partner(qwen_with_marks: BpeTokenizer) -> Tokenizer:
    known = by_name("qwen35")
    assert known is not None
    return as_llama_cpp(qwen_with_marks.document, known)


@pytest.mark.skipif(not has_llama_cpp(), reason="llama-cpp-python is not installed")
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_each_cuts_as_llama_cpp(folder: Path, tmp_path: Path, known: PreTokenizer) -> None:
    conversion = plan_conversion(folder, "f16", ["a"])
    named = replace(conversion.vocabulary, fit=Fit(known.name, frozenset(), 0.0))
    write_gguf(replace(conversion, vocabulary=named), tmp_path / "a.gguf", "tiny", "f16")
    llama = LlamaCpp(tmp_path / "a.gguf")
    ours = encode_all(as_llama_cpp(load_bpe(folder).document, known), TEXTS)
    assert [llama.encode(text) for text in TEXTS] == ours
    llama.close()


@settings(max_examples=30, deadline=None)
@given(st.text(st.sampled_from("aZ'st 1٣\n\r\t .,ก็์ကို့ខ្ញុំ၊日é\u0301\u0323\u200b😀"), max_size=30))
def test_qwen_with_marks_has_an_exact_partner(qwen_with_marks: BpeTokenizer, partner: Tokenizer, text: str) -> None:
    assert encode_all(partner, [text]) == encode_all(qwen_with_marks.tokenizer, [text])


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_each_is_found_again_or_one_that_cuts_alike(qwen_with_marks: BpeTokenizer, known: PreTokenizer) -> None:
    document = as_llama_cpp(qwen_with_marks.document, known).to_str()
    found = fit(parse_bpe(json.loads(document), known.name), TEXTS)
    assert found.different_share == 0.0


def test_share_of_tokens_that_differ(qwen_with_marks: BpeTokenizer) -> None:
    wanted = encode_all(qwen_with_marks.tokenizer, ["Hello, what", "city"])
    assert different_share(qwen_with_marks, wanted, wanted) == 0.0
    letters = [[qwen_with_marks.vocabulary[letter] for letter in text] for text in ("Hello,Ġwhat", "city")]
    share = different_share(qwen_with_marks, wanted, letters)
    kept = sum(ids in one for one, other in zip(letters, wanted, strict=True) for ids in other)
    assert share == 1 - kept / sum(map(len, wanted))
