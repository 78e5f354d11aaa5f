"""Training texts and evaluation texts in, the passages that both hold out: the sample must not leak its own tests.

Texts are compared without white space, punctuation and case. A passage leaks where all of it occurs in a training
text, or where at least half of its runs of 13 characters do.
"""

import unicodedata
from collections.abc import Iterable, Mapping

GRAM_CHARACTERS = 13
MAX_SHARED = 0.5
MIN_CHARACTERS = 20


def letters(text: str) -> str:
    """Letters, marks and digits, folded."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")


def shared_passages(training: Iterable[str], passages: Mapping[str, str]) -> dict[str, float]:
    """Share of each passage's 13-character runs that occur in the training texts; 1.0 where it occurs whole.

    Args:
        training: all training texts of one language.
        passages: evaluation texts by a name.
    """
    plain = {name: letters(text) for name, text in passages.items()}
    owners: dict[str, list[str]] = {}
    for name, text in plain.items():
        for start in range(len(text) - GRAM_CHARACTERS + 1):
            owners.setdefault(text[start : start + GRAM_CHARACTERS], []).append(name)
    found: set[str] = set()
    whole: set[str] = set()
    long_enough = {name: text for name, text in plain.items() if len(text) >= MIN_CHARACTERS}
    for document in map(letters, training):
        hits: set[str] = set()
        for start in range(len(document) - GRAM_CHARACTERS + 1):
            gram = document[start : start + GRAM_CHARACTERS]
            if gram in owners:
                found.add(gram)
                hits.update(owners[gram])
        whole.update(name for name in hits if name in long_enough and long_enough[name] in document)
    shares = {}
    for name, text in plain.items():
        grams = [text[start : start + GRAM_CHARACTERS] for start in range(len(text) - GRAM_CHARACTERS + 1)]
        shares[name] = 1.0 if name in whole else sum(g in found for g in grams) / max(1, len(grams))
    return shares
