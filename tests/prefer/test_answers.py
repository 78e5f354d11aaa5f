import pytest

from seallm.languages import load_language
from seallm.prefer.answers import is_in_script, reason_to_drop, repeated_share


@pytest.mark.parametrize(
    ("text", "ended", "language", "reason"),
    [
        ("กรุงเทพมหานคร", True, "th", None),
        ("", True, "th", "empty"),
        (" \n", True, "th", "empty"),
        ("กรุงเทพมหานคร", False, "th", "cut off"),
        ("ha ha ha ha ha ha ha ha", True, "en", "repeats itself"),
        ("ກກກກກກກກກກກກກກກກກກ", True, "lo", "repeats itself"),
        ("กรุงเทพ\ufffd", True, "th", "broken characters"),
        ("Bangkok", True, "th", "wrong language"),
        ("กรุงเทพมหานคร", True, "lo", "wrong language"),
        ("北京是中国的首都。", True, "zh", None),
        ("ភ្នំពេញ", True, "km", None),
        ("ရန်ကုန်", True, "my", None),
        ("Kuala Lumpur ialah ibu negara", True, "ms", None),
        ("Đà Nẵng ở miền Trung", True, "vi", None),
        ("42", True, "km", None),
    ],
)
def test_reasons(text: str, ended: bool, language: str, reason: str | None) -> None:
    assert reason_to_drop(text, ended, load_language(language)) == reason


def test_half_of_the_letters_decide() -> None:
    assert is_in_script("กขab", ["thai"])
    assert not is_in_script("กขabc", ["thai"])
    assert is_in_script("กขabc", ["thai", "latin"])
    assert is_in_script("что угодно", ["other"])


def test_short_texts_are_never_repetitive() -> None:
    assert repeated_share("aaaaaaaa") == 0
    assert repeated_share("a" * 40) > 0.9
    assert repeated_share("Vientiane is the capital of Laos.") == 0
