"""Statistics and label probabilities in, one language and score for each text out.

1. The script decides where one unspaced language alone is written in it: Thai, Lao, Khmer, Burmese and Chinese are
   taken from the share of their letters (kana among them means Japanese). lid.176 adds nothing there and is thrown off
   by English technical terms.
2. Everything else goes by lid.176's most probable label.
3. A label that several languages share (lid.176 calls most Malay Indonesian) goes to the one whose `telling_words`
   occur most; where they are even, to the language whose own label it is.
All languages that have a file take part, also those outside the recipe, so that none of them is taken for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.corpus.characters import FIRST_UNSPACED, HAN, KANA, SCRIPTS
from seallm.corpus.fasttext import FastText, predict
from seallm.corpus.statistics import Statistics
from seallm.corpus.word_lists import WordLists, make_word_lists
from seallm.languages import Language

MIN_SCRIPT_SHARE = 0.2  # with less, quoted words of another script must not decide
MIN_KANA_SHARE = 0.1  # of Chinese characters and kana
JAPANESE, UNDETERMINED = "ja", "und"


@dataclass(frozen=True)
class Identification:
    """One row a text: code of a known language, or lid.176's label, or `und`; and how sure, 0 to 1."""

    languages: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Identifier:
    """Everything needed to identify: the known languages, the model, and where word lists stand in the statistics."""

    languages: tuple[Language, ...]
    model: FastText
    labels: tuple[str, ...]

    def word_lists(self) -> WordLists:
        """Stop words of language i as list 2 i, its telling words as list 2 i + 1."""
        return make_word_lists([words for lang in self.languages for words in (lang.stop_words, lang.telling_words)])

    def identify(self, texts: pa.Array, statistics: Statistics) -> Identification:
        """Identify every text."""
        letters = np.maximum(statistics.scripts.sum(axis=1), 1)
        shares = statistics.scripts / letters[:, None]
        codes = np.full(len(texts), UNDETERMINED, dtype="U16")
        scores = np.zeros(len(texts), np.float32)
        by_script = self._by_script()
        shares[:, HAN] += shares[:, KANA]
        main = FIRST_UNSPACED + shares[:, FIRST_UNSPACED:KANA].argmax(axis=1)
        main_share = shares[np.arange(len(texts)), main]
        for script, code in by_script.items():
            chosen = (main == script) & (main_share >= MIN_SCRIPT_SHARE)
            codes[chosen], scores[chosen] = code, main_share[chosen]
        codes[(codes == by_script.get(HAN)) & (shares[:, KANA] > MIN_KANA_SHARE * shares[:, HAN])] = JAPANESE
        rest = np.flatnonzero((codes == UNDETERMINED) & (statistics.scripts.sum(axis=1) > 0))
        if len(rest):
            probabilities = predict(texts.take(pa.array(rest)), self.model)
            codes[rest], scores[rest] = self._by_label(probabilities, statistics.listed[rest])
            # a label without the letters: the script's share stays the measure
            named = rest[np.isin(codes[rest], list(by_script.values()))]
            scores[named] = main_share[named]
        return Identification(codes, scores)

    def _by_label(
        self, probabilities: npt.NDArray[np.float32], listed: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float32]]:
        found = np.array(self.labels, dtype="U16")[probabilities.argmax(axis=1)]
        codes, scores = found.copy(), probabilities.max(axis=1)
        for label, sharers in self._sharers().items():
            rows = np.flatnonzero(found == label)
            own = [self.languages[i].identifier_labels[0] == label for i in sharers]
            evidence = listed[rows][:, [2 * i + 1 for i in sharers]] + np.array(own) * 0.5
            chosen = evidence.argmax(axis=1)
            for number, i in enumerate(sharers):
                mine = rows[chosen == number]
                wanted = [self.labels.index(x) for x in self.languages[i].identifier_labels if x in self.labels]
                codes[mine] = self.languages[i].code
                scores[mine] = probabilities[mine][:, wanted].sum(axis=1)
        return codes, scores

    def _by_script(self) -> Mapping[int, str]:
        """Codes of the languages that their script decides, by script."""
        users: dict[int, list[str]] = {}
        for language in self.languages:
            for script in language.scripts if not language.spaced else ():
                users.setdefault(SCRIPTS.index(script), []).append(language.code)
        routed = range(FIRST_UNSPACED, KANA)
        return {script: codes[0] for script, codes in users.items() if script in routed and len(codes) == 1}

    def _sharers(self) -> Mapping[str, list[int]]:
        """The other languages by label, as numbers."""
        found: dict[str, list[int]] = {}
        routed = self._by_script().values()
        for number, language in enumerate(self.languages):
            for label in language.identifier_labels if language.code not in routed else ():
                found.setdefault(label, []).append(number)
        return found
