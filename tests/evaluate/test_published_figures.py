from pathlib import Path
from typing import Any

import pytest

from seallm.base.errors import DataError
from seallm.evaluate.published_figures import beside, published_names, read_published
from seallm.evaluate.task_files import task_configs


def own(language: str, value: float) -> dict[str, Any]:
    ends = {"low": value - 0.04, "high": value + 0.04}
    return {
        "model": "ours",
        "task": "m3exam",
        "language": language,
        "metric": "accuracy",
        "value": value,
        "n": 9,
    } | ends


def test_shipped_figures_are_of_tasks_that_exist() -> None:
    known = {(c["metadata"]["task"], c["metadata"]["language"]) for c in task_configs()}
    for name in published_names():
        rows = read_published(name)
        assert rows
        for row in rows:
            assert (row["task"], row["language"]) in known, row
            assert row["n"] is None is row["low"]
            assert 0 < row["value"] < (1 if row["metric"] != "chrf++" else 100)
            assert row["source"]


def test_figures_of_the_paper() -> None:
    rows = {(r["model"], r["task"], r["language"]): r["value"] for r in read_published("seallms")}
    assert rows["SeaLLM-7B-v2.5 (published)", "m3exam", "th"] == pytest.approx(0.4686)
    assert rows["Llama-2-13b (published)", "mmlu", "en"] == pytest.approx(0.535)
    assert rows["SeaLLM-13b-chat (published)", "flores_from_en", "vi"] == 59.0


def test_averages_are_those_of_the_figures() -> None:
    """In the model card two of them are printed as 59.77 and 45.26."""
    of = {
        (r["task"], r["language"]): r["value"]
        for r in read_published("seallms")
        if r["model"].startswith("Llama-2-13b (")
    }
    reading = [of["xquad", "vi"], of["indoqa", "id"], of["xquad", "th"]]
    assert sum(reading) / 3 == pytest.approx(0.5369, abs=5e-5)
    assert sum(of["flores_from_en", code] for code in ("zh", "vi", "id", "th")) / 4 == pytest.approx(40.03, abs=0.005)


def test_only_what_was_measured_and_means_over_common_languages() -> None:
    found = beside([own("en", 0.5), own("vi", 0.3), own("jv", 0.9)], read_published("seallms"))
    assert {row["task"] for row in found} == {"m3exam"}
    assert {row["language"] for row in found} == {"en", "vi", "mean"}
    means = {row["model"]: row for row in found if row["language"] == "mean"}
    assert means["ours"]["value"] == pytest.approx(0.4)
    assert means["ours"]["high"] - means["ours"]["low"] == pytest.approx(0.08 / 2**0.5)
    assert means["SeaLLM-7B-v2 (published)"]["value"] == pytest.approx((0.7091 + 0.5115) / 2)
    assert means["SeaLLM-7B-v2 (published)"]["n"] is None is means["SeaLLM-7B-v2 (published)"]["low"]
    assert not beside([own("en", 0.5) | {"task": "other"}], read_published("seallms"))


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    head = 'source = "me"\n[[table]]\nabout = "a"\ntask = "quiz"\nmetric = "accuracy"\nlanguages = ["lo", "km"]\n'
    path.write_text(head + 'figures = { "A" = [50.0, 25.0] }\n', encoding="utf-8")
    assert [row["value"] for row in read_published(str(path))] == [0.5, 0.25]
    path.write_text(head + 'figures = { "A" = [50.0] }\n', encoding="utf-8")
    with pytest.raises(DataError, match="quiz, A: 1 figures for 2 languages"):
        read_published(str(path))
    path.write_text(head + 'figures = { "A" = ["x"] }\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"table\.0\.figures\.A\.0: Input should be a valid number"):
        read_published(str(path))
    with pytest.raises(DataError, match="no published figures 'sota': give seallms or a TOML file"):
        read_published("sota")
