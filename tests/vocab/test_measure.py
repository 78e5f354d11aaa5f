import json

import pytest
from tokenizers import Tokenizer

from seallm.base.errors import DataError
from seallm.vocab.measure import PAPER, measure, paper_rows, summary
from tests.vocab.tiny import BASES, sentences

TEXTS = {code: sentences("dev", code, 12) for code in ("en", "th", "id")}


def test_ratios_are_counts_over_the_unit() -> None:
    first, second = (Tokenizer.from_str(BASES[name]()) for name in ("byte-level", "sentencepiece"))
    doubled = {code: [line + line for line in lines] for code, lines in TEXTS.items()}
    found = measure({"a": first, "b": second}, {"canonical": TEXTS, "raw": doubled}, ("unit", second))
    unit = sum(len(second.encode(line, add_special_tokens=False).ids) for line in TEXTS["en"])
    thai = sum(len(first.encode(line, add_special_tokens=False).ids) for line in TEXTS["th"])
    row = found["forms"]["canonical"]["a"]
    assert row["tokens"]["th"] == thai
    assert row["ratios"]["th"] == round(thai / unit, 4)
    assert row["mean"] == pytest.approx((row["ratios"]["th"] + row["ratios"]["id"]) / 2, abs=1e-4)
    assert row["worst"] == row["ratios"]["th"]
    assert found["reference"] == "en with unit"
    assert found["sentences"] == 12
    # raw text has its own unit, so that twice the text costs about the same
    assert found["forms"]["raw"]["a"]["ratios"]["th"] == pytest.approx(row["ratios"]["th"], rel=0.05)
    assert json.dumps(found)


def test_the_first_tokenizer_is_the_unit_where_none_is_given() -> None:
    tokenizer = Tokenizer.from_str(BASES["byte-level"]())
    found = measure({"mine": tokenizer}, {"canonical": TEXTS})
    assert found["reference"] == "en with mine"
    assert found["forms"]["canonical"]["mine"]["ratios"]["en"] == 1.0


def test_one_language_is_not_enough() -> None:
    tokenizer = Tokenizer.from_str(BASES["byte-level"]())
    with pytest.raises(DataError, match="two languages or more"):
        measure({"mine": tokenizer}, {"canonical": {"en": ["a"]}})


def test_the_papers_rows() -> None:
    rows = paper_rows(["en", "th", "km", "xx"])
    assert rows["SeaLLM (paper)"]["ratios"] == {"en": 1.19, "th": 1.87, "km": 2.67}
    assert rows["SeaLLM (paper)"]["mean"] == 2.27
    assert rows["ChatGPT (paper)"]["worst"] == 15.56
    assert paper_rows(["th", "en"]) == {}
    assert all(set(row) == set(PAPER["SeaLLM (paper)"]) for row in PAPER.values())
    nine = summary({code: int(100 * ratio) for code, ratio in PAPER["SeaLLM (paper)"].items()}, 100)
    assert nine["mean"] == pytest.approx(1.80, abs=0.01)
