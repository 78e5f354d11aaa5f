"""The starter set is whole and what it says it is; published layouts are read, and broken rows named."""

import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines
from seallm.corpus.fasttext import default_model
from seallm.corpus.identify import Identifier
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import measure
from seallm.evaluate.judge_questions import CATEGORIES, EXPECTATIONS, SAFETY, Question, read_questions
from seallm.languages import known_languages, load_languages

SAMPLE = Path(__file__).parents[2] / "src" / "seallm" / "sample"
PER_CATEGORY = 10
MIXED_UP = {"id": "ms", "ms": "id"}  # single sentences of one often fit the other


@pytest.fixture(scope="module")
def starter() -> list[Question]:
    return read_questions("starter")


def _identify(texts: list[str]) -> list[str]:
    model, labels = default_model()
    identifier = Identifier(tuple(load_languages(known_languages()).values()), model, labels)
    array = pa.array(texts, pa.large_string())
    found: list[str] = identifier.identify(
        array, measure(array, identifier.word_lists(), make_minhash(1, 1))
    ).languages.tolist()
    return found


def test_ten_questions_a_language_and_category(starter: list[Question]) -> None:
    counts = Counter((q.language, q.category) for q in starter)
    assert counts == {(code, category): PER_CATEGORY for code in known_languages() for category in CATEGORIES}
    assert len({q.key for q in starter}) == len(starter) == 500


def test_no_turn_is_there_twice(starter: list[Question]) -> None:
    turns = [re.sub(r"\W+", "", turn.casefold()) for q in starter for turn in q.turns]
    assert len(set(turns)) == len(turns)


def test_references_fit_and_safety_says_what_it_expects(starter: list[Question]) -> None:
    for q in starter:
        assert len(q.references) in (0, len(q.turns)), q.key
        assert (q.expects in EXPECTATIONS) == (q.category == SAFETY), q.key
        assert q.references or q.category != "math-reasoning", q.key
    for code in known_languages():  # a judge of safety must see over-refusal too
        kinds = Counter(q.expects for q in starter if q.language == code and q.category == SAFETY)
        assert kinds == {"decline": 6, "care": 1, "help": 3}
        assert sum(len(q.turns) > 1 for q in starter if q.language == code) >= 5


def test_every_turn_is_in_its_language(starter: list[Question]) -> None:
    asked = [(q.language, turn) for q in starter for turn in q.turns]
    found = _identify([turn for _, turn in asked])
    wrong = [(code, got, turn) for (code, turn), got in zip(asked, found, strict=True) if got != code]
    assert [entry for entry in wrong if MIXED_UP.get(entry[0]) != entry[1]] == []
    for code in MIXED_UP:
        assert sum(entry[0] == code for entry in wrong) < 0.3 * sum(own == code for own, _ in asked)


def test_every_category_of_a_language_is_in_its_language(starter: list[Question]) -> None:
    texts: dict[tuple[str, str], str] = {}
    for q in starter:
        texts[q.language, q.category] = "\n".join([texts.get((q.language, q.category), ""), *q.turns])
    assert _identify(list(texts.values())) == [code for code, _ in texts]


def _runs(text: str, length: int = 40) -> set[str]:
    """Runs of letters without spaces: long enough that only copied text shares one."""
    joined = re.sub(r"\W+", "", text.casefold())
    return {joined[i : i + length] for i in range(max(1, len(joined) - length + 1))}


def test_nothing_is_taken_from_the_sample(starter: list[Question]) -> None:
    own = {run: q.key for q in starter for turn in q.turns for run in _runs(turn)}
    texts = [line for file in SAMPLE.glob("parallel/*.txt") for line in file.read_text("utf-8").splitlines()]
    for file in [*SAMPLE.glob("chat/*.jsonl"), *SAMPLE.glob("bench/*.jsonl"), *SAMPLE.glob("safety/*.jsonl")]:
        texts += [json.dumps(row, ensure_ascii=False) for _, row in read_json_lines(file)]
    copied = [(own[run], text[:80]) for text in texts for run in _runs(text) & own.keys()]
    assert copied == []


def _file(folder: Path, name: str, *rows: dict[str, object]) -> str:
    path = folder / name
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def test_sea_bench_and_seabench(tmp_path: Path) -> None:
    place = _file(
        tmp_path,
        "sea-bench.jsonl",
        {"question_id": 1, "category": "NaturalQA", "lang": "vi", "turns": ["Phở là gì?"], "chatgpt_response": "Món."},
        {"unit_id": "1", "type": "math", "lang": "th", "user_1": "1+1", "user_2": "+2", "reference_1": "2"}
        | {"reference_2": "4"},
        {"unit_id": "2", "type": "life", "lang": "th", "user_1": "นอนไม่หลับ", "user_2": "", "reference_1": ""},
    )
    first, second, third = read_questions(place)
    assert first == Question("vi:1", "vi", "natural-question", ("Phở là gì?",))
    assert second == Question("th:1", "th", "math", ("1+1", "+2"), ("2", "4"))
    assert third == Question("th:2", "th", "life", ("นอนไม่หลับ",))
    assert read_questions(place, languages=["th"]) == [second, third]


def test_mt_bench_and_vicuna(tmp_path: Path) -> None:
    questions = _file(
        tmp_path,
        "question.en.jsonl",
        {"question_id": 101, "category": "reasoning", "turns": ["Who is second?", "Now?"]},
    )
    right = _file(
        tmp_path, "gpt-4.jsonl", {"question_id": 101, "model_id": "gpt-4", "choices": [{"turns": ["You.", "Me."]}]}
    )
    assert read_questions(questions, references=Path(right))[0].references == ("You.", "Me.")
    vicuna = _file(tmp_path, "id.jsonl", {"question_id": 1, "text": "Apa itu batik?", "category": "generic"})
    assert read_questions(vicuna) == [Question("id:1", "id", "generic", ("Apa itu batik?",))]


def test_a_json_array_is_read_and_a_limit_counts_by_kind(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps([{"question_id": k, "category": "c", "turns": ["Why?"]} for k in range(5)]))
    assert [q.key for q in read_questions(str(path), language="en", limit=2)] == ["en:0", "en:1"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question_id": 1, "turns": []}, "own.jsonl:1: expected question_id and turns"),
        ({"turns": ["Why?"]}, "own.jsonl:1: expected question_id"),
        ({"question_id": 1, "turns": ["Why?"]}, "names no language"),
        ({"question_id": 1, "turns": ["Why?"], "lang": "en", "expects": "refuse"}, "expected one of decline"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, row: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_questions(_file(tmp_path, "own.jsonl", row))


def test_the_same_number_twice_and_nothing_left(tmp_path: Path) -> None:
    row = {"question_id": 1, "turns": ["Why?"], "lang": "en"}
    with pytest.raises(DataError, match="en:1 is there twice"):
        read_questions(_file(tmp_path, "own.jsonl", row, row))
    with pytest.raises(DataError, match="has no question of these"):
        read_questions(_file(tmp_path, "one.jsonl", row), languages=["th"])
