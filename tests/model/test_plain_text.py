"""Plain text: which tokenizers are taken, and which added tokens are text."""

import json

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import ModelError
from seallm.model.plain_text import PlainText
from tests.model.conftest import TEXT, build_tokenizer


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def test_other_kinds_of_tokenizer_are_refused() -> None:
    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0, False))
    with pytest.raises(ModelError, match="of type Unigram; seallm works with BPE"):
        PlainText(wrapped(unigram))


def test_tokenizer_that_would_drop_letters_is_refused() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    tokenizer.train_from_iterator(["only English letters here"], trainers.BpeTrainer(show_progress=False))
    with pytest.raises(ModelError, match=r"lacks \d+ of the bytes of UTF-8 text"):
        PlainText(wrapped(tokenizer))


def test_bytes_that_no_text_holds_may_be_missing() -> None:
    tokenizer = build_tokenizer("byte-level")
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for character in ("Ā", "Á", "ÿ", "ñ"):  # bytes 00, C1, FF and F1 in GPT-2's writing
        del state["model"]["vocab"][character]
    plain = PlainText(wrapped(Tokenizer.from_str(json.dumps(state))))
    assert plain.decode(plain.encode("".join(TEXT) + "🙂")) == "".join(TEXT) + "🙂"


@pytest.mark.parametrize("kind", ["byte-level", "spm-first"])
def test_added_tokens_of_white_space_stay_text(kind: str) -> None:
    """Gemma has runs of newlines as added tokens; without them its own text would be encoded in another way."""
    tokenizer = build_tokenizer(kind)
    tokenizer.add_tokens([AddedToken("\n\n\n", normalized=False)])
    newlines = len(tokenizer) - 1
    plain = PlainText(tokenizer)
    assert plain.encode("a\n\n\nb") == tokenizer.encode("a\n\n\nb", add_special_tokens=False)
    assert newlines in plain.encode("a\n\n\nb")
    assert newlines not in plain.control_ids
    assert plain.decode(plain.encode("a\n\n\nb")) == "a\n\n\nb"


def test_ids_beyond_the_vocabulary_decode_to_nothing() -> None:
    plain = PlainText(build_tokenizer("byte-level"))
    assert plain.decode([*plain.encode("a"), 99_999, *plain.encode("b")]) == "ab"


def test_half_a_character_is_shown_as_such() -> None:
    plain = PlainText(build_tokenizer("byte-level"))
    ids = plain.encode("ꦗ")
    assert plain.decode(ids) == "ꦗ"
    assert plain.decode(ids[:-1]) == "\ufffd"
