import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from seallm.evaluate.metrics import answer_scores, answer_units, corpus_chrf, corpus_chrf_interval, unit_f1


def scores(found: str, answers: list[str], language: str) -> dict[str, float]:
    return answer_scores({"answers": answers, "language": language}, [found])


def test_english_words_without_articles_and_punctuation() -> None:
    assert answer_units("The Panthers' defence, (308) points!", "en") == ["panthers", "defence", "308", "points"]
    assert scores("the 308 points.", ["308 points"], "en") == {"f1": 1.0, "exact_match": 1.0}


def test_unspaced_scripts_count_clusters() -> None:
    assert answer_units("กินข้าว", "th") == ["กิ", "น", "ข้", "า", "ว"]
    assert answer_units("NFL 308分。", "zh") == ["nfl", "308", "分"]
    partly = scores("กินข้าวสวย", ["กินข้าว"], "th")  # 5 of 8 units found are right, 5 of 5 wanted are found
    assert partly == {"f1": pytest.approx(2 * 5 / 13), "exact_match": 0.0}


def test_articles_stay_where_the_language_is_not_english() -> None:
    assert answer_units("a an the", "id") == ["a", "an", "the"]


def test_the_best_reference_counts() -> None:
    assert scores("Bangkok", ["Vientiane", "in Bangkok city"], "en")["f1"] == pytest.approx(2 * 1 / 4)


def test_empty_answers() -> None:
    assert scores("", ["Bangkok"], "en") == {"f1": 0.0, "exact_match": 0.0}
    assert scores("...", ["!"], "en") == {"f1": 1.0, "exact_match": 1.0}


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_f1_is_symmetric_and_one_only_for_equal_bags(found: list[str], reference: list[str]) -> None:
    value = unit_f1(found, reference)
    assert value == unit_f1(reference, found)
    assert 0 <= value <= 1
    assert (value == 1) == (sorted(found) == sorted(reference))


def test_chrf_is_sacrebleus_and_lies_in_its_interval() -> None:
    references = ["the cat sat on the mat", "rain falls all day", "we eat rice", "come in"]
    translations = ["the cat sat on a mat", "rain fell", "we eat rice", "go out"]
    pairs = list(zip(references, translations, strict=True))
    value = corpus_chrf(pairs)
    assert value == sacrebleu.corpus_chrf(translations, [references], word_order=2).score
    low, high = corpus_chrf_interval(pairs)
    assert 0 <= low < value < high <= 100


@given(st.lists(st.tuples(st.text("abก ข.", min_size=1), st.text("abก ข.")), min_size=1, max_size=1))
def test_a_bootstrap_of_one_sentence_is_its_score(pairs: list[tuple[str, str]]) -> None:
    """Every resample is the sentence itself, so the vectorised formula must give sacrebleu's figure."""
    assert corpus_chrf_interval(pairs) == (pytest.approx(corpus_chrf(pairs)), pytest.approx(corpus_chrf(pairs)))


def test_chrf_ends_of_the_scale() -> None:
    perfect = [("ສະບາຍດີ", "ສະບາຍດີ"), ("ขอบคุณ", "ขอบคุณ")]
    assert corpus_chrf(perfect) == pytest.approx(100)
    assert corpus_chrf_interval(perfect) == (pytest.approx(100), pytest.approx(100))
    assert corpus_chrf([("abc", ""), ("def", "")]) == 0
    assert corpus_chrf_interval([("abc", ""), ("def", "")]) == (0, 0)
