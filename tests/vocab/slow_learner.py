"""The learner's rule in plain Python, counting everything anew at every step: what the fast learner must equal."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from seallm.vocab.base_tokenizer import BpeTokenizer, byte_piece
from seallm.vocab.learner import (
    MAX_PRESERVED_RATE,
    MIN_DEV_GAIN_SHARE,
    STALL_WINDOW_MERGES,
)
from seallm.vocab.pieces import CORPUS_WEIGHT
from seallm.vocab.rules import TokenRules


@dataclass
class Piece:
    tokens: list[str]
    language: int
    train: int
    dev: int


@dataclass
class SlowLearner:
    """`pieces` are (spelled text, language, train count, dev count); language 0 is preserved."""

    base: BpeTokenizer
    symbols: dict[str, int]
    spelled: Sequence[tuple[str, int, int, int]]
    rules: TokenRules
    exponent: float | None
    min_weight: int
    weights: Sequence[tuple[int, int]]
    max_changed_share: float
    usual_letters: frozenset[str]
    made: list[tuple[str, str, int, int]] = field(default_factory=list)
    stopped: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ids = {**self.base.vocabulary, **self.symbols}
        self.ranks = {pair: rank for rank, pair in enumerate(self.base.merges)}
        self.pieces = [Piece(self.bpe(text), *rest) for text, *rest in self.spelled]
        self.num_languages = 1 + max(piece.language for piece in self.pieces)
        self.refused: set[tuple[int, str, str]] = set()
        self.reference = self.total(0, "dev")
        self.preserved = self.total(0, "train")
        self.windows = {k: (0, self.total(k, "train"), self.total(k, "dev")) for k in range(1, self.num_languages)}

    def bpe(self, text: str) -> list[str]:
        tokens: list[str] = []
        for letter in text:
            tokens += [letter] if letter in self.ids else [byte_piece(byte) for byte in letter.encode()]
        while True:
            ranked = [(self.ranks.get((a, b)), k) for k, (a, b) in enumerate(itertools.pairwise(tokens))]
            known = [(rank, k) for rank, k in ranked if rank is not None]
            if not known:
                return tokens
            k = min(known)[1]
            tokens[k : k + 2] = [tokens[k] + tokens[k + 1]]

    def total(self, language: int, what: str) -> int:
        return sum(getattr(p, what) * len(p.tokens) for p in self.pieces if p.language == language)

    def weight(self, piece: Piece) -> int:
        in_corpus, in_sentences = self.weights[piece.language]
        return in_corpus * piece.train + in_sentences * piece.dev

    def pairs(self, language: int) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        for piece in self.pieces:
            if piece.language == language:
                for pair in itertools.pairwise(piece.tokens):
                    counts[pair] += self.weight(piece)
        return counts

    def best_of(self, language: int) -> tuple[int, tuple[str, str]] | None:
        rows = [
            (-count, self.ids[a], self.ids[b], (a, b))
            for (a, b), count in self.pairs(language).items()
            if count >= self.min_weight and (language, a, b) not in self.refused
        ]
        return (-min(rows)[0], min(rows)[3]) if rows else None

    def step(self) -> bool:
        while True:
            best: tuple[float, int, int, tuple[str, str]] | None = None
            for language in range(1, self.num_languages):
                found = None if language in self.stopped else self.best_of(language)
                if found is not None:
                    score = float(found[0])
                    if self.exponent is not None:
                        tokens = sum(self.weight(p) * len(p.tokens) for p in self.pieces if p.language == language)
                        ratio = self.total(language, "dev") / self.reference
                        score *= ratio**self.exponent / tokens
                    if best is None or score > best[0]:
                        best = (score, language, *found)
            if best is None:
                return False
            _, language, count, pair = best
            if self.allowed(pair, language):
                self.merge(pair, language, count)
                return True
            self.refused.add((language, *pair))

    def allowed(self, pair: tuple[str, str], language: int) -> bool:
        left, right = pair
        if {left, right} & self.base.unmergeable or left + right in self.ids:
            return False
        left_bytes, right_bytes = self.base.bytes_of(left), self.base.bytes_of(right)
        if self.rules.objection(left_bytes, right_bytes, language) is not None:
            return False
        if self.pairs(0)[pair] / CORPUS_WEIGHT > MAX_PRESERVED_RATE * self.preserved:
            return False
        if 2 * (self.reference - self.total(0, "dev")) >= self.max_changed_share * self.reference:
            text = (left_bytes + right_bytes).decode("utf-8", "replace").replace(" ", "")
            if set(text) <= self.usual_letters:
                return False
        return self.bpe(left + right) == [left, right]

    def merge(self, pair: tuple[str, str], language: int, count: int) -> None:
        self.made.append((*pair, language, count))
        self.ids[pair[0] + pair[1]] = self.base.next_id + len(self.symbols) + len(self.made) - 1
        self.ranks[pair] = len(self.ranks)
        for piece in self.pieces:
            merged: list[str] = []
            k = 0
            while k < len(piece.tokens):
                joined = tuple(piece.tokens[k : k + 2]) == pair
                merged.append(pair[0] + pair[1] if joined else piece.tokens[k])
                k += 1 + joined
            piece.tokens = merged
        self.watch(language)

    def watch(self, language: int) -> None:
        merges, train, dev = self.windows[language]
        if merges + 1 < STALL_WINDOW_MERGES:
            self.windows[language] = (merges + 1, train, dev)
            return
        now = self.total(language, "train"), self.total(language, "dev")
        self.windows[language] = (0, *now)
        if 1 - now[1] / dev < MIN_DEV_GAIN_SHARE * (1 - now[0] / train):
            self.stopped[language] = sum(row[2] == language for row in self.made)
