import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from seallm.base.errors import DataError, VocabError
from seallm.vocab.base_tokenizer import byte_alphabet, load_bpe, parse_bpe
from tests.vocab.tiny import BASES, PROPERTY, byte_level_json, sentencepiece_json


@PROPERTY
@given(st.text())
def test_the_byte_alphabet_is_the_librarys(text: str) -> None:
    letters = "".join(byte_alphabet()[byte] for byte in text.encode("utf-8"))
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    assert letters == "".join(piece for piece, _ in split)


@pytest.mark.parametrize("name", BASES)
def test_new_ids_begin_behind_everything(name: str) -> None:
    base = parse_bpe(json.loads(BASES[name]()), name)
    assert base.next_id == max(base.tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    assert set(base.added_tokens) <= base.unmergeable


def test_byte_pieces_are_never_merged_and_spaces_are_spaces() -> None:
    base = parse_bpe(json.loads(sentencepiece_json()), "base")
    assert {"<0x00>", "<0xFF>", "<unk>", "</s>"} <= base.unmergeable
    assert base.bytes_of("▁the") == b" the"


def test_both_spellings_of_merges_are_read() -> None:
    document = json.loads(byte_level_json())
    spelled = [" ".join(pair) for pair in document["model"]["merges"]]
    as_text = parse_bpe({**document, "model": {**document["model"], "merges": spelled}}, "base")
    assert as_text.merges == parse_bpe(document, "base").merges


def _broken(change: dict[str, Any], part: str = "model") -> dict[str, Any]:
    document = json.loads(sentencepiece_json())
    return {**document, part: {**document[part], **change}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (json.loads(Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0)).to_str()), "holds a Unigram model"),
        (json.loads(Tokenizer(models.WordPiece({"a": 0})).to_str()), "holds a WordPiece model"),
        (_broken({"merges": []}), "0 merges"),
        (_broken({"byte_fallback": False}), "neither byte-level nor SentencePiece-style"),
        (_broken({"end_of_word_suffix": "</w>"}), "end_of_word_suffix = '</w>' is not supported"),
        (_broken({"merges": [["zz", "qq"]]}), "cannot be loaded by the tokenizers library"),
    ],
)
def test_what_cannot_be_extended_is_refused_in_one_line(document: dict[str, Any], message: str) -> None:
    with pytest.raises(VocabError, match=message) as caught:
        parse_bpe(document, "base/tokenizer.json")
    assert "\n" not in str(caught.value)
    assert "base/tokenizer.json" in str(caught.value)


def test_a_folder_without_tokenizer_json_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(VocabError, match=r"has no tokenizer.json \(found: tokenizer.model\)"):
        load_bpe(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match=r"tokenizer.json is not valid JSON"):
        load_bpe(tmp_path)
