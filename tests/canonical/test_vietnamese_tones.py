import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.canonical.vietnamese_tones import is_vietnamese, place_tones

_AROUND = "Đây là một câu tiếng Việt về những điều được nói: "
_PAIRS = [
    ("hòa", "hoà"), ("khỏe", "khoẻ"), ("thúy", "thuý"), ("ủy", "uỷ"), ("òa", "oà"), ("HÓA", "HOÁ"), ("Tòa", "Toà"),
    ("lũy", "luỹ"), ("họa", "hoạ"), ("xòe", "xoè"), ("ngụy", "nguỵ"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), _PAIRS)
def test_both_ways(old: str, new: str) -> None:
    assert place_tones(_AROUND + old, "new") == (_AROUND + new, 1)
    assert place_tones(_AROUND + new, "old") == (_AROUND + old, 1)
    assert place_tones(_AROUND + new + " " + old, "keep") == (_AROUND + new + " " + old, 0)


@pytest.mark.parametrize("word", ["quý", "quỳ", "quả", "hoàn", "hoài", "của", "tuổi", "khuya", "huỳnh", "mùa", "già"])
@pytest.mark.parametrize("placement", ["new", "old"])
def test_other_syllables_stay(word: str, placement: str) -> None:
    assert place_tones(_AROUND + word, placement) == (_AROUND + word, 0)  # type: ignore[arg-type]


def test_other_languages_stay() -> None:
    for text in ("Il a dit: hòa, thúy", "Goiás e Lisboà, canoà", "hòa", "ภาษา hòa"):
        assert not is_vietnamese(text)
        assert place_tones(text, "new") == (text, 0)


@given(st.lists(st.sampled_from([word for pair in _PAIRS for word in pair] + ["quý", "được", "và"]), max_size=20))
def test_there_and_back(words: list[str]) -> None:
    text = _AROUND + " ".join(words)
    new, _ = place_tones(text, "new")
    old, _ = place_tones(text, "old")
    assert place_tones(new, "new") == (new, 0)
    assert place_tones(old, "new")[0] == new
    assert place_tones(new, "old")[0] == old
