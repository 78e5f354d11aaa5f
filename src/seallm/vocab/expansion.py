"""Base tokenizer and texts by language in, new symbols and merges out: the learner set up and run to its end."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seallm.base.errors import VocabError
from seallm.languages import Language
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.characters import character_counts, missing_symbols
from seallm.vocab.learner import Learned, Learner, Merge, Objective
from seallm.vocab.pair_index import PairIndex
from seallm.vocab.pieces import (
    CORPUS_WEIGHT,
    count_pieces,
    encode_counts,
    joined,
    occurrence_weights,
    words_pattern,
)
from seallm.vocab.pretokenizer import PreTokenizer
from seallm.vocab.rules import TokenRules
from seallm.vocab.superwords import superword_languages, usual_words
from seallm.vocab.targets import closed_targets, pruned, read_targets

MIN_USUAL_LETTER_SHARE = 1e-5


class Shortage(VocabError):
    """The texts give fewer tokens than were asked for; `made` is how many they give."""

    def __init__(self, message: str, made: int) -> None:
        super().__init__(message)
        self.made = made


@dataclass(frozen=True)
class LanguageTexts:
    """What is learned from in one language: corpus documents, and its side of the parallel development sentences."""

    language: Language
    corpus: Iterable[str]
    development: Sequence[str]


@dataclass(frozen=True)
class Symbol:
    """A character (or byte letter) that the base could not write as one token."""

    token: str
    new_id: int
    language: str
    count: int


@dataclass(frozen=True)
class Expansion:
    """New tokens: symbols first, then merges in order of priority; `languages` are the codes behind the numbers."""

    symbols: Sequence[Symbol]
    learned: Learned
    languages: Sequence[str]

    def by_language(self) -> dict[str, int]:
        """New tokens of each language that got any chance."""
        counts = dict.fromkeys(self.languages[1:], 0)
        for code in [s.language for s in self.symbols] + [self.languages[m.language] for m in self.learned.merges]:
            counts[code] += 1
        return counts


def expand(
    base: BpeTokenizer, texts: Sequence[LanguageTexts], settings: Vocab, advance: Callable[[], None]
) -> Expansion:
    """Learn `settings.new_tokens` tokens on top of a base tokenizer.

    Args:
        base: tokenizer to extend, its pre-tokenizer repaired and opened for superwords where need be.
        texts: the language to preserve first, then those to learn.
        settings: the recipe's [vocab].
        advance: called once for every new token.

    Raises:
        VocabError: the texts do not give that many tokens, or the missing symbols alone are more.
    """
    languages = [text.language for text in texts]
    learning = [language.code for language in languages[1:]]
    if unknown := sorted(settings.languages_named() - set(learning)):
        raise VocabError(
            f"[vocab] names {', '.join(unknown)}, but the languages that learn are {', '.join(learning)}. Take it out "
            "of superwords, language_weights, min_tokens and max_tokens, or add it to languages"
        )
    counted = _count(base, texts, settings)
    symbols = _missing(base, languages, counted, settings)
    targets = None
    if settings.target_vocabulary is not None:
        targets = frozenset(read_targets(Path(settings.target_vocabulary)))
    learner = _learner(base, languages, counted, symbols, targets, settings)
    for _ in symbols:
        advance()
    made = len(symbols)
    while (made < settings.new_tokens or targets is not None) and learner.step() is not None:
        made += 1
        if made <= settings.new_tokens:
            advance()
    if made < settings.new_tokens:
        raise Shortage(_shortage(made, settings, learner.learned, languages), made)
    learned = learner.learned
    if targets is not None:
        learned = _pruned(learner, settings.new_tokens - len(symbols), base, targets)
    return Expansion(symbols, learned, [language.code for language in languages])


def _pruned(learner: Learner, keep: int, base: BpeTokenizer, targets: frozenset[str]) -> Learned:
    """All that the target vocabulary gives was merged: idle intermediates go again, then what gains least."""
    gains, learned = learner.gains(), learner.learned

    def gain_of(merge: Merge) -> float:
        return float(gains[merge.new_id]) if base.bytes_of(merge.token).decode("utf-8", "replace") in targets else 0.0

    merges, dropped = pruned(learned.merges, keep, gain_of)
    return Learned(merges, learned.rejected + Counter({"pruned: gains too little": dropped}), learned.stopped)


@dataclass(frozen=True)
class _Counted:
    """Counted pieces of every language, the preserved one first.

    Attributes:
        train, dev: by language, how often each piece occurs in the corpus and in the development sentences.
        weights: (languages, 2) what one occurrence weighs in each.
        superwords: by number of the language, the words that tokens across spaces may be made of.
    """

    train: Sequence[Counter[str]]
    dev: Sequence[Counter[str]]
    weights: NDArray[np.int64]
    superwords: Mapping[int, frozenset[str]]


def _count(base: BpeTokenizer, texts: Sequence[LanguageTexts], settings: Vocab) -> _Counted:
    languages = [text.language for text in texts]
    crossing = superword_languages(languages, settings.superwords, base)
    words_of = words_pattern(
        script for language in languages if language.code in crossing for script in language.scripts
    )
    pre_tokenizer = PreTokenizer(base)
    train = [count_pieces(text.corpus, pre_tokenizer, words_of) for text in texts]
    dev = [count_pieces(text.development, pre_tokenizer, words_of) for text in texts]
    # the preserved language's sentences stand for unseen text, so they must not decide
    shares = [0.0] + [settings.development_share] * (len(texts) - 1)
    weights = [occurrence_weights(*both) for both in zip(train, dev, shares, strict=True)]
    superwords = {
        number: usual_words(train[number]) for number, language in enumerate(languages) if language.code in crossing
    }
    return _Counted(train, dev, np.array(weights, np.int64), superwords)


def _missing(base: BpeTokenizer, languages: Sequence[Language], counted: _Counted, settings: Vocab) -> list[Symbol]:
    characters = [_weighted_characters(*both) for both in zip(counted.train, counted.dev, counted.weights, strict=True)]
    missing = missing_symbols(base, languages[1:], characters[1:], settings.min_frequency)
    if len(missing) > settings.new_tokens:
        raise VocabError(
            f"vocab.new_tokens = {settings.new_tokens}, but {len(missing)} characters of the languages are missing in "
            f"{base.where}, and they come first. Ask for more new tokens"
        )
    return [Symbol(token, new_id, *missing[token]) for new_id, token in enumerate(missing, base.next_id)]


def _weighted_characters(train: Counter[str], dev: Counter[str], weights: NDArray[np.int64]) -> dict[str, int]:
    """How often each character occurs, in occurrences of the corpus."""
    found = {character: count * int(weights[0]) for character, count in character_counts(train).items()}
    for character, count in character_counts(dev).items():
        found[character] = found.get(character, 0) + count * int(weights[1])
    return {character: weight // CORPUS_WEIGHT for character, weight in found.items()}


def _learner(
    base: BpeTokenizer,
    languages: Sequence[Language],
    counted: _Counted,
    symbols: Sequence[Symbol],
    targets: frozenset[str] | None,
    settings: Vocab,
) -> Learner:
    encoder = BpeEncoder(base, {symbol.token: symbol.new_id for symbol in symbols}, settings.new_tokens)
    both = enumerate(zip(counted.train, counted.dev, strict=True))
    pieces = joined([encode_counts(*counts, number, encoder) for number, counts in both])
    learning = range(1, len(languages))
    longest = [_longest(language, settings) for language in languages]
    allowed = None if targets is None else closed_targets(targets, base, encoder)
    return Learner(
        PairIndex(pieces, counted.weights, learning, settings.min_frequency * CORPUS_WEIGHT),
        encoder,
        TokenRules(languages, longest, counted.superwords, allowed),
        _objective(languages, counted, symbols, settings),
        _token_bytes(base, symbols),
    )


def _longest(language: Language, settings: Vocab) -> int:
    limits = [settings.max_script_characters.get(script, settings.max_token_characters) for script in language.scripts]
    return min(max(limits), settings.max_token_characters)


def _objective(
    languages: Sequence[Language], counted: _Counted, symbols: Sequence[Symbol], settings: Vocab
) -> Objective:
    letters = character_counts(counted.train[0])
    usual = (c for c, count in letters.items() if count >= MIN_USUAL_LETTER_SHARE * sum(letters.values()))
    codes = [language.code for language in languages]
    given = Counter(symbol.language for symbol in symbols)
    return Objective(
        exponent=None if settings.method == "frequency" else settings.parity_exponent,
        preserved=0,
        preserved_letters=frozenset(usual),
        max_changed_share=settings.max_changed_share,
        learning=range(1, len(languages)),
        factors=[settings.language_weights.get(code, 1.0) for code in codes],
        least=[settings.min_tokens.get(code, 0) for code in codes],
        most=[settings.max_tokens.get(code, settings.new_tokens) for code in codes],
        given=[given[code] for code in codes],
    )


def _token_bytes(base: BpeTokenizer, symbols: Sequence[Symbol]) -> list[bytes | None]:
    """By id, the bytes of what may be merged."""
    found: list[bytes | None] = [None] * (base.next_id + len(symbols))
    for token, token_id in base.vocabulary.items():
        if token not in base.unmergeable:
            found[token_id] = base.bytes_of(token)
    for symbol in symbols:
        found[symbol.new_id] = base.bytes_of(symbol.token)
    return found


def _shortage(made: int, settings: Vocab, learned: Learned, languages: Sequence[Language]) -> str:
    stopped = ", ".join(languages[number].code for number in learned.stopped)
    return (
        f"vocab.new_tokens = {settings.new_tokens}, but the corpus gives only {made} with min_frequency = "
        f"{settings.min_frequency}"
        + (f" (stopped because their development sentences gained nothing more: {stopped})" if stopped else "")
        + (" (languages at their max_tokens get no more)" if settings.max_tokens else "")
        + f". Lower new_tokens to {made}, or give the corpus more text"
    )
