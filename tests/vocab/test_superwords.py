import functools
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.base.errors import VocabError
from seallm.languages import load_languages
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.expansion import LanguageTexts, expand
from seallm.vocab.extend import extended_document
from seallm.vocab.pieces import count_pieces, encode_counts, words_pattern
from seallm.vocab.pretokenizer import PreTokenizer, repair
from seallm.vocab.reference import ReferenceBpe
from seallm.vocab.rules import TokenRules
from seallm.vocab.superwords import joins_words, prepared_base, superword_languages, usual_words
from tests.vocab.tiny import BASES, PROPERTY, documents, sentences

CODES = ("en", "vi", "id", "th")
LANGUAGES = list(load_languages(CODES).values())
TEXT = st.text(alphabet="aệ ữNgườí's(1.×\n", max_size=40) | st.text(max_size=20)


@functools.cache
def base_of(name: str, mark_aware: bool = True) -> BpeTokenizer:
    document = json.loads(BASES[name]())
    return parse_bpe(repair(document) if mark_aware else document, name)


@functools.cache
def joined_base(mark_aware: bool) -> BpeTokenizer:
    return prepared_base(base_of("byte-level", mark_aware), {}, LANGUAGES, ["vi"])


def encode(tokenizer: BpeTokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.tokenizer.encode(text, add_special_tokens=False).ids
    return ids


@pytest.mark.parametrize("mark_aware", [True, False])
@PROPERTY
@given(text=TEXT)
def test_the_regex_that_joins_words_leaves_the_ids_of_every_text(mark_aware: bool, text: str) -> None:
    """Before any merge is added: no merge of the base has a space behind a letter."""
    assert encode(joined_base(mark_aware), text) == encode(base_of("byte-level", mark_aware), text)


@PROPERTY
@given(text=st.text(alphabet="abc N'(1.×\n\t", max_size=40))
def test_words_of_the_base_language_are_cut_as_before(text: str) -> None:
    """Only a run of two words with letters beyond ASCII is kept together."""
    before, after = PreTokenizer(base_of("byte-level")), PreTokenizer(joined_base(True))
    assert after.pieces(text) == before.pieces(text)


def test_a_run_of_words_with_letters_of_its_own_stays_together() -> None:
    assert PreTokenizer(joined_base(True)).pieces("the người Việt ở Nam") == ["the", " người Việt ở", " Nam"]
    assert PreTokenizer(joined_base(True)).pieces("2×3 a×b c×d") == PreTokenizer(base_of("byte-level")).pieces(
        "2×3 a×b c×d"
    )


def test_pieces_of_a_sentencepiece_text_reach_across_spaces() -> None:
    cut = PreTokenizer(base_of("sentencepiece"))
    counts = count_pieces(["người Việt Nam, 3 người ở  ngoài"], cut, words_pattern(("latin",)))
    assert counts == Counter({"▁người▁Việt▁Nam,": 1, "▁3": 1, "▁người▁ở": 1, "▁▁ngoài": 1})


@pytest.mark.parametrize("name", ["sentencepiece", "byte-level"])
def test_pieces_across_spaces_have_the_documents_tokens(name: str) -> None:
    base = prepared_base(base_of(name), {}, LANGUAGES, ["vi"])
    texts = documents("vi")[:3]
    counts = count_pieces(texts, PreTokenizer(base), words_pattern(("latin",)))
    pieces = encode_counts(counts, Counter(), 0, BpeEncoder(base, {}, 0))
    tokens = int(((pieces.offsets[1:] - pieces.offsets[:-1]) * pieces.train_count).sum())
    assert tokens == sum(len(encode(base, text)) for text in texts)


def test_words_that_are_mostly_beginnings_are_not_usual() -> None:
    assert usual_words({"▁người▁Việt": 9, "▁n": 1, "▁thế▁giới": 3}) == {"người", "Việt", "n", "thế", "giới"}
    assert usual_words({"▁người": 40, "▁n": 1}) == {"người"}


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        (" người", " Việt", None),
        (" người Việt", " Nam", None),
        (" người", " V", "crosses a space into part of a word"),
        ("người", " Việt", "crosses a space into part of a word"),
        (" người", " Việt ", "crosses a space into part of a word"),
        (" người", " 3", "crosses a space into part of a word"),
        (" người Việt", " Nam Nam Nam Nam Nam", "too long"),
    ],
)
def test_tokens_across_spaces_are_whole_words(left: str, right: str, reason: str | None) -> None:
    rules = TokenRules(LANGUAGES, [24] * len(CODES), {1: {"người", "Việt", "Nam"}})
    assert rules.objection(left.encode(), right.encode(), 1) == reason
    assert rules.objection(b" yang", b" di", 2) == "not of the language's scripts"


@pytest.mark.parametrize("name", ["sentencepiece", "byte-level"])
def test_superwords_end_to_end(name: str) -> None:
    """Reachable, decoded to what was encoded, equal to plain BPE, and English as it was."""
    base = prepared_base(base_of(name), {}, LANGUAGES, ["vi"])
    given_texts = [
        LanguageTexts(language, documents(language.code, 60_000), sentences("dev", language.code, 60))
        for language in LANGUAGES[:2]
    ]
    found = expand(base, given_texts, Vocab(parallel="-", new_tokens=700, superwords=["vi"]), lambda: None)
    merges = [(m.left, m.right, m.new_id) for m in found.learned.merges]
    document = extended_document(base, {s.token: s.new_id for s in found.symbols}, merges)
    extended = parse_bpe(document, "extended")
    across = [m for m in found.learned.merges if " " in extended.bytes_of(m.token).decode("utf-8", "replace")[1:]]
    assert len(across) > 20
    for merge in across:
        text = extended.bytes_of(merge.token).decode()
        assert merge.new_id in encode(extended, text) + encode(extended, text[1:])
    reference = ReferenceBpe(extended)
    for text in [*sentences("test", "vi", 50), *documents("vi")[:2]]:
        ids = encode(extended, text)
        assert ids == reference.encode(text)
        assert extended.tokenizer.decode(ids) == text
    english = sentences("test", "en", 200)
    before, after = (sum(len(encode(t, s)) for s in english) for t in (base_of(name), extended))
    assert before * 0.99 < after <= before


def test_languages_that_cross_spaces() -> None:
    plain = base_of("sentencepiece")
    assert superword_languages(LANGUAGES, None, plain) == ["vi"]
    assert superword_languages(LANGUAGES, ["id", "th"], plain) == ["id", "th"]
    assert superword_languages(LANGUAGES, [], plain) == []
    assert superword_languages(LANGUAGES, None, base_of("byte-level")) == ["vi"]
    assert superword_languages(LANGUAGES, None, base_of("byte-level with specials behind")) == []


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("byte-level", "id", r"names 'id', but the pre-tokenizer of byte-level cuts at every space"),
        ("byte-level with specials behind", "vi", r"not under ignore_merges"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name: str, code: str, message: str) -> None:
    with pytest.raises(VocabError, match=message) as caught:
        superword_languages(LANGUAGES, [code], base_of(name))
    assert "\n" not in str(caught.value)


def test_a_metaspace_that_splits_is_refused() -> None:
    document = json.loads(BASES["sentencepiece"]())
    for split, able in ((True, []), (False, ["vi"])):
        step = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": split}
        base = parse_bpe({**document, "normalizer": None, "pre_tokenizer": step}, "base")
        assert superword_languages(LANGUAGES, None, base) == able


def test_a_pre_tokenizer_without_regex_cannot_join() -> None:
    document = json.loads(BASES["byte-level"]())
    document["pre_tokenizer"]["use_regex"] = False
    with pytest.raises(VocabError, match="has no regex that could keep words together"):
        joins_words(document, LANGUAGES[1:2])
