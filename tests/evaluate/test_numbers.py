import pytest

from seallm.evaluate.numbers import answer_number, as_number, last_number


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("18", "en", 18),
        ("1,234.5", "en", 1234.5),
        ("1.234", "en", 1.234),
        ("1.234,5", "vi", 1234.5),
        ("1.234", "id", 1234),
        ("12,5", "id", 12.5),
        ("๑๘", "th", 18),
        ("១២០", "km", 120),
        ("໔໒", "lo", 42),
        ("၁,၅၀၀", "my", 1500),
        ("-7", "zh", -7),
        ("\u22127", "en", -7),
    ],
)
def test_numbers_as_each_language_writes_them(text: str, language: str, number: float) -> None:
    assert as_number(text, language) == number
    assert last_number(f"9 + 9 = {text}.", language) == number


def test_the_number_after_the_last_marker_counts() -> None:
    text = "The answer is 3? No: 2 + 2 = 4. The answer is $4, not 5."
    assert answer_number(text, "en", "The answer is") == 4
    assert answer_number("2 + 2 = 4", "en", "The answer is") == 4
    assert answer_number("It is 4. The answer is none.", "en", "The answer is") == 4
    assert answer_number("No idea", "en", "The answer is") is None
    assert answer_number("共１２個，答案是１２", "zh", "答案是") == 12
