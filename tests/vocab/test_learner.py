import json
from collections import Counter
from typing import Any

import pytest

from seallm.base.errors import VocabError
from seallm.languages import load_languages
from seallm.recipe_vocab import Vocab
from seallm.vocab import learner as learner_module
from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.characters import character_counts
from seallm.vocab.expansion import MIN_USUAL_LETTER_SHARE, Expansion, LanguageTexts, expand
from seallm.vocab.pieces import CORPUS_WEIGHT, count_pieces, occurrence_weights
from seallm.vocab.pretokenizer import PreTokenizer, repair
from seallm.vocab.rules import TokenRules
from tests.vocab.slow_learner import SlowLearner
from tests.vocab.tiny import BASES, documents, sentences

CODES = ("en", "th", "id", "my")


def texts(codes: tuple[str, ...], characters: int = 2_500, development: int = 15) -> list[LanguageTexts]:
    found = []
    for code, language in load_languages(codes).items():
        corpus = "\n".join(documents(code))[:characters]
        found.append(LanguageTexts(language, [corpus], sentences("dev", code, development)))
    return found


def base_of(name: str) -> BpeTokenizer:
    return parse_bpe(repair(json.loads(BASES[name]())), name)


def learn(base: BpeTokenizer, given: list[LanguageTexts], settings: Vocab) -> Expansion:
    return expand(base, given, settings, lambda: None)


def slow(base: BpeTokenizer, given: list[LanguageTexts], settings: Vocab, fast: Expansion) -> SlowLearner:
    cut, spell = PreTokenizer(base), BpeEncoder(base, {}, 0).spell
    rows, weights = [], []
    for number, text in enumerate(given):
        train, dev = count_pieces(text.corpus, cut), count_pieces(text.development, cut)
        weights.append(occurrence_weights(train, dev, settings.development_share if number else 0.0))
        rows += [(spell(piece), number, train[piece], dev[piece]) for piece in {**train, **dev}]
    letters = character_counts(count_pieces(given[0].corpus, cut))
    usual = frozenset(c for c, n in letters.items() if n >= MIN_USUAL_LETTER_SHARE * sum(letters.values()))
    return SlowLearner(
        base,
        {symbol.token: symbol.new_id for symbol in fast.symbols},
        rows,
        TokenRules([text.language for text in given], [settings.max_token_characters] * len(given)),
        settings.parity_exponent if settings.method == "parity" else None,
        settings.min_frequency * CORPUS_WEIGHT,
        weights,
        settings.max_changed_share,
        usual,
    )


@pytest.mark.parametrize("name", ["byte-level", "sentencepiece"])
@pytest.mark.parametrize(
    "chosen",
    [
        {"parity_exponent": 1.0, "development_share": 0.0},
        {"parity_exponent": 3.0, "development_share": 0.6},
        {"method": "frequency"},
    ],
)
def test_equals_counting_everything_anew_at_every_step(
    name: str, chosen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same merges, same order, same languages and counts, with small windows and budgets so that every rule is met."""
    for module in (learner_module, __import__("tests.vocab.slow_learner", fromlist=["x"])):
        monkeypatch.setattr(module, "STALL_WINDOW_MERGES", 20)
        monkeypatch.setattr(module, "MIN_DEV_GAIN_SHARE", 0.6)
        monkeypatch.setattr(module, "MAX_PRESERVED_RATE", 3e-4)
    base, given = base_of(name), texts(CODES)
    settings = Vocab(
        parallel="-", new_tokens=200, min_frequency=3, max_token_characters=6, max_changed_share=0.01, **chosen
    )
    fast = learn(base, given, settings)
    reference = slow(base, given, settings, fast)
    merges = settings.new_tokens - len(fast.symbols)
    assert merges > 60
    assert all(reference.step() for _ in range(merges))
    assert [(m.left, m.right, m.language, m.weight) for m in fast.learned.merges] == reference.made
    assert fast.learned.stopped == reference.stopped


def test_the_same_again() -> None:
    base, settings = base_of("byte-level"), Vocab(parallel="-", new_tokens=150)
    assert learn(base, texts(CODES), settings) == learn(base, texts(CODES), settings)


def test_badly_compressed_languages_get_more() -> None:
    base = base_of("byte-level")
    counts = learn(base, texts(CODES), Vocab(parallel="-", new_tokens=200)).by_language()
    assert counts["my"] > counts["id"]
    assert counts["th"] > counts["id"]
    assert "en" not in counts


def test_a_language_whose_development_text_is_of_another_kind_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap of pure max-min: Burmese corpus text, but development sentences in letters no Burmese merge touches."""
    monkeypatch.setattr(learner_module, "STALL_WINDOW_MERGES", 30)
    given = texts(("en", "my", "th"), 20_000)
    strange = ["".join(chr(0x1200 + ord(c) % 64) for c in sentence) for sentence in given[1].development]
    given[1] = LanguageTexts(given[1].language, given[1].corpus, strange)
    fast = learn(base_of("byte-level"), given, Vocab(parallel="-", new_tokens=300))
    assert fast.learned.stopped == {1: 30}
    assert fast.by_language() == {"my": 30, "th": 270}


def test_no_merge_stands_in_english() -> None:
    base, given = base_of("sentencepiece"), texts(("en", "id", "ms", "tl"), 30_000)
    fast = learn(base, given, Vocab(parallel="-", new_tokens=200))
    assert fast.learned.rejected["would change text of the base language"] > 0
    encoder = BpeEncoder(base, {s.token: s.new_id for s in fast.symbols}, 200)
    english = list(count_pieces(given[0].corpus, PreTokenizer(base)))
    before = encoder.encode(english)[0].tolist()
    ids = dict(encoder.vocabulary)
    for merge in fast.learned.merges:
        encoder.add_merge(ids[merge.left], ids[merge.right], merge.new_id, merge.token)
        ids[merge.token] = merge.new_id
    assert encoder.encode(english)[0].tolist() == before


def test_every_merge_joins_tokens_that_exist_by_then() -> None:
    base = base_of("byte-level")
    fast = learn(base, texts(CODES), Vocab(parallel="-", new_tokens=200))
    known = set(base.vocabulary) | {symbol.token for symbol in fast.symbols}
    for number, merge in enumerate(fast.learned.merges):
        assert {merge.left, merge.right} <= known
        assert merge.token not in known
        assert merge.new_id == base.next_id + len(fast.symbols) + number
        known.add(merge.token)
    assert Counter(merge.language for merge in fast.learned.merges).keys() == {1, 2, 3}


def test_bounds_and_weights_by_language() -> None:
    base, given = base_of("byte-level"), texts(CODES, 8_000)
    plain = learn(base, given, Vocab(parallel="-", new_tokens=200)).by_language()
    least = learn(base, given, Vocab(parallel="-", new_tokens=200, min_tokens={"th": 150})).by_language()
    assert least["th"] == 150 > plain["th"]
    most = learn(base, given, Vocab(parallel="-", new_tokens=200, max_tokens={"my": 40})).by_language()
    assert most["my"] == 40 < plain["my"]
    heavier = learn(base, given, Vocab(parallel="-", new_tokens=200, language_weights={"id": 5.0})).by_language()
    assert heavier["id"] > plain["id"]


def test_bounds_that_leave_too_few_tokens() -> None:
    settings = Vocab(parallel="-", new_tokens=50, max_tokens={"th": 10, "id": 10, "my": 10})
    with pytest.raises(VocabError, match=r"gives only 30 .*max_tokens"):
        learn(base_of("byte-level"), texts(CODES, 8_000), settings)


def test_a_language_of_the_settings_that_is_not_learned() -> None:
    settings = Vocab(parallel="-", new_tokens=50, language_weights={"lo": 2.0, "en": 2.0})
    with pytest.raises(VocabError, match=r"\[vocab\] names en, lo, but the languages that learn are th, id, my"):
        learn(base_of("byte-level"), texts(CODES), settings)


def test_changes_of_english_stay_within_the_budget() -> None:
    base, given = base_of("sentencepiece"), texts(("en", "id", "ms", "vi"), 30_000, 200)
    tokens = []
    for share in (0.0, 0.05):
        fast = learn(base, given, Vocab(parallel="-", new_tokens=100, max_changed_share=share))
        encoder = BpeEncoder(base, {s.token: s.new_id for s in fast.symbols}, 200)
        english = list(count_pieces(given[0].development, PreTokenizer(base)))
        before = encoder.encode(english)[0].size
        for merge in fast.learned.merges:
            encoder.add_merge(
                encoder.vocabulary[merge.left], encoder.vocabulary[merge.right], merge.new_id, merge.token
            )
        tokens.append((before - encoder.encode(english)[0].size) / before)
    assert tokens[0] == 0
    assert 0 < 2 * tokens[1] <= 0.06
