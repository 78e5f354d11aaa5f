"""Curves against tokenizers that really have only the first k tokens."""

import copy
import json
from typing import Any

import numpy as np
import pytest

from seallm.languages import load_languages
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe
from seallm.vocab.compression import count_tokens
from seallm.vocab.expansion import LanguageTexts, expand
from seallm.vocab.extend import extended_document
from seallm.vocab.planner import Curve, NewToken, Shape, cheapest_decoding, shape_of, stop_at, table, trace
from seallm.vocab.pretokenizer import repair
from tests.vocab.tiny import BASES, documents, sentences

CODES = ("en", "th", "my", "vi")
TEST = {code: sentences("test", code, 30) for code in CODES}


def learn(name: str, new_tokens: int) -> tuple[BpeTokenizer, list[NewToken]]:
    base = parse_bpe(repair(json.loads(BASES[name]())), name)
    texts = [
        LanguageTexts(language, documents(code, 6_000), sentences("dev", code, 30))
        for code, language in load_languages(CODES).items()
    ]
    found = expand(base, texts, Vocab(parallel="-", new_tokens=new_tokens), lambda: None)
    symbols = [NewToken(s.token, s.new_id, None, s.language) for s in found.symbols]
    merges = [NewToken(m.token, m.new_id, (m.left, m.right), found.languages[m.language]) for m in found.learned.merges]
    return base, symbols + merges


def document_of(base: BpeTokenizer, new: list[NewToken]) -> dict[str, Any]:
    symbols = {token.token: token.new_id for token in new if token.parts is None}
    return extended_document(base, symbols, [(*token.parts, token.new_id) for token in new if token.parts])


@pytest.mark.parametrize("name", BASES)
def test_every_point_is_what_a_tokenizer_with_so_many_tokens_gives(name: str) -> None:
    base, new = learn(name, 240)
    curve = trace(base, parse_bpe(document_of(base, new), "all"), new, TEST, unit=1_000)
    for count in (0, 1, 40, 119, 120, 180, 240):
        some = parse_bpe(document_of(base, copy.deepcopy(new[:count])), "some")
        for code, lines in TEST.items():
            assert curve.tokens[code][count] == count_tokens(some.tokenizer, lines), (code, count)
            assert curve.ratios[code][count] == curve.tokens[code][count] / 1_000
    assert sum(int(counts[-1]) for counts in curve.by_language.values()) == 240
    assert curve.by_language["en"][-1] == 0
    assert np.all(np.diff(curve.mean) <= 0)


def falling(gains: list[float]) -> Curve:
    """A curve whose mean loses these shares, one for each ten tokens."""
    mean = np.interp(
        np.arange(10 * len(gains) + 1), 10 * np.arange(len(gains) + 1), np.cumprod([4.0, *(1 - g for g in gains)])
    )
    same = {code: np.ones(mean.size, np.int64) for code in ("en", "th")}
    return Curve(same, {"en": np.ones(mean.size), "th": mean}, same)


@pytest.mark.parametrize(
    ("gains", "stop"),
    [([0.5, 0.2, 0.05, 0.004, 0.003], 30), ([0.5, 0.004, 0.05, 0.003], 30), ([0.5, 0.4], 20), ([0.001, 0.0], 0)],
)
def test_where_to_stop(gains: list[float], stop: int) -> None:
    assert stop_at(falling(gains), 0.01, step=10) == stop


def test_decoding_is_cheapest_where_rows_cost_what_they_save() -> None:
    curve = falling([0.5, 0.1, 0.001, 0.001])
    small = Shape(hidden_size=10, body_parameters=1_000, tied=True)
    place, cost = cheapest_decoding(curve, small, base_rows=50, step=10)
    costs = {k: float(curve.mean[k]) * (1_000 + 10 * (50 + k)) for k in (0, 10, 20, 30, 40)}
    assert place == min(costs, key=lambda k: costs[k]) == 20
    assert cost == pytest.approx(costs[20] / costs[0])
    large = Shape(hidden_size=10, body_parameters=10**9, tied=True)
    assert cheapest_decoding(curve, large, base_rows=50, step=10)[0] == 40


def test_the_table() -> None:
    curve = falling([0.5, 0.1])
    rows = table(curve, 10, Shape(hidden_size=1_000, body_parameters=10**6, tied=False), base_rows=100)
    assert [row["new_tokens"] for row in rows] == [0, 10, 20]
    assert [row["gain_share"] for row in rows] == [0.0, 0.5, 0.1]
    assert rows[2]["mean"] == rows[2]["worst"] == rows[2]["ratios"]["th"] == 1.8
    assert rows[1]["million_parameters"] == 0.02
    assert rows[1]["gain_share_per_million_parameters"] == 25.0
    assert rows[1]["decode_cost"] == round(0.5 * 1_110_000 / 1_100_000, 4)
    assert "decode_cost" not in table(curve, 10, None, 100)[1]


def test_the_shape_of_a_llama() -> None:
    config = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}
    assert shape_of(config) == Shape(8, 2 * (4 * 8 * 8 + 3 * 8 * 20), False)
    grouped = {**config, "num_key_value_heads": 1, "tie_word_embeddings": True}
    assert shape_of(grouped) == Shape(8, 2 * (2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 20), True)
    assert shape_of({"hidden_size": 8}) is None
