"""Base tokenizer and texts by language in, new symbols and merges out: the learner set up and run to its end."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from seallm.base.errors import VocabError
from seallm.languages import Language
from seallm.recipe import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.characters import character_counts, missing_symbols
from seallm.vocab.learner import Learned, Learner, Objective
from seallm.vocab.pair_index import PairIndex
from seallm.vocab.pieces import count_pieces, encode_counts, joined
from seallm.vocab.pretokenizer import PreTokenizer
from seallm.vocab.rules import TokenRules

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
        base: tokenizer to extend, its pre-tokenizer repaired where need be.
        texts: the language to preserve first, then those to learn.
        settings: the recipe's [vocab].
        advance: called once for every new token.

    Raises:
        VocabError: the texts do not give that many tokens, or the missing symbols alone are more.
    """
    languages = [text.language for text in texts]
    pre_tokenizer = PreTokenizer(base)
    train = [count_pieces(text.corpus, pre_tokenizer) for text in texts]
    dev = [count_pieces(text.development, pre_tokenizer) for text in texts]
    missing = missing_symbols(base, languages[1:], train[1:], settings.min_frequency)
    if len(missing) > settings.new_tokens:
        raise VocabError(
            f"vocab.new_tokens = {settings.new_tokens}, but {len(missing)} characters of the languages are missing in "
            f"{base.where}, and they come first. Ask for more new tokens"
        )
    symbols = [Symbol(token, base.next_id + k, *missing[token]) for k, token in enumerate(missing)]
    encoder = BpeEncoder(base, {symbol.token: symbol.new_id for symbol in symbols}, settings.new_tokens)
    pieces = joined([encode_counts(*counts, k, encoder) for k, counts in enumerate(zip(train, dev, strict=True))])
    learning = range(1, len(texts))
    letters = character_counts(train[0])
    usual = frozenset(c for c, n in letters.items() if n >= MIN_USUAL_LETTER_SHARE * sum(letters.values()))
    learner = Learner(
        PairIndex(pieces, len(texts), learning, settings.min_frequency),
        encoder,
        TokenRules(languages, settings.max_token_characters),
        Objective(settings.parity_exponent, 0, learning, usual),
        _token_bytes(base, symbols),
    )
    for _ in symbols:
        advance()
    for made in range(len(symbols), settings.new_tokens):
        if learner.step() is None:
            raise Shortage(_shortage(made, settings, learner.learned, languages), made)
        advance()
    return Expansion(symbols, learner.learned, [language.code for language in languages])


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
        + f". Lower new_tokens to {made}, or give the corpus more text"
    )
