"""Counted pieces in, merges out: continued byte-pair encoding, by parity or by frequency.

Under parity each step takes the merge with the highest marginal gain on the sum of f_l * r_l^p over the languages,
where f_l is the language's factor and r_l its tokens relative to English on the parallel development sentences (English
in its own, unchanged encoding):

    score(pair, l) = weight of the pair in l / weight of l's current tokens * f_l * r_l^p

The weight counts occurrences in the corpus and, each worth many of those, in the development sentences. p = 1 is
frequency within each language, a large p is max-min parity. Pure max-min (parity-aware BPE, arXiv 2508.04796)
gives everything to one language where its development text differs from its corpus; the gain-weighted rule does not,
and a language whose merges shorten its corpus text but not its development text is stopped. By frequency the score is
the weight times the factor alone. Merges are learned on top of the base's (continued BPE, arXiv 2512.03989) and rank
behind them, so a text is first encoded exactly as before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.pair_index import PairIndex
from seallm.vocab.pieces import CORPUS_WEIGHT
from seallm.vocab.rules import TokenRules

# a language is stopped when a window of its merges gains its development text less than this share of the corpus gain
STALL_WINDOW_MERGES = 100
MIN_DEV_GAIN_SHARE = 0.1
# a pair that stands in the preserved language's text more than once in a million tokens is never merged
MAX_PRESERVED_RATE = 1e-6


@dataclass(frozen=True)
class Merge:
    """One new token.

    Attributes:
        left, right: spellings of its parts in the vocabulary.
        new_id: its id.
        language: number of the language it was chosen for.
        weight: of the pair in that language's texts when it was chosen.
    """

    left: str
    right: str
    new_id: int
    language: int
    weight: int

    @property
    def token(self) -> str:
        """Its spelling."""
        return self.left + self.right

    @property
    def occurrences(self) -> int:
        """The weight in occurrences of the corpus."""
        return round(self.weight / CORPUS_WEIGHT)


@dataclass
class Learned:
    """What a learner has done.

    Attributes:
        merges: new tokens in order of priority.
        rejected: pairs refused, by reason.
        stopped: languages (by number) whose development text stopped gaining, and the merges they had by then.
    """

    merges: list[Merge] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    stopped: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """What is maximised, and what must not be touched. Languages are numbers.

    Attributes:
        exponent: p of the parity rule; None: by frequency.
        preserved: the language whose text must stay as it is; its development text is also the unit of the ratios.
        preserved_letters: characters that are usual in the preserved language.
        max_changed_share: share of the preserved language's tokens that all merges together may replace.
        learning: the languages that get merges.
        factors, least, most: by language, f of the rule, and the tokens it gets before all others and at most.
        given: by language, tokens it has got before any merge.
    """

    exponent: float | None
    preserved: int
    preserved_letters: frozenset[str]
    max_changed_share: float
    learning: Sequence[int]
    factors: Sequence[float]
    least: Sequence[int]
    most: Sequence[int]
    given: Sequence[int]


class Learner:
    """Chooses merges one by one.

    Args:
        index: pairs of all languages' pieces.
        encoder: the base's encoding; every new merge is added to it.
        rules: which tokens are allowed.
        objective: what to maximise and to preserve.
        token_bytes: by id, the bytes of every token that may stand in a text; None for those that must not be merged.
            New tokens are appended.
    """

    def __init__(
        self,
        index: PairIndex,
        encoder: BpeEncoder,
        rules: TokenRules,
        objective: Objective,
        token_bytes: list[bytes | None],
    ) -> None:
        self._index, self._encoder, self._rules, self._objective = index, encoder, rules, objective
        self._token_bytes = token_bytes
        self._spelling = {token_id: token for token, token_id in encoder.vocabulary.items()}
        self._active = list(objective.learning)
        self._given = list(objective.given)
        # what each language offers, until its text changes: most merges touch the text of one or two languages
        self._offers: dict[int, tuple[float, tuple[int, int, int] | None]] = {}
        self._preserved_tokens, self._reference_tokens = self._totals(objective.preserved)
        self._watch = {language: _Watch(*self._totals(language)) for language in self._active}
        self.learned = Learned()

    def _totals(self, language: int) -> tuple[int, int]:
        return int(self._index.train_tokens[language]), int(self._index.dev_tokens[language])

    def step(self) -> Merge | None:
        """Make the best merge that is allowed; None where no language has one left."""
        while True:
            found = self._best()
            if found is None:
                return None
            language, left, right, weight = found
            objection = self._objection(left, right, language)
            if objection is None:
                return self._make(left, right, language, weight)
            self.learned.rejected[objection] += 1
            self._index.reject_best(language)
            del self._offers[language]

    def gains(self) -> NDArray[np.float64]:
        """(ids,) what each token saves in the texts as they are encoded now, in the unit of the scores."""
        num_ids = len(self._token_bytes)
        gains = np.zeros(num_ids)
        for language in self._objective.learning:
            gains += self._index.uses(language, num_ids) * self._factor(language)
        return gains

    def _best(self) -> tuple[int, int, int, int] | None:
        """The pair to merge next as (language, left, right, weight); None where no language may or can go on."""
        open_languages = [k for k in self._active if self._given[k] < self._objective.most[k]]
        short = [k for k in open_languages if self._given[k] < self._objective.least[k]]
        return self._best_of(short) or self._best_of(open_languages)

    def _best_of(self, languages: Sequence[int]) -> tuple[int, int, int, int] | None:
        """The pair with the highest score; ties to the language named first."""
        best, best_score = None, 0.0
        for language in languages:
            if language not in self._offers:
                self._offers[language] = self._offer(language)
            score, pair = self._offers[language]
            if pair is not None and score > best_score:
                best, best_score = (language, *pair), score
        return best

    def _offer(self, language: int) -> tuple[float, tuple[int, int, int] | None]:
        pair = self._index.best(language)
        return (0.0, None) if pair is None else (pair[2] * self._factor(language), pair)

    def _factor(self, language: int) -> float:
        """What one unit of weight gains in a language."""
        factor = self._objective.factors[language]
        if self._objective.exponent is None:
            return factor
        ratio = self._totals(language)[1] / self._reference_tokens
        return float(factor * ratio**self._objective.exponent / self._index.weighted_tokens(language))

    def _objection(self, left: int, right: int, language: int) -> str | None:
        left_bytes, right_bytes = self._token_bytes[left], self._token_bytes[right]
        if left_bytes is None or right_bytes is None:
            return "control token or byte piece"
        objection = self._rules.objection(left_bytes, right_bytes, language)
        if objection is None and self._would_change_preserved(left, right, left_bytes + right_bytes):
            objection = "would change text of the base language"
        token = self._spelling[left] + self._spelling[right]
        if objection is None and token in self._encoder.vocabulary:
            objection = "spells a token that exists"
        if objection is None and not self._spells_itself(token, left, right):
            objection = "its own spelling is encoded in another way"
        return objection

    def _would_change_preserved(self, left: int, right: int, token: bytes) -> bool:
        """True where the pair stands in preserved text, or may stand in unseen text and that has changed enough.

        The preserved language's corpus text decides pair by pair. Its development text does not, so that the share of
        its tokens that merges have replaced estimates what happens to unseen text.
        """
        corpus_count = self._index.weight(self._objective.preserved, left, right) / CORPUS_WEIGHT
        if corpus_count > MAX_PRESERVED_RATE * self._preserved_tokens:
            return True
        shortened = self._reference_tokens - self._totals(self._objective.preserved)[1]
        if 2 * shortened < self._objective.max_changed_share * self._reference_tokens:
            return False
        try:
            return self._objective.preserved_letters.issuperset(token.decode("utf-8").replace(" ", ""))
        except UnicodeDecodeError:
            return False  # part of a character that no single byte writes

    def _spells_itself(self, token: str, left: int, right: int) -> bool:
        """True where the token's own letters are encoded as just these two: then the token is reachable for ever.

        Later merges rank behind this one, so none can come between.
        """
        symbols = [symbol for letter in token for symbol in self._encoder.symbols_of(letter)]
        ids, _ = self._encoder.encode_symbols(np.array(symbols, np.int32), np.array([0, len(symbols)], np.int64))
        return bool(ids.tolist() == [left, right])

    def _make(self, left: int, right: int, language: int, weight: int) -> Merge:
        merge = Merge(self._spelling[left], self._spelling[right], len(self._token_bytes), language, weight)
        for touched in self._index.merge(left, right, merge.new_id):
            self._offers.pop(touched, None)
        self._encoder.add_merge(left, right, merge.new_id, merge.token)
        self._spelling[merge.new_id] = merge.token
        self._token_bytes.append((self._token_bytes[left] or b"") + (self._token_bytes[right] or b""))
        self.learned.merges.append(merge)
        self._given[language] += 1
        if self._watch[language].has_stalled(*self._totals(language)):
            self._active.remove(language)
            self.learned.stopped[language] = sum(m.language == language for m in self.learned.merges)
        return merge


class _Watch:
    """Compares a language's gain on the development sentences with its gain on the corpus, window by window."""

    def __init__(self, train_tokens: int, dev_tokens: int) -> None:
        self._merges, self._train_tokens, self._dev_tokens = 0, train_tokens, dev_tokens

    def has_stalled(self, train_tokens: int, dev_tokens: int) -> bool:
        """Count one merge; True where a window ends in which the development text gained next to nothing."""
        self._merges += 1
        if self._merges < STALL_WINDOW_MERGES:
            return False
        train_gain = 1 - train_tokens / self._train_tokens
        dev_gain = 1 - dev_tokens / self._dev_tokens
        self._merges, self._train_tokens, self._dev_tokens = 0, train_tokens, dev_tokens
        return dev_gain < MIN_DEV_GAIN_SHARE * train_gain
