"""Two tokens in, a verdict out: may they become one new token of this language?

The rules are ours. They keep new tokens to what a reader of the language would take for a piece of a word: letters and
marks of the language's own scripts, at most one space and that in front (some languages: several whole words), no
digits, nothing of the keyboard's punctuation (English and code need it), whole characters, and whole clusters where
characters are joined.
"""

from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType

from seallm.languages import Language
from seallm.vocab.scripts import (
    STACKERS,
    character_bytes,
    extends_cluster,
    is_digit,
    is_shared_sign,
    may_begin,
    script_of,
)

_CONTINUATIONS = bytes(range(0x80, 0xC0))


class TokenRules:
    """Decides over merges by the bytes of their result.

    Args:
        languages: the language of each number that the learner uses.
        max_characters: longest new token of each language, a space in front not counted.
        superwords: by number, the languages whose tokens may cross spaces, and the words that those are made of.
        targets: spellings of the only tokens allowed; None: no such limit.
    """

    def __init__(
        self,
        languages: Sequence[Language],
        max_characters: Sequence[int],
        superwords: Mapping[int, Container[str]] = MappingProxyType({}),
        targets: Container[str] | None = None,
    ) -> None:
        self._scripts = [frozenset(language.scripts) for language in languages]
        self._max_characters, self._superwords, self._targets = max_characters, superwords, targets

    def objection(self, left: bytes, right: bytes, language: int) -> str | None:
        """Why the two must not be merged; None where they may."""
        token = left + right
        try:
            text = token.decode("utf-8")
        except UnicodeDecodeError:
            return self._broken_objection(left, right, language)
        return self._text_objection(text, language)

    def _broken_objection(self, left: bytes, right: bytes, language: int) -> str | None:
        """A result that is not whole characters.

        Allowed are a character that grows byte by byte (the base may have glued its first byte to a space or a letter),
        and the completion of an old token's last character where that token itself begins inside a character.
        """
        token = left + right
        unfinished = _unfinished(token)
        if unfinished:
            grows = len(unfinished) == len(token) or (bool(_unfinished(left)) and all(map(is_continuation, right)))
            if grows and may_begin(unfinished, self._scripts[language]):
                return None
            return "ends inside a character"
        if all(map(is_continuation, left)):
            return "begins inside a character"
        return self._text_objection(token.lstrip(_CONTINUATIONS).decode("utf-8"), language)

    def _text_objection(self, text: str, language: int) -> str | None:
        word = text.removeprefix(" ")
        if len(text) == 1 and (is_shared_sign(text) or script_of(text) in self._scripts[language]):
            return None  # one character put together from its bytes: digits and signs too
        if len(word) > self._max_characters[language]:
            return "too long"
        across = " " in word and language in self._superwords
        objection = self._superword_objection(text, language) if across else self._word_objection(word, language)
        if objection is None and self._targets is not None and text not in self._targets:
            return "not in the target vocabulary"
        return objection

    def _word_objection(self, word: str, language: int) -> str | None:
        for character in word:
            if is_digit(character):
                return "digit"
            if script_of(character) not in self._scripts[language]:
                return "not of the language's scripts"
        if len(word) > 1 and splits_cluster(word):
            return "begins or ends inside a cluster"
        return None

    def _superword_objection(self, text: str, language: int) -> str | None:
        """A token across spaces must be whole words: a space in front of each, each a word that is often met."""
        before, *words = text.split(" ")
        if before or not all(word in self._superwords[language] for word in words):
            return "crosses a space into part of a word"
        objections = [self._word_objection(word, language) for word in words]
        return next((objection for objection in objections if objection is not None), None)


def splits_cluster(word: str) -> bool:
    """True where a token of several characters is not whole clusters, as far as the token alone can tell.

    Marks alone, or a stacker and the consonant below it, are parts of one cluster still growing and are no offence.
    """
    if extends_cluster(word[0]):
        return not all(extends_cluster(c) or before in STACKERS for before, c in zip(" " + word, word, strict=False))
    return word[-1] in STACKERS


def _unfinished(token: bytes) -> bytes:
    """The bytes of a last character that is not complete; empty where it is."""
    start = next((k for k in range(len(token) - 1, -1, -1) if not is_continuation(token[k])), len(token))
    last = token[start:]
    return last if last and len(last) < character_bytes(last[0]) else b""


def is_continuation(byte: int) -> bool:
    """True for a byte that continues a UTF-8 character."""
    return byte & 0xC0 == 0x80
