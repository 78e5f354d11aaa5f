"""Answers in, the language of each out, or None where that is not certain: for rules that an answer must not break.

The identifier of the corpus stage decides. It is not believed where an answer is short, where it is in two minds, or
between Indonesian and Malay, of which it takes many a sentence of one for the other. Program code does not count.
"""

import re
from collections.abc import Sequence

import pyarrow as pa

from seallm.corpus.fasttext import default_model
from seallm.corpus.identify import UNDETERMINED, Identifier
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import measure
from seallm.languages import known_languages, load_languages

MIN_LETTERS = 20
_MIXED_UP = {"id", "ms"}
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)


class AnswerLanguage:
    """Tells the languages of answers; reads the identifier's model once."""

    def __init__(self) -> None:
        model, labels = default_model()
        self._identifier = Identifier(tuple(load_languages(known_languages()).values()), model, labels)

    def __call__(self, texts: Sequence[str], expected: Sequence[str]) -> list[str | None]:
        """Codes of languages.

        Args:
            texts: the answers.
            expected: the language that each should be in, which is told where it is mixed up with the one found.

        Returns:
            For each text a code of a known language or a label of the identifier, or None.
        """
        if not texts:
            return []
        array = pa.array([_CODE.sub(" ", text) for text in texts], pa.large_string())
        lists = self._identifier.word_lists()
        found = self._identifier.identify(array, measure(array, lists, make_minhash(1, 1)))
        least = {code: language.min_identifier_score for code, language in load_languages(known_languages()).items()}
        told: list[str | None] = []
        for text, wanted, code, score, contested in zip(
            array.to_pylist(),
            expected,
            found.languages.tolist(),
            found.scores.tolist(),
            found.contested.tolist(),
            strict=True,
        ):
            letters = sum(character.isalpha() for character in text)
            is_known = not code.startswith(UNDETERMINED)
            is_certain = (
                is_known and letters >= MIN_LETTERS and score >= least.get(code, max(least.values())) and not contested
            )
            if {code, wanted} <= _MIXED_UP:
                code = wanted
            told.append(code if is_certain or code == wanted else None)
        return told
