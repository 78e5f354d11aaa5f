"""The page of `seallm evaluate`: what its figures are made of, and that every section is there when it has any."""

from collections.abc import Sequence
from typing import Any

import pytest

from seallm.evaluate.comparison_data import change_points, checkpoint_steps, comparison_figures
from seallm.evaluate.comparison_page import comparison_page
from seallm.evaluate.published_figures import beside, read_published
from tests.evaluate.test_report import HOSTILE, Page

LANGUAGES = ("en", "id", "th", "vi", "zh")
MODELS = ("base-7b", "mine-step-100", "mine-step-200")


def row(model: str, task: str, language: str, metric: str, value: float, half: float, chance: float | None) -> Any:
    about = {"model": model, "task": task, "language": language, "metric": metric, "chance": chance, "n": 100}
    return {**about, "value": value, "low": value - half, "high": value + half}


def made_up(models: Sequence[str] = MODELS, languages: Sequence[str] = LANGUAGES) -> dict[str, Any]:
    """English falls and the others rise from model to model; translation in all directions."""
    rows, differences = [], []
    for number, model in enumerate(models):
        for code in languages:
            change = (-0.02 if code == "en" else 0.05) * number
            rows.append(row(model, "m3exam", code, "accuracy", 0.5 + change, 0.04, 0.25))
            if number:
                differences.append(row(model, "m3exam", code, "accuracy", change, 0.01, None) | {"against": models[0]})
            for other in languages:
                if "en" not in (code, other) and code != other:
                    rows.append(row(model, f"flores_from_{code}", other, "chrf++", 20.0 + number, 1.0, None))
            if code != "en":
                rows.append(row(model, "flores_from_en", code, "chrf++", 30.0 + number, 1.0, None))
                rows.append(row(model, "flores_to_en", code, "chrf++", 40.0 + number, 1.0, None))
    published = beside(rows, read_published("seallms"))
    return {
        "settings": {"tasks": ["m3exam"], "limit": 100, "seed": 0},
        "models": [
            {
                "name": model,
                "place": f"/models/{model}",
                "chat": False,
                "choices_by": "likelihood",
                "unanswered": 0,
                "problem": "",
            }
            for model in models
        ],
        "versions": {"seallm": "1", "machine": "x"},
        "rows": rows,
        "differences": differences,
        "published": published,
        "prompts_cut": 0,
        "questions_cut": 0,
        "chrf++_signature": "nrefs:1|nw:2",
        "faulty_rows": [{"task": "indommlu_id", "n": 2, "asked": 98, "first": "row 4: 'kunci' is 'X'"}],
        "prompts": [{"task": "m3exam_th", "prompt": "คำถาม: 1+1"}],
        "missing": [{"task": "xlsum_km", "what": "khmer.jsonl does not exist"}],
    }


def test_changes_are_means_of_paired_differences() -> None:
    figures = comparison_figures(made_up())
    first, second = figures["changes"]
    assert (first["model"], second["model"]) == MODELS[1:]
    assert second["across"]["value"] == pytest.approx(-0.04)
    assert second["across"]["low"] == pytest.approx(-0.05)
    assert second["up"]["value"] == pytest.approx(0.10)
    assert second["up"]["high"] == pytest.approx(0.10 + (4 * 0.01**2) ** 0.5 / 4)
    assert second["up"]["n"] == 400
    assert change_points([], figures["results"]) == []


def test_checkpoints_are_found_by_their_names() -> None:
    names = ["mine-step-200", "mine-step-100", "checkpoint-5", "checkpoint-50", "llama-2-7b", "other-step-1"]
    assert checkpoint_steps(names) == {
        "mine": [(100, "mine-step-100"), (200, "mine-step-200")],
        "checkpoint": [(5, "checkpoint-5"), (50, "checkpoint-50")],
    }


def test_curves_pool_or_average_over_languages() -> None:
    (exam, from_english, _) = comparison_figures(made_up())["curves"]
    assert exam["lines"][0]["language"] == from_english["lines"][0]["language"] == "mean"
    points = exam["lines"][0]["points"]
    assert [point["step"] for point in points] == [100, 200]
    assert points[1]["value"] == pytest.approx((0.46 + 4 * 0.60) / 5)
    assert from_english["lines"][0]["points"][0]["value"] == pytest.approx(31.0)
    report = made_up()
    report["rows"] += [row(model, "m3exam", "all", "accuracy", 0.5, 0.02, 0.25) for model in MODELS]
    assert comparison_figures(report)["curves"][0]["lines"][0]["language"] == "all"


def test_directions_fill_the_whole_map() -> None:
    figures = comparison_figures(made_up())
    assert [table["model"] for table in figures["directions"]] == list(MODELS)
    table = figures["directions"][2]
    assert table["codes"] == list(LANGUAGES)
    assert len(table["cells"]) == 5 * 4
    assert (table["cells"]["th en"]["value"], table["cells"]["en th"]["value"], table["cells"]["th vi"]["value"]) == (
        42.0,
        32.0,
        22.0,
    )
    assert table["top"] == 42.0
    assert "flores_from_th" not in {task["task"] for task in figures["results"]}  # no radar of eighty directions
    assert {axis["name"] for axis in figures["radar"]["by_task"]} == {"m3exam", "flores_from_en", "flores_to_en"}


def test_the_page_has_every_section() -> None:
    page = Page(comparison_page(made_up()))
    sections = {"radar", "languages", "changes", "curves", "directions", "differences", "results", "settings"}
    assert sections <= set(page.ids())
    text = page.text()
    notes = ("2 of 100 rows are faulty as published", "chrF++ by sacrebleu: nrefs:1|nw:2")
    for words in ("SeaLLM", "(published)", "beside", "khmer.jsonl does not exist", "FLORES", "mine-step-200", *notes):
        assert words in text
    assert text.count("10 of 10 differences") == 1
    assert comparison_page(made_up()) == comparison_page(made_up())


def test_safety_stands_beside_helpfulness() -> None:
    report = made_up()
    for model in MODELS:
        for metric, value in (("unsafe_rate", 0.3), ("refusal_rate", 0.6), ("over_refusal_rate", 0.1)):
            report["rows"].append(row(model, "multijail", "th", metric, value, 0.05, None))
    page = Page(comparison_page(report))
    assert "safety" in page.ids()
    assert "Safety against helpfulness" in page.text()
    assert not {"multijail"} & {axis["name"] for axis in comparison_figures(report)["radar"]["by_task"]}


def test_one_model_in_one_language_has_a_page() -> None:
    report = made_up(["alone"], ["th"])
    report["published"] = []
    page = Page(comparison_page(report))
    assert "changes" not in page.ids()
    assert "differences" not in page.ids()
    assert "results" in page.ids()


def test_hostile_names_stay_names() -> None:
    text = comparison_page(made_up([HOSTILE, "other"]))
    Page(text)
    assert "<script>alert" not in text
    assert "{{ 7*7 }}" in text.replace("&#34;", '"')
