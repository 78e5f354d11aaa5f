import functools
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from seallm.base.errors import VocabError
from seallm.vocab.base_tokenizer import parse_bpe
from seallm.vocab.sentencepiece_file import Piece, PieceType, SentencePieceModel, read_model, to_document, with_pieces
from tests.vocab.tiny import PROPERTY, documents, sentencepiece_model, sentences

TEXTS = st.text(
    st.one_of(st.sampled_from("etaoin  \n\t▁กาစမ中é0.😀\u200b"), st.characters(exclude_categories=("Cs",))), max_size=30
)
LANGUAGES = ("en", "th", "my", "zh", "vi")


def opened(data: bytes) -> SentencePieceModel:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.model"
        path.write_bytes(data)
        return read_model(path)


@functools.cache
def fast_and_library(**options: object) -> tuple[Tokenizer, SentencePieceProcessor]:
    data = sentencepiece_model(**options)  # type: ignore[arg-type]
    return Tokenizer.from_str(json.dumps(to_document(opened(data)))), SentencePieceProcessor(model_proto=data)


def fast_ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def test_pieces_are_those_that_the_library_reads() -> None:
    data = sentencepiece_model()
    model, library = opened(data), SentencePieceProcessor(model_proto=data)
    numbers = range(library.get_piece_size())
    assert [piece.text for piece in model.pieces] == [library.id_to_piece(i) for i in numbers]
    assert [piece.score for piece in model.pieces] == [library.get_score(i) for i in numbers]
    assert [piece.type == PieceType.BYTE for piece in model.pieces] == [library.is_byte(i) for i in numbers]
    assert (model.is_bpe, model.byte_fallback, model.adds_space, model.removes_spaces) == (True, True, True, False)


@PROPERTY
@given(st.lists(TEXTS, max_size=8))
def test_the_same_ids_as_the_library(texts: list[str]) -> None:
    tokenizer, library = fast_and_library()
    texts = [text for text in texts if not any(special in text for special in ("<s>", "</s>", "<unk>"))]
    assert fast_ids(tokenizer, texts) == library.encode(texts)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": True},
        {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
        {"user_defined_symbols": ["<mask>", "▁▁", "\n\n"]},
        {"kind": "unigram"},
    ],
)
def test_whatever_the_model_does_to_text(options: dict[str, object]) -> None:
    tokenizer, library = fast_and_library(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
    texts = [s for code in LANGUAGES for s in sentences("dev", code, 40)] + [t[:500] for t in documents("th")]
    texts += ["", " ", "  two  spaces ", "line\n\nbreak <mask>", "ﬁ ① e\u0301"]
    assert fast_ids(tokenizer, texts) == library.encode(texts)
    if options.get("normalization_rule_name") is None and not options.get("remove_extra_whitespaces"):
        assert tokenizer.decode_batch(fast_ids(tokenizer, texts), skip_special_tokens=False) == texts


def test_pieces_behind_its_own() -> None:
    data = sentencepiece_model()
    library = SentencePieceProcessor(model_proto=data)
    first, low = library.get_piece_size(), min(library.get_score(i) for i in range(library.get_piece_size()))
    new = [Piece("ก", low - 1), Piece("า", low - 2), Piece("กา", low - 3), Piece("<sep>", 0.0, PieceType.CONTROL)]
    grown = with_pieces(data, new, first + len(new))
    after = SentencePieceProcessor(model_proto=grown)
    assert after.get_piece_size() == first + 4
    assert after.encode("กาก") == [library.piece_to_id("▁"), first + 2, first]
    assert after.is_control(first + 3)
    assert after.encode("the end") == library.encode("the end")
    assert list(opened(grown).pieces[:first]) == list(opened(data).pieces)
    assert [piece.text for piece in opened(grown).pieces[first:]] == ["ก", "า", "กา", "<sep>"]


def test_a_unigram_model_can_be_measured_but_not_extended() -> None:
    document = to_document(opened(sentencepiece_model("unigram")))
    Tokenizer.from_str(json.dumps(document))
    with pytest.raises(VocabError, match=r"holds a Unigram model with 0 merges\. Only BPE"):
        parse_bpe(document, "unigram")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"is not a SentencePiece model \(it has no pieces\)"),
        (b"IQ== 0\nIg== 1\n", "is not a SentencePiece model"),
        (b"\x0a\xff\xff\xff", r"is not a SentencePiece model \(it ends too early\)"),
        (sentencepiece_model()[:1_000], "is not a SentencePiece model"),
        (b"PK\x03\x04" + bytes(range(256)), "is not a SentencePiece model"),
    ],
)
def test_another_file_of_that_name(data: bytes, message: str) -> None:
    with pytest.raises(VocabError, match=message) as caught:
        opened(data)
    assert "\n" not in str(caught.value)


def test_a_model_of_words() -> None:
    with pytest.raises(VocabError, match="holds a SentencePiece model of type 3"):
        opened(sentencepiece_model("word", byte_fallback=False))
