"""The road of `seallm judge ... --judge people`: its pairs are reviewed, and what is exported decides its cases."""

from pathlib import Path

from seallm.evaluate.judge_cases import make_cases
from seallm.evaluate.judge_people import People, place_of, write_pairs
from seallm.evaluate.judge_questions import Question
from seallm.review.export import export
from seallm.review.judging import Verdict, left_answer, save
from seallm.review.store import fill, open_reviews

QUESTIONS = [Question("th:1", "th", "safety", ("สวัสดี", "แล้วไงต่อ")), Question("lo:1", "lo", "safety", ("ສະບາຍດີ",))]
ANSWERS = {
    "poor": {"th:1": ["ครับ", "ไม่รู้ครับ"], "lo:1": ["ບໍ່ຮູ້"]},
    "good": {"th:1": ["สวัสดีครับ", "ยินดีช่วยครับ"], "lo:1": ["ສະບາຍດີ ຍິນດີຊ່ວຍ"]},
}


def test_there_and_back(tmp_path: Path) -> None:
    cases = make_cases("pairwise", QUESTIONS, ANSWERS, set(), both_orders=False)
    assert write_pairs(tmp_path, cases) == 3
    assert fill(tmp_path, overlap=1.0, raters=2).refused == []
    database = open_reviews(tmp_path)
    with database.writing() as connection:
        for item, content in connection.execute("SELECT id, content FROM items").fetchall():
            better = 0 if content.index('"good"') < content.index('"poor"') else 1
            for who in ("Ann", "Bo"):
                save(connection, who, Verdict(item, "left" if left_answer(0, item, who) == better else "right"))
    export(tmp_path, tmp_path / "out")
    people = People(tmp_path / "out" / "judgements.jsonl")
    assert people.repeats == 2
    verdicts = people.decide(cases, lambda *_: None)
    assert [(place_of(v.case), v.case.models["AB".index(str(v.value))]) for v in verdicts if v is not None] == [
        ("th:1", "good"),
        ("th:1 turn 2", "good"),
        ("lo:1", "good"),
    ]
