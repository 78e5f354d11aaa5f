"""Languages of answers: told by script or by enough letters, never between languages that share a label."""

import pytest

from seallm.prefer.answer_languages import is_foreign, told_languages

ENGLISH = "The ferry crosses the river every hour and carries baskets of fruit and fish on market days."
VIETNAMESE = "Phà qua sông mỗi giờ một chuyến, và vào ngày họp chợ nó chở những giỏ trái cây và cá."
GERMAN = "Die Fähre überquert den Fluss jede Stunde und bringt an Markttagen Körbe voller Obst und Fisch."


def test_languages_are_told_where_they_can_be() -> None:
    texts = [ENGLISH, VIETNAMESE, "ไปตลาด", "OK", "42", "", GERMAN]
    assert told_languages(texts) == ["en", "vi", "th", None, None, None, "de"]
    assert told_languages([]) == []


@pytest.mark.parametrize(
    ("told", "wanted", "foreign"),
    [("en", "vi", True), ("vi", "vi", False), (None, "vi", False), ("de", "vi", True), ("ms", "id", False)],
)
def test_what_is_foreign(told: str | None, wanted: str, foreign: bool) -> None:
    assert is_foreign(told, wanted) == foreign
