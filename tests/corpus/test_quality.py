import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seallm.corpus.identify import Identification
from seallm.corpus.layout import REASONS
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.quality import judge, shares
from seallm.corpus.statistics import measure
from seallm.corpus.word_lists import make_word_lists
from seallm.languages import load_languages
from tests.corpus.pages import ARTICLES

_LANGUAGES = load_languages(("en", "th", "zh"))


def reason(text: str, code: str = "en", score: float = 0.9) -> str | None:
    stop_words = _LANGUAGES[code].stop_words if code in _LANGUAGES else ()
    statistics = measure(pa.array([text]), make_word_lists([stop_words]), make_minhash(1, 1))
    identification = Identification(np.array([code]), np.array([score], np.float32), np.array([False]))
    figures = shares(statistics, statistics.listed[:, 0])
    return REASONS.get(int(judge(statistics, figures, identification, _LANGUAGES, statistics.distinct[:, 0])[0]))


def test_an_article_is_kept() -> None:
    assert reason(ARTICLES["en"]) is None
    assert reason(ARTICLES["th"], "th") is None
    assert reason(ARTICLES["zh"], "zh") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        (" \n\u200b", "empty"),
        ("The end of the road.", "short"),
        (ARTICLES["en"] + " \ufffd\ufffd\ufffd\ufffd\ufffd", "encoding"),
        ("a b c the of " * 40, "unit_length"),
        ("the antidisestablishmentarianism of incomprehensibilities " * 20, "unit_length"),
        ("the 1234567890 of 1234567890 and 98765 " + "; .. , " * 200 + ARTICLES["en"], "few_letters"),
        (ARTICLES["en"] + " $ € + = " * 20, "symbols"),
        ("wolf bear deer horse goose sheep tiger mouse camel goat " * 4, "stop_words"),
        ("\n".join(["the name of the rose is old"] * 12), "duplicate_lines"),
        ("the name of " * 40 + ARTICLES["en"], "top_ngram"),
        (f"{ARTICLES['en']} {ARTICLES['en']}", "repeated_ngrams"),
    ],
)
def test_each_rule(text: str, expected: str) -> None:
    assert reason(text) == expected


def test_language_rules() -> None:
    assert reason(ARTICLES["en"], "fr") == "language"
    assert reason(ARTICLES["en"], score=0.1) == "language_score"
    assert reason("", "fr") == "empty"


def test_every_rule_has_a_name_of_its_own_and_is_documented() -> None:
    assert len(set(REASONS.values())) == len(REASONS)
    page = (Path(__file__).parents[2] / "docs" / "corpus.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(REASONS.values())


def test_shares_are_fractions_of_the_right_things() -> None:
    text = "the cat\nthe cat\n1 + 1"
    statistics = measure(pa.array([text]), make_word_lists([["the"]]), make_minhash(1, 1))
    figures = {name: float(values[0]) for name, values in shares(statistics, statistics.listed[:, 0]).items()}
    assert figures == pytest.approx(
        {
            "words": 6,
            "words_per_line": 2,
            "mean_unit_letters": 14 / 6,
            "letter_share": 12 / 15,
            "symbol_share": 1 / 15,
            "replacement_share": 0,
            "stop_word_share": 2 / 6,
            "duplicate_line_share": 6 / 15,
            "top_ngram_share": 12 / 14,
            "repeated_ngram_share": 0,
        }
    )
