"""Counted pieces in, merges out: continued byte-pair encoding under the parity rule.

Each step takes the merge with the highest marginal gain on the sum of r_l^p over the languages, where r_l is the tokens
of language l relative to English on the parallel development sentences (English in its own, unchanged encoding):

    score(pair, l) = occurrences of the pair in l / current tokens of l's corpus text * r_l^p

p = 1 is frequency within each language, a large p is max-min parity. Pure max-min (parity-aware BPE, arXiv 2508.04796)
gives everything to one language where its development text differs from its corpus; the gain-weighted rule does not,
and a language whose merges shorten its corpus text but not its development text is stopped. Merges are learned on top
of the base's (continued BPE, arXiv 2512.03989) and rank behind them, so a text is first encoded exactly as before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.pair_index import PairIndex
from seallm.vocab.rules import TokenRules

# a language is stopped when a window of its merges gains its development text less than this share of the corpus gain
STALL_WINDOW_MERGES = 100
MIN_DEV_GAIN_SHARE = 0.1
# a pair that stands in the preserved language's text more than once in a million tokens is never merged
MAX_PRESERVED_RATE = 1e-6
# share of the preserved language's unseen tokens that all merges together may replace
MAX_UNSEEN_CHANGED_SHARE = 0.003


@dataclass(frozen=True)
class Merge:
    """One new token.

    Attributes:
        left, right: spellings of its parts in the vocabulary.
        new_id: its id.
        language: number of the language it was chosen for.
        count: occurrences of the pair in that language's corpus text when it was chosen.
    """

    left: str
    right: str
    new_id: int
    language: int
    count: int

    @property
    def token(self) -> str:
        """Its spelling."""
        return self.left + self.right


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
        exponent: p of the rule.
        preserved: the language whose text must stay as it is; its development text is also the unit of the ratios.
        learning: the languages that get merges.
        preserved_letters: characters that are usual in the preserved language.
    """

    exponent: float
    preserved: int
    learning: Sequence[int]
    preserved_letters: frozenset[str]


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
            language, left, right, count = found
            objection = self._objection(left, right, language)
            if objection is None:
                return self._make(left, right, language, count)
            self.learned.rejected[objection] += 1
            self._index.reject_best(language)

    def _best(self) -> tuple[int, int, int, int] | None:
        """The pair with the highest score as (language, left, right, count); ties to the language named first."""
        best, best_score = None, 0.0
        for language in self._active:
            pair = self._index.best(language)
            if pair is None:
                continue
            train_tokens, dev_tokens = self._totals(language)
            score = pair[2] / train_tokens * (dev_tokens / self._reference_tokens) ** self._objective.exponent
            if score > best_score:
                best, best_score = (language, *pair), score
        return best

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
        corpus_count = self._index.count(self._objective.preserved, left, right)
        if corpus_count > MAX_PRESERVED_RATE * self._preserved_tokens:
            return True
        shortened = self._reference_tokens - self._totals(self._objective.preserved)[1]
        if 2 * shortened < MAX_UNSEEN_CHANGED_SHARE * self._reference_tokens:
            return False
        try:
            return self._objective.preserved_letters.issuperset(token.decode("utf-8").removeprefix(" "))
        except UnicodeDecodeError:
            return False  # part of a character that no single byte writes

    def _spells_itself(self, token: str, left: int, right: int) -> bool:
        """True where the token's own letters are encoded as just these two: then the token is reachable for ever.

        Later merges rank behind this one, so none can come between.
        """
        symbols = [symbol for letter in token for symbol in self._encoder.symbols_of(letter)]
        ids, _ = self._encoder.encode_symbols(np.array(symbols, np.int32), np.array([0, len(symbols)], np.int64))
        return bool(ids.tolist() == [left, right])

    def _make(self, left: int, right: int, language: int, count: int) -> Merge:
        merge = Merge(self._spelling[left], self._spelling[right], len(self._token_bytes), language, count)
        self._index.merge(left, right, merge.new_id)
        self._encoder.add_merge(left, right, merge.new_id, merge.token)
        self._spelling[merge.new_id] = merge.token
        self._token_bytes.append((self._token_bytes[left] or b"") + (self._token_bytes[right] or b""))
        self.learned.merges.append(merge)
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
