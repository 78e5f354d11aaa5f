import pytest

from seallm.languages import load_languages
from seallm.vocab.rules import TokenRules, splits_cluster

CODES = ("th", "km", "my", "vi", "zh")
RULES = TokenRules(list(load_languages(CODES).values()), [8] * len(CODES))


def objection(left: str | bytes, right: str | bytes, language: str) -> str | None:
    parts = [part.encode() if isinstance(part, str) else part for part in (left, right)]
    return RULES.objection(*parts, CODES.index(language))


@pytest.mark.parametrize(
    ("left", "right", "language"),
    [
        ("กา", "ร", "th"),
        (" ", "ไทย", "th"),
        ("្", "រ", "km"),  # a stacker and the consonant below it: a growing cluster
        ("ក", "្រ", "km"),
        ("သည်", "။", "my"),  # the script's own full stop
        ("ế", "t", "vi"),
        ("中", "国", "zh"),
        (b"\xe0", b"\xb8", "th"),  # a growing character
        (b"\xe0\xb8", b"\x81", "th"),
        (b" \xe1", b"\x80", "my"),  # the base glued the first byte to the space: it may go on growing
        (b" \xe1\x80", b"\x99", "my"),
        (b"\x81\xe0\xb8", b"\xb2", "th"),  # an old token across a boundary is completed
        (b"\xe3\x80", b"\x82", "zh"),  # a sign that scripts share, as a token of its own
        (b"\xe0\xb9", b"\x91", "th"),  # a Thai digit: one character, put together
    ],
)
def test_allowed(left: str, right: str, language: str) -> None:
    assert objection(left, right, language) is None


@pytest.mark.parametrize(
    ("left", "right", "language", "reason"),
    [
        ("ก", "a", "th", "not of the language's scripts"),
        ("th", "e", "th", "not of the language's scripts"),
        ("ก", "က", "my", "not of the language's scripts"),
        ("ไทย", " ", "th", "not of the language's scripts"),
        ("中", "，", "zh", "not of the language's scripts"),
        ("a", ".", "vi", "not of the language's scripts"),
        ("๑", "๒", "th", "digit"),
        ("a", "1", "vi", "digit"),
        ("abcde", "fghi", "vi", "too long"),
        ("ា", "ន", "km", "begins or ends inside a cluster"),
        ("ក", "្", "km", "begins or ends inside a cluster"),
        ("ำ", "ก", "th", "begins or ends inside a cluster"),
        ("ก", b"\xe0", "th", "ends inside a character"),
        (b"\x81\xe0", b"\xb8", "th", None),
        ("ก", b"\xe0\xb8", "th", "ends inside a character"),
        (b"\xe1", b"\x80", "th", "ends inside a character"),  # Burmese only
        (b"\xb8", b"\x81", "th", "begins inside a character"),
        (b"\xb8\x81", "า", "th", "begins inside a character"),
    ],
)
def test_refused(left: str, right: str, language: str, reason: str | None) -> None:
    assert objection(left, right, language) == reason


@pytest.mark.parametrize(("word", "splits"), [("่", False), ("ก่", False), ("ก่น", False), ("่น", True), ("្រា", False)])
def test_clusters(word: str, splits: bool) -> None:
    assert splits_cluster(word) == splits


def test_the_space_in_front_does_not_count() -> None:
    assert objection(" abcd", "efgh", "vi") is None
    assert objection("abcd", "efghi", "vi") == "too long"
