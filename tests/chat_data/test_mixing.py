"""The mix is a function of what the conversations are, not of their order; caps, quotas and shares hold."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.chat_data.mixing import HELD_OUT, HYBRID, LEFT_OVER, PARTS, SFT, Mixed, balance, draw, mix, mix_table
from seallm.chat_data.tables import mix_rows
from seallm.recipe_instructions import Instructions, InstructionSource

SOURCES = [InstructionSource(files=["x"])]


def recipe(**changes: object) -> Instructions:
    return Instructions(sources=SOURCES, **changes)  # type: ignore[arg-type]


def some_rows(count: int, seed: int = 1) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    languages = rng.choice(["en", "th", "lo"], count, p=[0.7, 0.25, 0.05]).tolist()
    categories = rng.choice(["safety", "math-logic", "general-instruction"], count, p=[0.1, 0.2, 0.7]).tolist()
    keys, questions = rng.integers(0, 2**64, (2, count), np.uint64)
    return languages, categories, keys, questions


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 300),
    st.randoms(use_true_random=False),
    st.sampled_from([{}, {"sft_conversations": 40}, {"quotas": {"en": 20, "th.safety": 2, "safety": 9}}]),
    st.integers(0, 3),
)
def test_order_does_not_matter(count: int, random: object, changes: dict[str, object], seed: int) -> None:
    languages, categories, keys, questions = some_rows(count)
    whole = mix(languages, categories, keys, questions, recipe(**changes), seed)
    order = list(range(count))
    random.shuffle(order)  # type: ignore[attr-defined]
    picked = [[column[i] for i in order] for column in (languages, categories)]
    other = mix(picked[0], picked[1], keys[order], questions[order], recipe(**changes), seed)
    assert np.array_equal(whole.parts[order], other.parts)
    assert np.array_equal(whole.draws[order], other.draws)


def test_every_conversation_has_one_part_and_only_hybrid_languages_are_hybrid() -> None:
    languages, categories, keys, questions = some_rows(5_000)
    found = mix(languages, categories, keys, questions, recipe(), 0)
    codes = np.array(languages)
    assert set(codes[found.parts == HYBRID]) == {"en"}
    assert "en" not in set(codes[found.parts == LEFT_OVER])
    assert (found.parts == HELD_OUT).mean() == pytest.approx(0.02, abs=0.01)
    english = found.parts[codes == "en"]
    assert (english == HYBRID).mean() >= 0.75
    table = mix_table({"language": languages, "category": categories}, found.parts)
    assert sum(int(row["all"]) for row in table) == 5_000
    assert all(sum(int(row[part]) for part in PARTS) == row["all"] for row in table)


def test_the_same_question_never_stands_on_both_sides() -> None:
    languages, categories, keys, _ = some_rows(2_000)
    questions = draw(np.arange(2_000, dtype=np.uint64) // np.uint64(4), "q")
    parts = mix(languages, categories, keys, questions, recipe(held_out_share=0.3), 0).parts
    held_out = set(questions[parts == HELD_OUT].tolist())
    assert held_out
    assert not held_out & set(questions[parts != HELD_OUT].tolist())


def test_shares_of_none_and_all() -> None:
    languages, categories, keys, questions = some_rows(500)
    parts = mix(languages, categories, keys, questions, recipe(held_out_share=1.0), 0).parts
    assert set(parts) == {HELD_OUT}
    changes = {"held_out_share": 0.0, "hybrid_share": 0.0, "max_language_share": 1.0}
    parts = mix(languages, categories, keys, questions, recipe(**changes), 0).parts
    assert set(parts) == {SFT}
    parts = mix(languages, categories, keys, questions, recipe(held_out_share=0.0, hybrid_share=1.0), 0).parts
    assert set(np.array(languages)[parts == HYBRID]) == {"en"}


def test_a_larger_total_takes_those_of_a_smaller_one_and_others() -> None:
    rows = some_rows(3_000)
    small, large = (
        set(np.flatnonzero(mix(*rows, recipe(sft_conversations=n, max_language_share=1.0), 0).parts == SFT).tolist())
        for n in (100, 400)
    )
    assert (len(small), len(large)) == (100, 400)
    assert small < large


def test_another_seed_takes_others() -> None:
    rows = some_rows(2_000)
    first, second = (mix(*rows, recipe(), seed) for seed in (0, 1))
    assert isinstance(first, Mixed)
    assert not np.array_equal(first.parts, second.parts)
    assert not np.array_equal(np.argsort(first.draws), np.argsort(second.draws))


CELLS = {"en": {"math-logic": 200, "safety": 50}, "th": {"math-logic": 60, "safety": 40}, "lo": {"safety": 10}}


def test_quotas_are_most_of_a_cell_a_category_or_a_language() -> None:
    found = balance(CELLS, recipe(max_language_share=1.0, quotas={"en.math-logic": 30, "safety": 50, "th": 70}))
    assert found["en"] == {"math-logic": 30, "safety": 25}
    assert sum(row["safety"] for row in found.values()) <= 50
    assert sum(found["th"].values()) == 70
    assert balance(CELLS, recipe(max_language_share=1.0, quotas={"lo": 0}))["lo"] == {"safety": 0}


def test_caps_hold() -> None:
    found = balance(CELLS, recipe(max_language_share=0.5, max_category_share=0.6))
    sizes = Counter({language: sum(row.values()) for language, row in found.items()})
    assert max(sizes.values()) <= 0.5 * sizes.total() + 1
    assert all(max(row.values()) <= 0.6 * sum(row.values()) + 1 for row in found.values() if len(row) > 1)
    assert found["lo"] == {"safety": 10}


def test_temperature_evens_languages_out() -> None:
    tempered = balance(CELLS, recipe(max_language_share=1.0, sft_conversations=60, temperature=100.0))
    assert [sum(row.values()) for row in tempered.values()] == [25, 25, 10]
    plain = balance(CELLS, recipe(max_language_share=1.0, sft_conversations=36, temperature=1.0))
    assert [sum(row.values()) for row in plain.values()] == [25, 10, 1]


def test_the_table_warns_where_caps_leave_most_over() -> None:
    cell = {"language": "en", "category": "", "hybrid": 0, "sft": 10, "held_out": 0, "left_over": 11, "all": 21}
    assert "let 10 conversations through and leave 11 over" in str(mix_rows([cell]).caption)
    assert mix_rows([{**cell, "left_over": 10}]).caption is None
