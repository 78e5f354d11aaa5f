"""Answers in, scores out: F1 and exact match of spans, chrF++ of translations; named by the task files.

F1 counts shared units: words where the script has spaces; where it has none, base-plus-mark clusters (a consonant with
its vowels and tones), with runs of Latin letters and digits kept whole, as MLQA does for Chinese (Lewis et al. 2020).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics import CHRF

from seallm.evaluate.numbers import answer_number
from seallm.evaluate.safety_rates import ANSWER
from seallm.evaluate.task_files import words
from seallm.languages import load_language

SUBMISSION = "submission"
KEPT = (SUBMISSION, ANSWER)  # metrics that give no figure: what they hold is for others to judge
BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED = 1_000, 0
_ENGLISH_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_RUN = re.compile(r"[a-z0-9]+")


def answer_scores(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """F1 and exact match of an answer against the best fitting reference (Rajpurkar et al. 2016); both 0 to 1."""
    found = answer_units(results[0], doc["language"])
    references = [answer_units(answer, doc["language"]) for answer in doc["answers"]]
    return {
        "f1": max(unit_f1(found, reference) for reference in references),
        "exact_match": float(any(found == reference for reference in references)),
    }


def answer_units(text: str, language: str) -> list[str]:
    """Lower-case units of an answer without punctuation (and, in English, without articles)."""
    text = unicodedata.normalize("NFC", text).lower()
    text = "".join(" " if unicodedata.category(c)[0] == "P" else c for c in text)
    if language == "en":
        text = _ENGLISH_ARTICLES.sub(" ", text)
    words = text.split()
    return words if load_language(language).spaced else [unit for word in words for unit in _clusters(word)]


def _clusters(word: str) -> list[str]:
    """Base-plus-mark clusters of a word; ASCII runs stay whole."""
    units: list[str] = []
    position = 0
    while position < len(word):
        run = _ASCII_RUN.match(word, position)
        if run:
            units.append(run.group())
            position = run.end()
        elif units and unicodedata.category(word[position])[0] == "M":
            units[-1] += word[position]
            position += 1
        else:
            units.append(word[position])
            position += 1
    return units


def unit_f1(found: Sequence[str], reference: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over the two bags of units; 1 where both are empty."""
    if not found or not reference:
        return float(found == reference)
    shared = sum((Counter(found) & Counter(reference)).values())
    return 2 * shared / (len(found) + len(reference))


def summary_scores(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """ROUGE-L (Lin 2004) of a summary, 0 to 1: F1 of the longest common subsequence of `answer_units`."""
    found, wanted = (answer_units(text, doc["language"]) for text in (results[0], doc["target"]))
    if not found or not wanted:
        return {"rouge_l": float(found == wanted)}
    return {"rouge_l": 2 * common_subsequence(found, wanted) / (len(found) + len(wanted))}


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    best = [0] * (len(second) + 1)
    for unit in first:
        diagonal = 0
        for place, other in enumerate(second, 1):
            above = best[place]
            best[place] = diagonal + 1 if unit == other else max(above, best[place - 1])
            diagonal = above
    return best[-1]


def sum_scores(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """1 where the number that an answer ends in is the right one."""
    number = answer_number(results[0], doc["language"], words()[doc["language"]]["answer_is"])
    return {"exact_match": float(number is not None and abs(number - doc["number"]) < 1e-6)}


def chosen_letter(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, tuple[str, str]]:
    """(id, likeliest letter) of a question whose answer is not published."""
    likelihoods = [likelihood for likelihood, _ in results]
    return {SUBMISSION: (doc["id"], doc["letters"][likelihoods.index(max(likelihoods))])}


def answered_share(chosen: Sequence[Sequence[str]]) -> float:
    """Share of questions with an answer."""
    return sum(bool(letter) for _, letter in chosen) / len(chosen)


def translation_pair(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Keep (reference, translation): chrF++ is a figure of a corpus, not a mean over sentences."""
    return {"chrf++": (doc["target"], results[0].strip())}


def corpus_chrf(pairs: Sequence[tuple[str, str]]) -> float:
    """ChrF++ of (reference, translation) pairs, 0 to 100 (Popović 2017), by sacrebleu."""
    references, translations = zip(*pairs, strict=True)
    return float(CHRF(word_order=2).corpus_score(list(translations), [list(references)]).score)


def chrf_signature() -> str:
    """Sacrebleu's signature of chrF++ with one reference, as papers print it."""
    metric = CHRF(word_order=2)
    metric.corpus_score(["one"], [["one"]])  # it knows the number of references only afterwards
    return str(metric.get_signature())


def corpus_chrf_interval(pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """95 % interval of chrF++ by the percentile bootstrap over sentences."""
    low, high = np.quantile(_chrf_draws(pairs), [0.025, 0.975])
    return float(low), float(high)


def chrf_difference_interval(
    first: Sequence[tuple[str, str]], second: Sequence[tuple[str, str]]
) -> tuple[float, float]:
    """95 % interval of the difference of two systems' chrF++ on the same sentences, drawn together."""
    low, high = np.quantile(_chrf_draws(first) - _chrf_draws(second), [0.025, 0.975])
    return float(low), float(high)


def _chrf_draws(pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.float64]:
    """ChrF++ of resamples; as many sentences give the same resamples.

    Sentence statistics are sacrebleu's; its own bootstrap is not used, since it fails where a resample scores 0.
    """
    references, translations = zip(*pairs, strict=True)
    metric = CHRF(word_order=2)
    counts = np.array(metric._extract_corpus_statistics(list(translations), [list(references)]), dtype=np.float64)
    picks = np.random.default_rng(BOOTSTRAP_SEED).integers(0, len(counts), (BOOTSTRAP_SAMPLES, len(counts)))
    return _chrf(counts[picks].sum(axis=1))


def _chrf(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ChrF (beta 2) of rows of counts (R, 3 * orders): for every n-gram order those found, wanted and shared."""
    found, wanted, shared = (counts[:, i::3] for i in range(3))
    used = (found > 0) & (wanted > 0)
    orders = np.maximum(used.sum(axis=1), 1)
    precision = np.where(used, shared / np.maximum(found, 1), 0).sum(axis=1) / orders
    recall = np.where(used, shared / np.maximum(wanted, 1), 0).sum(axis=1) / orders
    both: npt.NDArray[np.float64] = 100 * 5 * precision * recall / np.maximum(4 * precision + recall, 1e-16)
    return both
