import unicodedata
from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from seallm.canonical import character_kinds as kinds_module
from seallm.canonical.character_kinds import BURMESE, CONTINUATION, INVISIBLE, KHMER, LEAD, MARK, SPACE, kinds
from seallm.canonical.repair import _INVISIBLE, _LINE_ENDS, _SPACES
from tests.corpus.reference import texts

_odd = st.text("aÃ©á»à¸\x81\xa0\xad\u0301\u0323ก่កកិ\u200b\U000e0041😀\u2028", max_size=60)


@given(st.one_of(texts, _odd))
def test_what_the_patterns_would_find_is_found(text: str) -> None:
    found = kinds(text)
    assert found.has(SPACE) == bool(_SPACES.search(text))
    assert found.has(kinds_module.LINE_END) == bool(_LINE_ENDS.search(text))
    assert found.has(INVISIBLE) or not _INVISIBLE.search(text)
    assert found.has(KHMER) == any("\u1780" <= c <= "\u17ff" for c in text)
    leads = [0xC2 <= ord(a) <= 0xF4 and (0x80 <= ord(b) <= 0xBF or b in "»€\ufffd") for a, b in pairwise(text)]
    assert found.follows(LEAD, CONTINUATION) or not any(leads)
    runs = [len(list(run)) for marked, run in groupby(text, lambda c: bool(unicodedata.combining(c))) if marked]
    assert found.longest_run(MARK) >= max(runs, default=0)


def test_an_empty_text_has_nothing() -> None:
    found = kinds("")
    assert not found.occurring
    assert not found.has(BURMESE | MARK)
    assert found.longest_run(MARK) == 0
    assert kinds("e" + "\u0301" * 7 + "e\u0301").longest_run(MARK) == 7
