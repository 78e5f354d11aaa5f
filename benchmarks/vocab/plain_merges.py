"""Two published learners in plain Python, written from their papers: what the comparison runs on the same pieces.

Both go on from the base's encoding, as the papers do, and share one table of pair counts with the words each pair
stands in. `continued_bpe` (arXiv 2512.03989) merges the pair that is most frequent in all text together. `parity_aware`
(arXiv 2508.04796) merges the most frequent pair of the language whose development sentences have most tokens now; its
moving window leaves out a language that was served too often lately.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

LEAST_COUNT = 2  # both programs' default
WINDOW_SHARE = 2.0  # the moving window's alpha: a language gets at most this many times its equal share
Pair = tuple[str, str]
Allowed = Callable[[str, str], bool]


@dataclass
class Words:
    """Pieces with their tokens, counted by language.

    Attributes:
        tokens: of each piece.
        counts: of each piece, (language, occurrences) of its corpus text.
    """

    tokens: list[list[str]]
    counts: list[dict[int, int]]
    pairs: list[Counter[Pair]] = field(default_factory=list)
    places: dict[Pair, set[int]] = field(default_factory=lambda: defaultdict(set))
    heaps: list[list[tuple[int, Pair]]] = field(default_factory=list)

    def index(self, num_languages: int) -> None:
        """Count all pairs."""
        self.pairs = [Counter() for _ in range(num_languages)]
        for number, tokens in enumerate(self.tokens):
            for pair in pairwise(tokens):
                self.places[pair].add(number)
                for language, count in self.counts[number].items():
                    self.pairs[language][pair] += count
        self.heaps = [[(-count, pair) for pair, count in pairs.items()] for pairs in self.pairs]
        for heap in self.heaps:
            heapq.heapify(heap)

    def best(self, language: int, allowed: Allowed, least: int) -> Pair | None:
        """The most frequent pair of a language; None where none is left."""
        heap, pairs = self.heaps[language], self.pairs[language]
        while heap:
            count, pair = heap[0]
            if -count != pairs[pair] or not allowed(*pair):
                heapq.heappop(heap)
                continue
            return pair if -count >= least else None
        return None

    def merge(self, pair: Pair) -> None:
        """Replace a pair wherever it stands."""
        changed: set[tuple[int, Pair]] = set()
        for number in sorted(self.places.pop(pair, ())):
            before, after = self.tokens[number], merged(self.tokens[number], pair)
            if len(after) == len(before):
                continue
            lost, won = Counter(pairwise(before)), Counter(pairwise(after))
            self.tokens[number] = after
            for other in won.keys() - lost.keys():
                self.places[other].add(number)
            for other in (won.keys() | lost.keys()) - {pair}:
                if difference := won[other] - lost[other]:
                    for language, count in self.counts[number].items():
                        self.pairs[language][other] += difference * count
                        changed.add((language, other))
        for pairs in self.pairs:
            pairs[pair] = 0
        for language, other in changed:
            if self.pairs[language][other] > 0:
                heapq.heappush(self.heaps[language], (-self.pairs[language][other], other))


def merged(tokens: Sequence[str], pair: Pair) -> list[str]:
    """The tokens with the pair replaced, from left to right."""
    result: list[str] = []
    at = 0
    while at < len(tokens):
        found = at + 1 < len(tokens) and (tokens[at], tokens[at + 1]) == pair
        result.append(tokens[at] + tokens[at + 1] if found else tokens[at])
        at += 1 + found
    return result


def continued_bpe(words: Words, count: int, allowed: Allowed, known: set[str]) -> Iterator[Pair]:
    """Merges by frequency over all text together; `words` has one language."""
    words.index(1)
    made = 0
    while made < count:
        pair = words.best(0, allowed, LEAST_COUNT)
        if pair is None:
            return
        words.merge(pair)
        made += "".join(pair) not in known
        known.add("".join(pair))
        yield pair


def parity_aware(
    words: Words,
    development: Sequence[Mapping[tuple[str, ...], int]],
    count: int,
    allowed: Allowed,
    known: set[str],
    window: int | None = None,
) -> Iterator[Pair]:
    """Merges by max-min parity.

    Args:
        words: the corpus.
        development: by language, the development sentences' pieces as tokens, counted.
        count: new tokens wanted.
        allowed: which pairs may merge.
        known: spellings that need no new token.
        window: of the moving-window variant, in merges; absent: the base variant.
    """
    num_languages = len(development)
    words.index(num_languages)
    sentences = Words(
        [list(p) for d in development for p in d], [{k: n} for k, d in enumerate(development) for n in d.values()]
    )
    sentences.index(num_languages)
    lengths = [sum(len(piece) * n for piece, n in pieces.items()) for pieces in development]
    served: deque[int] = deque(maxlen=window)
    made = 0
    while made < count:
        order = sorted(range(num_languages), key=lambda language: -lengths[language])
        if window:
            order = [k for k in order if served.count(k) <= WINDOW_SHARE / num_languages * window] or order
        pair = words.best(order[0], allowed, LEAST_COUNT)
        if pair is None:
            return  # as the published program: it stops with the language that has nothing left
        served.append(order[0])
        words.merge(pair)
        for language in range(num_languages):
            lengths[language] -= sentences.pairs[language][pair]
        sentences.merge(pair)
        made += "".join(pair) not in known
        known.add("".join(pair))
        yield pair
