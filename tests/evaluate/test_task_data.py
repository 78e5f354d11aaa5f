import json
from pathlib import Path
from typing import Any

import pytest

from seallm.base.errors import DataError
from seallm.evaluate.layouts import MissingDataError
from seallm.evaluate.task_data import read as read_rows

XCOPA = {"premise": "ฝนตก", "choice1": "Jalan basah", "choice2": "jalan kering", "question": "effect", "label": 0}
QUIZ = {"question": "What is the capital of Laos?", "choices": ["Vientiane", "Hanoi", "Bangkok", "Manila"], "answer": 0}
XQUAD = {"context": "Laos has a capital.", "question": "What has Laos?", "answers": ["a capital"]}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("xcopa", XCOPA, {"label": 2}, "'label' is 2; expected the number of a choice, 0 to 1"),
    ("xcopa", XCOPA, {"label": True}, "'label' is True"),
    ("xcopa", XCOPA, {"question": "why"}, "question is 'why'; expected cause or effect"),
    ("xcopa", XCOPA, {"premise": None}, "'premise' is None; expected text"),
    ("quiz", QUIZ, {"answer": 4}, "'answer' is 4; expected the number of a choice, 0 to 3"),
    ("quiz", QUIZ, {"answer": -1}, "'answer' is -1"),
    ("quiz", QUIZ, {"choices": ["one"]}, "1 choice; expected at least 2"),
    ("quiz", QUIZ, {"choices": ["one", ""]}, "'choices' is ['one', '']; expected a list of texts"),
    ("quiz", QUIZ, {"question": " "}, "'question' is ' '"),
    ("span", XQUAD, {"answers": []}, "'answers' is []"),
    ("span", XQUAD, {"context": 3}, "'context' is 3"),
]


def read(kind: str, folder: Path, rows: list[Any]) -> list[dict[str, Any]]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = list(read_rows(data=str(folder), kind=kind, files=["rows.jsonl"], language="th", version=1.0)["test"])
    assert {row.pop("role") for row in found} == {"asked"}
    return found


def test_good_rows(tmp_path: Path) -> None:
    assert read("xcopa", tmp_path, [{**XCOPA, "premise": "雨下了。", "label": 1}]) == [
        {"premise": "雨下了", "question": "effect", "choices": ["jalan basah", "jalan kering"], "gold": 1}
    ]
    assert read("quiz", tmp_path, [QUIZ])[0]["gold"] == 0
    assert read("span", tmp_path, [XQUAD]) == [{**XQUAD, "language": "th"}]


@pytest.mark.parametrize(("kind", "row", "change", "message"), CASES)
def test_a_bad_row_is_named_by_line(
    tmp_path: Path, kind: str, row: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(kind, tmp_path, [row, {**row, **change}])
    assert f"{tmp_path / 'rows.jsonl'}:2: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'answer' is None"):
        read("quiz", tmp_path, [{k: v for k, v in QUIZ.items() if k != "answer"}])


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl is empty"):
        read("quiz", tmp_path, [])


def test_broken_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": ', encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: not a JSON object"):
        read_rows(data=str(tmp_path), kind="quiz", files=["rows.jsonl"])


def test_a_missing_file_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="Put the file there"):
        read_rows(data=str(tmp_path), kind="quiz", files=["rows.jsonl"])


def translate(data: Path) -> list[dict[str, str]]:
    sides = {"source": {"language": "en", "name": ""}, "target": {"language": "lo", "name": ""}}
    found = list(read_rows(data=str(data), kind="translation", files=["news.{language}.txt"], **sides)["test"])
    assert {row.pop("role") for row in found} == {"asked"}
    return found


def test_translation_pairs_leave_out_gaps(tmp_path: Path) -> None:
    (tmp_path / "news.en.txt").write_text("Good\u2028morning\n\nThanks\n", encoding="utf-8")
    (tmp_path / "news.lo.txt").write_text("ສະບາຍດີ\nບໍ່ມີ\nຂອບໃຈ\n", encoding="utf-8")
    assert translate(tmp_path) == [
        {"source": "Good\u2028morning", "target": "ສະບາຍດີ"},
        {"source": "Thanks", "target": "ຂອບໃຈ"},
    ]


def test_translation_needs_aligned_files(tmp_path: Path) -> None:
    (tmp_path / "news.en.txt").write_text("One\nTwo\n", encoding="utf-8")
    (tmp_path / "news.lo.txt").write_text("ນຶ່ງ\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"news\.en\.txt has 2 lines and news\.lo\.txt 1"):
        translate(tmp_path)
    with pytest.raises(MissingDataError):
        translate(tmp_path / "nowhere")


def test_translation_refuses_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "news.en.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "news.lo.txt").write_text("ນຶ່ງ\n", encoding="utf-8")
    with pytest.raises(DataError, match="not UTF-8"):
        translate(tmp_path)
