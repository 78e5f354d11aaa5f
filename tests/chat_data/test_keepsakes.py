"""What must not be translated: found, marked, put back, and missed when it is gone."""

import pytest

from seallm.chat_data.keepsakes import (
    mark,
    marks_problem,
    names,
    names_problem,
    numbers,
    numbers_problem,
    unmark,
    without_marks,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Run `ls -l` now", ["`ls -l`"]),
        ("Do:\n```python\nprint('x')\n```\nDone", ["```python\nprint('x')\n```"]),
        ("An unclosed ```block of code", ["```block of code"]),
        ("See https://a.org/b?c=d, or www.x.com.", ["https://a.org/b?c=d", "www.x.com"]),
        ("Write to me.you@mail.co.th please", ["me.you@mail.co.th"]),
        ("Dear {name}, {{ city }} and %s and <<x>>", ["{name}", "{{ city }}", "%s", "<<x>>"]),
        ("It is $x^2 + y$ and \\(a\\), for $5 or $6", ["$x^2 + y$", "\\(a\\)"]),
        ("A <b>bold</b> [NAME]", ["<b>", "</b>", "[NAME]"]),
        ("It costs 5 < 6 and 100% safe", []),
    ],
)
def test_what_is_marked(text: str, kept: list[str]) -> None:
    marked = mark(text)
    assert list(marked.kept) == kept
    assert unmark(marked.text, marked.kept) == text
    assert marks_problem(marked.text, marked.kept) is None


def test_marks_that_are_lost_doubled_or_made_up() -> None:
    kept = ("`a`", "`b`")
    assert marks_problem("⟦ 2 ⟧ x ⟦1⟧", kept) is None
    assert unmark("⟦ 2 ⟧ x ⟦1⟧", kept) == "`b` x `a`"
    assert marks_problem("⟦1⟧", kept) == "`b` is lost"
    assert marks_problem("⟦1⟧⟦1⟧⟦2⟧", kept) == "`a` is there 2 times"
    assert marks_problem("⟦1⟧⟦2⟧⟦3⟧", kept) == "mark 3 was made up"
    assert without_marks("x⟦1⟧y") == "x y"


def test_numbers_survive_in_any_digits_and_separators() -> None:
    assert numbers("In 1998, 1,250.5 kg") == numbers("๑๙๙๘ 1.250,5")
    assert numbers_problem("It took 12 days and 3 hours", "ใช้เวลา ๑๒ วัน สามชั่วโมง") is None
    assert set(numbers("On May 30, 2005 at 7.55, 12 000 of 0800 555 111")) == {
        "30",
        "2005",
        "755",
        "12000",
        "0800555111",
    }
    assert numbers_problem("380,000 people at 7.55am", "38 万人 7:55") is None
    assert numbers_problem("Born in 1984", "เกิดปี 1948") == "the number 1984 is lost"
    assert numbers_problem("10 million people, 1.5 billion trees", "一千万 1000万人，15亿棵树") is None
    assert numbers_problem("10 million people", "两百人") == "the number 10 is lost"
    assert numbers_problem("5,000 people", "၅၀၀၀ လူ") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Anna met Somchai Marley in Paris on Monday.", ["Somchai", "Marley", "Paris"]),
        ("The iPhone by Samsung uses iOS and NASA data. Then it stops.", ["iPhone", "Samsung", "iOS", "NASA"]),
        ("She speaks English. Is it Anna's dog?", ["Anna"]),
        ("# How To Cook Rice With Fish\nYou must NOT boil it", []),
        ("It is IMPORTANT that I go", []),
        ("Ask the Government or the School of Narathiwat.", ["Narathiwat"]),
    ],
)
def test_names(text: str, found: list[str]) -> None:
    assert names(text) == found


def test_a_name_in_another_script_is_lost() -> None:
    assert names_problem("I met Anna", "ฉันพบ Anna") is None
    assert names_problem("I met Anna", "ฉันพบแอนนา") == "the name Anna is lost"
