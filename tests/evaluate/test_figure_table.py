"""Figures as people read them in a terminal and in report.md."""

from typing import Any

from seallm.evaluate.figure_table import figure_text, missing_lines, notes, summary_rows, table_lines
from seallm.evaluate.page_engine import task_title


def row(task: str, language: str, metric: str, value: float, **others: Any) -> dict[str, Any]:
    found = {"model": "m", "task": task, "language": language, "metric": metric, "value": value, "n": 10}
    return {**found, "low": value / 2, "high": value * 2, "chance": None, **others}


def test_figures_have_the_decimals_of_their_unit() -> None:
    assert figure_text(row("xcopa", "id", "accuracy", 0.25)) == "25.0 [12.5, 50.0]"
    assert figure_text(row("text", "id", "bits_per_byte", 2.9812)) == "2.981 [1.491, 5.962]"
    assert figure_text(row("parallel", "id", "tokens_relative_to_english", 1.5)) == "1.50 [0.75, 3.00]"
    assert figure_text(row("parallel", "id", "seconds_to_write", 0.0421)) == "0.042 [0.021, 0.084]"
    assert figure_text(row("xquad", "id", "f1", 0.5, low=None, high=None)) == "50.0"


def test_the_summary_has_a_line_a_task() -> None:
    rows = [
        row("xcopa", "id", "accuracy", 0.25),
        row("xcopa", "all", "accuracy", 0.5),
        row("xcopa", "all", "accuracy_unnormalised", 0.6),
        row("flores_from_en", "id", "chrf++", 20.0),
        row("flores_from_en", "th", "chrf++", 40.0),
        *(row(f"flores_from_{code}", "lo", "chrf++", 10.0) for code in ("id", "th")),
        row("thaiexam", "th", "accuracy_unnormalised", 0.2),
        row("thaiexam", "th", "accuracy", 0.2),
    ]
    lines = table_lines(summary_rows({"rows": rows}), ["m"])
    assert lines == [
        ["XCOPA, cause or effect", "all", "accuracy", "10", "", "50.0 [25.0, 100.0]"],
        ["FLORES from English", "mean of 2", "chrf++", "20", "", "30.0"],
        ["FLORES between others", "mean of 2", "chrf++", "20", "", "10.0"],
        ["ThaiExam", "th", "accuracy", "10", "", "20.0 [10.0, 40.0]"],
    ]


def test_what_is_missing_is_a_line_a_benchmark() -> None:
    same = [
        {"task": f"seallm_sib200_{c}", "what": f"d/{c} does not exist. Fetch it: git clone x"} for c in ("en", "lo")
    ]
    each = [
        {"task": f"seallm_belebele_text_{c}", "what": f"d/{c} does not exist. Fetch it: hf {c}"} for c in ("en", "th")
    ]
    pairs = [{"task": f"seallm_ntrex_{c}", "what": "d/n does not exist"} for c in ("en_lo", "lo_en")]
    kinds = [{"task": f"seallm_seasafeguard_cultural_gen_my{k}", "what": "d/s is empty"} for k in ("", "_harmless")]
    assert missing_lines([*same, *each, *pairs, *kinds, {"task": "parallel", "what": "no tokens"}]) == [
        "sib200 (en, lo): d/en does not exist. Fetch it: git clone x",
        "belebele_text (en, th): d/en does not exist. Fetch it: hf en - and in the same way for each language",
        "ntrex (en-lo, lo-en): d/n does not exist",
        "d/s is empty",
        "no tokens",
    ]


def test_faulty_rows_are_told() -> None:
    faulty = [{"task": "seallm_indommlu_id", "n": 2, "asked": 14_979, "first": "row 4223: 'kunci' is 'F'"}]
    found = notes({"prompts_cut": 0, "questions_cut": 0, "faulty_rows": faulty, "models": []})
    assert found == [
        "seallm_indommlu_id: 2 of 14,981 rows are faulty as published and left out, as row 4223: 'kunci' is 'F'."
    ]


def test_tasks_have_names_for_readers() -> None:
    assert task_title("ntrex_from_km") == "NTREX from Khmer"
    assert task_title("flores_to_en") == "FLORES into English"
    assert task_title("belebele_text") == "Belebele, without letters"
    assert task_title("exam_from_us") == "exam from us"
