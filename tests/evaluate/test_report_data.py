"""Figures of the corpus and of training, against counts and means made another way."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.base.files import write_json, write_json_lines
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.evaluate.report_data import bits_per_byte_figures, corpus_figures, loss_curve, vocab_figures

DOCUMENTS = [("a", "short"), ("b", "harm"), ("c", "short"), ("d", "personal_data"), ("e", "short"), ("f", "short")]


def dropped(folder: Path, language: str, documents: list[tuple[str, str]], row_group: int = 2) -> None:
    rows = [{"id": f"{language}-{i}", "text": f"text {i}", "language": language, "reason": r} for i, r in documents]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(rows, DOCUMENT_SCHEMA), folder / f"{language}.parquet", row_group_size=row_group
    )


def test_funnel_accounts_for_every_document(tmp_path: Path) -> None:
    write_json(
        tmp_path / "funnel.json",
        {"th": {"read": 10, "short": 3, "kept_high": 4, "held_out": 1}, "unknown": {"read": 2}},
    )
    figures = corpus_figures(tmp_path, ["en", "th"])
    assert figures
    assert [row["language"] for row in figures["rows"]] == ["th", "unknown"]
    for row in [*figures["rows"], figures["total"]]:
        assert sum(row["parts"].values()) == row["read"]
    assert figures["rows"][0]["parts"] == {"short": 3, "kept_high": 4, "held_out": 1, "unaccounted": 2}
    assert figures["rows"][0]["kept_share"] == 0.5
    assert figures["total"]["read"] == 12
    assert figures["reasons"] == ["unaccounted", "short"]


def test_dropped_samples_are_few_varied_and_harmless(tmp_path: Path) -> None:
    write_json(tmp_path / "funnel.json", {"th": {"short": 4, "harm": 1, "personal_data": 1}, "en": {"short": 4}})
    dropped(tmp_path / "dropped", "th", DOCUMENTS)
    dropped(tmp_path / "dropped", "en", DOCUMENTS)
    figures = corpus_figures(tmp_path, ["en", "th"])
    assert figures
    assert figures["withheld"] == ["harm", "personal_data"]
    assert [group["reason"] for group in figures["samples"]] == ["short"]
    documents = figures["samples"][0]["documents"]
    assert [d["id"] for d in documents] == ["en-a", "th-a", "en-c"]
    assert [d["text"] for d in documents] == ["text a", "text a", "text c"]


def test_compression_gain(tmp_path: Path) -> None:
    write_json(
        tmp_path / "compression.json", {"before": {"th": 6.0, "en": 1.0, "lo": 0}, "after": {"th": 1.5, "en": 1.0}}
    )
    figures = vocab_figures(tmp_path, ["en", "th", "lo"])
    assert figures
    assert [(r["language"], r["gain"]) for r in figures["rows"]] == [("en", 1.0), ("th", 4.0), ("lo", None)]


@given(st.lists(st.floats(-5, 20), min_size=1, max_size=700))
def test_loss_curve_keeps_the_mean_and_the_ends(losses: list[float]) -> None:
    figures = loss_curve([{"step": k + 1, "loss": loss, "tokens": 7} for k, loss in enumerate(losses)])
    width = figures["smoothed_over_steps"]
    assert figures["tokens"] == 7 * len(losses)
    assert len(figures["curve"]) <= 240
    assert figures["curve"][0][0] >= 1
    assert figures["curve"][-1][0] <= len(losses)
    size = -(-len(losses) // 240)
    sizes = [len(losses[i : i + size]) for i in range(0, len(losses), size)]
    mean = sum(value * n for (_, value), n in zip(figures["curve"], sizes, strict=True)) / len(losses)
    assert mean == pytest.approx(sum(losses) / len(losses), abs=1e-5)
    if len(losses) <= 240:  # one point a step: the moving mean, made slowly
        half = width // 2
        windows = [losses[max(0, i - half) : i + half + 1] for i in range(len(losses))]
        slow = [sum(window) / len(window) for window in windows]
        assert [value for _, value in figures["smooth"]] == pytest.approx(slow, abs=1e-5)


def test_loss_curve_leaves_out_what_is_not_finite() -> None:
    rows: list[dict[str, Any]] = [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": None},
        {"step": 3, "loss": float("inf")},
    ]
    rows += [{"step": 4, "loss": 1.0, "mixture": "high"}, {"step": 5, "loss": 1.0, "mixture": "replay"}]
    figures = loss_curve(rows)
    assert figures["not_finite"] == 2
    assert figures["curve"] == [[1, 2.0], [4, 1.0], [5, 1.0]]
    assert figures["parts"] == [
        {"name": "high", "first_step": 4, "last_step": 4},
        {"name": "replay", "first_step": 5, "last_step": 5},
    ]


def test_a_step_told_twice_counts_once() -> None:
    figures = loss_curve([{"step": 1, "loss": 9.0, "tokens": 5}, {"step": 1, "loss": 2.0, "tokens": 5}])
    assert (figures["steps"], figures["first"], figures["tokens"]) == (1, 2.0, 5)


def test_steps_that_the_recipe_skips_are_no_failures() -> None:
    rows = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None, "left_out": True}, {"step": 3, "loss": None}]
    figures = loss_curve(rows)
    assert (figures["steps"], figures["left_out"], figures["not_finite"]) == (3, 1, 1)


def test_bits_per_byte_compares_full_measurements(tmp_path: Path) -> None:
    rows = [
        {"step": "base", "language": "th", "bits_per_byte": 3.0, "documents": 9, "bytes": 900, "full": True},
        {"step": 0, "language": "th", "bits_per_byte": 4.0, "documents": 9, "bytes": 900, "full": True},
        {"step": 10, "language": "th", "bits_per_byte": 1.0, "documents": 2, "bytes": 100, "full": False},
        {"step": 20, "language": "th", "bits_per_byte": 1.5, "documents": 9, "bytes": 900, "full": True},
    ]
    write_json_lines(tmp_path / "bits_per_byte.jsonl", rows)
    (figures,) = bits_per_byte_figures({"pretrain": tmp_path}, ["en", "th"])
    assert (figures["base"], figures["start"], figures["final"]) == (3.0, 4.0, 1.5)
    assert (figures["documents"], figures["bytes"]) == (9, 900)
    assert figures["curve"] == [[0, 4.0], [10, 1.0], [20, 1.5]]
    assert figures["partly_sampled"]
    assert figures["tiers"] == []


def test_bits_per_byte_of_tiers_stand_beside_those_of_all(tmp_path: Path) -> None:
    values = {
        ("base", "all"): 3.0,
        (0, "all"): 4.0,
        (0, "high"): 3.5,
        (9, "all"): 2.0,
        (9, "high"): 1.5,
        (9, "low"): 2.5,
    }
    common = {"language": "th", "documents": 9, "bytes": 900, "full": True}
    rows = [{"step": s, "tier": tier, "bits_per_byte": value, **common} for (s, tier), value in values.items()]
    write_json_lines(tmp_path / "bits_per_byte.jsonl", rows)
    (figures,) = bits_per_byte_figures({"pretrain": tmp_path}, ["en", "th"])
    assert figures["curve"] == [[0, 4.0], [9, 2.0]]
    assert [(part["tier"], part["final"], part["curve"]) for part in figures["tiers"]] == [
        ("high", 1.5, [[0, 3.5], [9, 1.5]]),
        ("low", 2.5, [[9, 2.5]]),
    ]
