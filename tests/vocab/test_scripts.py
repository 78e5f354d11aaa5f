import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.vocab.scripts import (
    assigned_characters,
    character_bytes,
    extends_cluster,
    is_cluster_boundary,
    is_shared_sign,
    may_begin,
    script_of,
)
from tests.vocab.tiny import PROPERTY


@pytest.mark.parametrize(
    ("characters", "script"),
    [
        ("aZéđỹ", "latin"),
        ("กาำ๙", "thai"),
        ("ກຳໜ", "lao"),
        ("ក្ា។", "khmer"),
        ("က်ါ။", "myanmar"),
        ("汉漢〇", "han"),
        ("яقあ", "other"),
        ("1.? ，“×÷\u200b", None),
    ],
)
def test_script(characters: str, script: str | None) -> None:
    assert {script_of(character) for character in characters} == {script}


def test_marks_and_stacked_consonants_stay_with_their_base() -> None:
    khmer = "ក្រុម"  # KA COENG RO U MO: two clusters
    assert [is_cluster_boundary(a, b) for a, b in itertools.pairwise(khmer)] == [False, False, False, True]
    assert not is_cluster_boundary("ท", "ำ")
    assert is_cluster_boundary("ท", "ท")
    assert extends_cluster("့")


@pytest.mark.parametrize("script", ["thai", "lao", "khmer", "myanmar", "han", "latin"])
def test_assigned_characters_are_of_the_script(script: str) -> None:
    characters = assigned_characters(script)  # type: ignore[arg-type]
    assert len(characters) > 60
    assert all(unicodedata.name(c, "") for c in characters)
    assert {script_of(c) for c in characters} <= {script, None}


@PROPERTY
@given(st.sampled_from(["thai", "lao", "khmer", "myanmar", "han", "latin"]), st.data())
def test_every_beginning_of_a_character_may_begin_its_script(script: str, data: st.DataObject) -> None:
    encoded = data.draw(st.sampled_from(assigned_characters(script))).encode()  # type: ignore[arg-type]
    assert character_bytes(encoded[0]) == len(encoded)
    assert all(may_begin(encoded[:k], [script]) for k in range(1, len(encoded)))  # type: ignore[list-item]


def test_beginnings_of_other_scripts_are_refused() -> None:
    assert not may_begin("က".encode()[:2], ["thai"])
    assert may_begin("。".encode()[:2], ["thai"])  # a sign that many scripts share
    assert is_shared_sign("。")
    assert not is_shared_sign(".")
