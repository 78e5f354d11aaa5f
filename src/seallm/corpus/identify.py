"""Statistics and label probabilities in, one language and score for each text out.

1. The script decides where one unspaced language alone is written in it: Thai, Lao, Khmer, Burmese and Chinese are
   taken from the share of their letters. Kana among them mean Japanese, letters that Burmese lacks Shan, Mon or Karen.
   lid.176 adds nothing there and is thrown off by English technical terms.
2. Everything else goes by the most probable label of lid.176, or of another fastText model.
3. Where lid.176 is in two minds about a pair that it mixes up (Malay and Indonesian, Tagalog and English),
   `second_look` decides between the two.
4. Any other label that several languages share goes to the one whose `telling_words` occur most; where they are even,
   to the language whose own label it is.
All languages that have a file take part, also those outside the recipe, so that none of them is taken for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.corpus.characters import FIRST_UNSPACED, HAN, KANA, MYANMAR, SCRIPTS
from seallm.corpus.fasttext import predict
from seallm.corpus.fasttext_file import FastText
from seallm.corpus.myanmar_script import foreign_myanmar_shares
from seallm.corpus.second_look import SecondLook, default_second_look, odds, score_ngrams, weigh
from seallm.corpus.statistics import Statistics
from seallm.corpus.word_lists import WordLists, make_word_lists
from seallm.languages import Language

MIN_SCRIPT_SHARE = 0.2  # with less, quoted words of another script must not decide
MIN_KANA_SHARE = 0.1  # of Chinese characters and kana
MAX_FOREIGN_MYANMAR_SHARE = 0.03  # quoted Pali has a few of the letters
MIN_RIVAL = 0.01  # probability of a pair's other label that is worth a second look
CHINESE, JAPANESE, UNDETERMINED = "zh", "ja", "und"
UNDETERMINED_MYANMAR = "und_Mymr"  # a language of Myanmar's script other than Burmese


@dataclass(frozen=True)
class Identification:
    """One row a text.

    Attributes:
        languages: code of a known language, or the model's label, or `und`: (n,).
        scores: how sure, 0 to 1: (n,).
        contested: decided by the second look, between two languages that the model mixes up: (n,).
    """

    languages: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float32]
    contested: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Identifier:
    """Everything needed to identify: the known languages, the model with its labels, and the second look at pairs.

    A language takes part in the second look if the model has its code as a label, as lid.176 has.
    """

    languages: tuple[Language, ...]
    model: FastText
    labels: tuple[str, ...]
    second_look: SecondLook = field(default_factory=default_second_look)

    def word_lists(self) -> WordLists:
        """Stop words of language i as list 2 i, its telling words as list 2 i + 1."""
        return make_word_lists([words for lang in self.languages for words in (lang.stop_words, lang.telling_words)])

    def identify(self, texts: pa.Array, statistics: Statistics) -> Identification:
        """Identify every text."""
        letters = np.maximum(statistics.scripts.sum(axis=1), 1)
        shares = statistics.scripts / letters[:, None]
        codes = np.full(len(texts), UNDETERMINED, dtype="U16")
        scores = np.zeros(len(texts), np.float32)
        contested = np.zeros(len(texts), np.bool_)
        by_script = self.by_script()
        shares[:, HAN] += shares[:, KANA]
        main = FIRST_UNSPACED + shares[:, FIRST_UNSPACED:KANA].argmax(axis=1)
        main_share = shares[np.arange(len(texts)), main]
        for script, code in by_script.items():
            chosen = (main == script) & (main_share >= MIN_SCRIPT_SHARE)
            codes[chosen], scores[chosen] = code, main_share[chosen]
        burmese = np.flatnonzero((codes == by_script.get(MYANMAR)) & (main == MYANMAR))
        foreign = foreign_myanmar_shares(texts.take(pa.array(burmese))) > MAX_FOREIGN_MYANMAR_SHARE
        codes[burmese[foreign]] = UNDETERMINED_MYANMAR
        codes[(codes == by_script.get(HAN)) & (shares[:, KANA] > MIN_KANA_SHARE * shares[:, HAN])] = JAPANESE
        rest = np.flatnonzero((codes == UNDETERMINED) & (statistics.scripts.sum(axis=1) > 0))
        if len(rest):
            left = texts.take(pa.array(rest))
            probabilities = predict(left, self.model)
            codes_of_rest, scores_of_rest = self._by_label(probabilities, statistics.listed[rest])
            contested[rest] = self._look_again(
                left, probabilities, statistics.listed[rest], codes_of_rest, scores_of_rest
            )
            codes[rest], scores[rest] = codes_of_rest, scores_of_rest
            # a label without the letters: the script's share stays the measure
            named = rest[np.isin(codes[rest], list(by_script.values()))]
            scores[named] = main_share[named]
        return Identification(codes, scores, contested)

    def _by_label(
        self, probabilities: npt.NDArray[np.float32], listed: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float32]]:
        found = np.array(self.labels, dtype="U16")[probabilities.argmax(axis=1)]
        codes, scores = found.copy(), probabilities.max(axis=1)
        for label, sharers in self.sharers().items():
            rows = np.flatnonzero(found == label)
            own = [self._known_labels(i)[0] == label for i in sharers]
            evidence = listed[rows][:, [2 * i + 1 for i in sharers]] + np.array(own) * 0.5
            chosen = evidence.argmax(axis=1)
            for number, i in enumerate(sharers):
                mine = rows[chosen == number]
                codes[mine] = self.languages[i].code
                scores[mine] = self._label_sum(i, probabilities[mine])
        return codes, scores

    def _look_again(
        self,
        texts: pa.Array,
        probabilities: npt.NDArray[np.float32],
        listed: npt.NDArray[np.int32],
        codes: npt.NDArray[np.str_],
        scores: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.bool_]:
        """Decide anew, in `codes` and `scores`, between the languages of each pair where both are likely; say where."""
        looked_at = np.zeros(len(codes), np.bool_)
        numbers = {language.code: number for number, language in enumerate(self.languages)}
        best = probabilities.argmax(axis=1)
        for k, pair in enumerate(self.second_look.pairs):
            if not set(pair) <= numbers.keys() & set(self.labels):
                continue
            columns = [self.labels.index(code) for code in pair]
            both = probabilities[:, columns]
            # with a third label likelier than the rival, the text is of a language that the pair's weights never saw
            rival = both.min(axis=1)
            is_pair = np.isin(best, columns) & (rival >= np.delete(probabilities, columns, axis=1).max(axis=1))
            rows = np.flatnonzero(is_pair & (rival >= MIN_RIVAL))
            if not len(rows):
                continue
            looked_at[rows] = True
            ngrams = score_ngrams(texts.take(pa.array(rows)), self.second_look.weights[k : k + 1])[:, 0]
            telling = listed[rows][:, [2 * numbers[code] + 1 for code in pair]]
            is_second = odds(weigh(ngrams, both[rows], telling), self.second_look.mixing[k]) > 0
            for code, mine in zip(pair, (rows[~is_second], rows[is_second]), strict=True):
                codes[mine] = code
                scores[mine] = self._label_sum(numbers[code], probabilities[mine])
        return looked_at

    def _known_labels(self, number: int) -> list[str]:
        """The labels of a language that this model has; a file may name those of several models."""
        return [label for label in self.languages[number].identifier_labels if label in self.labels]

    def _label_sum(self, number: int, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        columns = [self.labels.index(label) for label in self._known_labels(number)]
        return np.asarray(probabilities[:, columns].sum(axis=1), np.float32)

    def by_script(self) -> Mapping[int, str]:
        """Codes of the languages that their script decides, by script."""
        users: dict[int, list[str]] = {}
        for language in self.languages:
            for script in language.scripts if not language.spaced else ():
                users.setdefault(SCRIPTS.index(script), []).append(language.code)
        routed = range(FIRST_UNSPACED, KANA)
        return {script: codes[0] for script, codes in users.items() if script in routed and len(codes) == 1}

    def sharers(self) -> Mapping[str, list[int]]:
        """The languages that a script does not decide, as numbers, by label."""
        found: dict[str, list[int]] = {}
        routed = self.by_script().values()
        for number, language in enumerate(self.languages):
            for label in self._known_labels(number) if language.code not in routed else ():
                found.setdefault(label, []).append(number)
        return found
