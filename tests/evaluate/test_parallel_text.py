from pathlib import Path

import numpy as np
import pytest

from seallm.base.errors import DataError
from seallm.evaluate.engine import Engine
from seallm.evaluate.parallel_text import parallel_rows, ratio_interval, read_parallel
from seallm.model.scoring import bits_per_byte

TEXTS = {
    "en": ["Good morning.", "We eat rice.", "It is warm in the city today."],
    "th": ["สวัสดีตอนเช้า", "เรากินข้าว", "วันนี้ในเมืองอากาศอบอุ่น"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for code, lines in TEXTS.items():
        (tmp_path / f"test.{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_bits_per_byte_are_those_of_training(engine: Engine, folder: Path) -> None:
    rows = parallel_rows(engine, read_parallel(folder, ["en", "th"], None), seed=1)
    for row in (row for row in rows if row["metric"] == "bits_per_byte"):
        texts = TEXTS[row["language"]]
        expected = bits_per_byte(engine.model, engine.tokenizer, texts, engine.max_length)
        assert row["value"] == pytest.approx(expected.value, abs=1e-5)
        assert row["n"] == 3
        assert row["low"] <= row["value"] <= row["high"]
        assert row["low"] < row["high"]


def test_tokens_are_counted_against_english(engine: Engine, folder: Path) -> None:
    rows = parallel_rows(engine, read_parallel(folder, ["en", "th"], None), seed=1)
    ratios = {row["language"]: row for row in rows if row["metric"] == "tokens_relative_to_english"}
    tokens = {code: sum(len(engine.plain.encode(text)) for text in texts) for code, texts in TEXTS.items()}
    assert ratios["en"]["value"] == ratios["en"]["low"] == ratios["en"]["high"] == 1
    assert ratios["th"]["value"] == tokens["th"] / tokens["en"]


def test_no_english_no_ratio_and_the_limit_holds(engine: Engine, folder: Path) -> None:
    rows = parallel_rows(engine, read_parallel(folder, ["th"], 2), seed=1)
    assert [(row["metric"], row["n"]) for row in rows] == [("bits_per_byte", 2)]


def test_a_missing_language_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"test\.lo\.txt does not exist"):
        read_parallel(folder, ["lo"], None)


def test_the_interval_covers_the_truth() -> None:
    """About 95 of 100 intervals hold the ratio that the sentences were drawn with."""
    random = np.random.default_rng(5)
    covered = 0
    for trial in range(100):
        below = random.integers(20, 80, 60).astype(float)
        low, high = ratio_interval(below * 3 + random.normal(0, 10, 60), below, seed=trial)
        covered += low <= 3 <= high
    assert 88 <= covered <= 100
