"""Answers in, the language of each out where it can be told: by script, or by lid.176 with letters enough.

Short answers hold names and formulas, and identifiers guess wildly at three words. An answer in Latin script therefore
tells its language only with MIN_LETTERS letters and MIN_SCORE certainty, and never between two languages that share a
label of the identifier (Malay and Indonesian).
"""

import functools
from collections.abc import Sequence

import pyarrow as pa

from seallm.corpus.fasttext import default_model
from seallm.corpus.identify import Identifier
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import LETTERS, measure
from seallm.corpus.word_lists import WordLists
from seallm.languages import known_languages, load_language, load_languages

MIN_LETTERS, MIN_SCORE = 30, 0.6


@functools.cache
def _tools(codes: tuple[str, ...]) -> tuple[Identifier, WordLists]:
    """Made once a process."""
    model, labels = default_model()
    identifier = Identifier(tuple(load_languages(codes).values()), model, labels)
    return identifier, identifier.word_lists()


def told_languages(texts: Sequence[str]) -> list[str | None]:
    """The language of each text; None where it cannot be told."""
    if not texts:
        return []
    identifier, words = _tools(known_languages())
    array = pa.array(texts, pa.large_string())
    statistics = measure(array, words, make_minhash(1, 1))
    found = identifier.identify(array, statistics)
    by_script = set(identifier.by_script().values())
    letters = statistics.totals[:, LETTERS].tolist()
    return [
        str(code) if code in by_script or (n >= MIN_LETTERS and score >= MIN_SCORE) else None
        for code, score, n in zip(found.languages.tolist(), found.scores.tolist(), letters, strict=True)
    ]


def is_foreign(told: str | None, wanted: str) -> bool:
    """True where a text told another language than the wanted one, and not one that shares a label with it."""
    if told is None or told == wanted:
        return False
    labels = set(load_language(wanted).identifier_labels)
    own = load_language(told).identifier_labels if told in known_languages() else (told,)
    return not labels & set(own)
