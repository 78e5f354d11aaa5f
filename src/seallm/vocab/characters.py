"""Missing symbols first: characters (SentencePiece) or bytes (byte-level) that the base cannot write as one token.

A SentencePiece tokenizer spells an unknown character in byte pieces. Merging byte pieces would make tokens that are no
text, so the characters themselves are added before any merge is learned.
"""

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from seallm.languages import Language
from seallm.vocab.base_tokenizer import BpeTokenizer, byte_alphabet
from seallm.vocab.scripts import is_shared_sign, script_of

IMPOSSIBLE_BYTES = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})  # never part of UTF-8
# Han has tens of thousands of characters: only those that cost more than one late merge would gain are worth a token
MIN_RARE_SHARE = 2e-5


def missing_symbols(
    base: BpeTokenizer, languages: Sequence[Language], counts: Sequence[Mapping[str, int]], min_frequency: int
) -> dict[str, tuple[str, int]]:
    """Symbols to add, in a fixed order.

    Args:
        base: the tokenizer to be extended.
        languages: those that learn.
        counts: each one's characters, with how often they occur.
        min_frequency: rarer characters stay byte pieces.

    Returns:
        symbol -> (code of the language that needs it first, its occurrences there).
    """
    if base.kind == "byte-level":
        letters = [letter for byte, letter in enumerate(byte_alphabet()) if byte not in IMPOSSIBLE_BYTES]
        return {letter: (languages[0].code, 0) for letter in letters if letter not in base.vocabulary}
    found: dict[str, tuple[str, int]] = {}
    for language, characters in zip(languages, counts, strict=True):
        rare = max(min_frequency, MIN_RARE_SHARE * sum(characters.values()))
        for character, count in sorted(characters.items()):
            if character in base.vocabulary or character in found or not _is_wanted(character, language):
                continue
            is_alphabet = script_of(character) not in ("han", None)
            if count >= (min_frequency if is_alphabet else rare):
                found[character] = (language.code, count)
    return found


def _is_wanted(character: str, language: Language) -> bool:
    is_assigned = unicodedata.category(character) not in ("Cn", "Co", "Cs")
    return is_assigned and (script_of(character) in language.scripts or is_shared_sign(character))


def character_counts(pieces: Mapping[str, int]) -> dict[str, int]:
    """How often each character occurs in counted pieces."""
    if not pieces:
        return {}
    codes = np.frombuffer("".join(pieces).encode("utf-32-le"), np.uint32)
    weights = np.repeat(list(pieces.values()), [len(piece) for piece in pieces])
    totals = np.bincount(codes, weights)
    return {chr(code): int(totals[code]) for code in np.flatnonzero(totals)}
