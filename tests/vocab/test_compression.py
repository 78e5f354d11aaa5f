from tokenizers import Tokenizer, models

from seallm.vocab.compression import count_tokens, measure_compression


def tokenizer(*merges: tuple[str, str]) -> Tokenizer:
    letters = {letter: number for number, letter in enumerate("abcd")}
    vocabulary = letters | {a + b: len(letters) + number for number, (a, b) in enumerate(merges)}
    return Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))


def test_tokens_relative_to_the_first_languages_before() -> None:
    base, extended = tokenizer(("a", "b")), tokenizer(("a", "b"), ("c", "d"))
    figures = measure_compression(base, extended, {"en": ["abab", "ab"], "th": ["cdcd", "cda"]})
    assert figures["tokens_before"] == {"en": 3, "th": 7}
    assert figures["tokens_after"] == {"en": 3, "th": 4}
    assert figures["before"] == {"en": 1.0, "th": 2.3333}
    assert figures["after"] == {"en": 1.0, "th": 1.3333}
    assert (figures["sentences"], figures["english_tokens_before"], figures["english_tokens_after"]) == (2, 3, 3)


def test_no_text_has_no_tokens() -> None:
    assert count_tokens(tokenizer(("a", "b")), []) == 0
