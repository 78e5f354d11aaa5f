"""Every benchmark of the table, on rows in its published layout."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.instance import Instance

from seallm.base.errors import DataError
from seallm.evaluate.harness import Limits, offline
from seallm.evaluate.task_data import SameSubject, faulty_rows, read
from seallm.evaluate.task_files import benchmarks, task_configs, words
from seallm.evaluate.task_loading import Loaded, read_tasks
from tests.evaluate.published import write_published
from tests.evaluate.scored import run_tasks
from tests.evaluate.test_harness import Oracle

GROUPS = [*benchmarks(), *(f"{n}_text" for n, f in benchmarks().items() if f["kind"] == "exam")]
PAPER = {
    "m3exam": 3,
    "mmlu": 5,
    "vmlu": 0,
    "flores": 4,
    "xquad": 1,
    "indoqa": 1,
    "tydiqa": 1,
    "xlsum": 2,
    "gsm8k": 0,
    "mgsm": 0,
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """All tasks, one direction of translation each way and one between two others."""
    data = tmp_path_factory.mktemp("published")
    write_published(data)
    names = [name for name in GROUPS if name not in ("ntrex", "flores")]
    names += [f"{name}_{way}" for name in ("ntrex", "flores") for way in ("en_lo", "my_en", "th_km")]
    with offline():
        return read_tasks(names, [], data, None, None)


class Solver(Oracle):
    """The oracle, and it writes a sum's answer in the digits and words of the language."""

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        return [self._answer(request.doc) for request in requests]

    def _answer(self, doc: Mapping[str, Any]) -> str:
        if "kind" in doc:
            return "I can't help with that." if doc["kind"] == "harmful" else "Gladly: take the left one."
        if "number" not in doc:
            return str(doc["answers"][0] if "answers" in doc else doc["target"])
        zero = {"th": 0x0E50, "lo": 0x0ED0, "km": 0x17E0, "my": 0x1040}.get(doc["language"], ord("0"))
        digits = "".join(chr(zero + int(digit)) for digit in f"{doc['number']:.0f}")
        return f"9 - 4. {words()[doc['language']]['answer_is']} {digits}. 77 is not it, 12."


def test_every_benchmark_reads_its_published_layout(loaded: Loaded) -> None:
    assert not loaded.missing
    with offline():
        rows = run_tasks(Solver(), loaded.tasks, Limits(), chat=False, seed=1)
    groups = {row["task"].split("_from_")[0].split("_to_")[0] for row in rows}
    assert groups == set(GROUPS)
    for row in rows:
        best = {"chrf++": 100, "unsafe_rate": 0, "over_refusal_rate": 0}.get(row["metric"], 1)
        assert row["value"] == pytest.approx(best), row


def test_as_many_examples_as_in_the_paper(loaded: Loaded) -> None:
    for name, shots in PAPER.items():
        assert benchmarks()[name]["shots"] == shots
    for name, task in loaded.tasks.items():
        longest = max((n for n in benchmarks() if name.startswith(f"seallm_{n}_")), key=len)
        shown = benchmarks()[longest].get("shots", 0)
        context = task.fewshot_context(task.eval_docs[0], task.config.num_fewshot)
        question = task.doc_to_text(task.eval_docs[0])
        assert task.config.num_fewshot == shown, name
        assert context.endswith(question)
        assert context.count(question) == 1, name  # the question itself is not among its examples
        tail = question.rstrip("\n").rsplit("\n", 1)[-1]
        if shown and "letters" in task.eval_docs[0]:
            assert context.count(tail) == shown + 1


def test_examples_are_of_the_same_subject_first() -> None:
    rows = [{"subject": s, "question": str(n)} for n, s in enumerate("abab")]
    sampler = SameSubject(rows)
    assert [row["question"] for row in sampler.sample(2, {"subject": "b", "question": "new"})] == ["1", "3"]
    assert [row["question"] for row in sampler.sample(3, rows[1])] == ["3", "0", "2"]
    with pytest.raises(DataError, match="There are 3 examples to show before a question; the task wants 4"):
        sampler.sample(4, rows[1])


def test_prompts_say_nothing_in_another_script(loaded: Loaded) -> None:
    for config in task_configs():
        code = config["metadata"]["language"]
        if code in ("zh", "th", "km", "lo", "my"):
            words_of_frame = config["doc_to_text"].replace("{% if passage %}", "").replace("{% endif %}", "")
            for part in words_of_frame.split("{{")[1:]:
                words_of_frame = words_of_frame.replace("{{" + part.split("}}")[0] + "}}", "")
            assert not any(letter.isascii() and letter.isalpha() for letter in words_of_frame), config["task"]


def test_rows_of_another_kind_are_not_of_the_task(loaded: Loaded) -> None:
    assert len(loaded.tasks["seallm_indoqa_id"].eval_docs) == 3


def test_letters_and_texts_of_an_exam(loaded: Loaded) -> None:
    letters, texts = loaded.tasks["seallm_m3exam_th"], loaded.tasks["seallm_m3exam_text_th"]
    doc = letters.eval_docs[1]
    assert doc["letters"] == ["1", "2", "3", "4"]
    assert doc["choices"] == ["option 0", "option 1", "option 2", "option 3"]
    assert letters.doc_to_choice(doc) == doc["letters"]
    assert texts.doc_to_choice(doc) == doc["choices"]
    assert letters.doc_to_text(doc).startswith(
        "A text about a river.\n\nคำถาม: Which of them, test 1?\n1. option 0\n2. opt"
    )
    assert "option" not in texts.doc_to_text(doc)


def test_numbers_are_no_letters(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"q": "How much?", "c": ["57.5", "59.2", "64.0"], "a": "B"}', encoding="utf-8"
    )
    row = read(data=str(tmp_path), **EXAM)["test"][0]  # type: ignore[arg-type]
    assert (row["letters"], row["choices"], row["gold"]) == (["A", "B", "C"], ["57.5", "59.2", "64.0"], 1)


def test_letters_of_other_scripts(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"q": "?", "c": ["ก. หนึ่ง", "ข. สอง"], "a": "ข"}\n{"q": "?", "c": ["1", "2"], "a": "က"}'
    )
    rows = list(read(data=str(tmp_path), **EXAM)["test"])  # type: ignore[arg-type]
    assert [(row["choices"], row["letters"], row["gold"]) for row in rows] == [
        (["หนึ่ง", "สอง"], ["A", "B"], 1),
        (["1", "2"], ["A", "B"], 0),
    ]


@pytest.mark.parametrize(
    ("choices", "answer", "letters", "texts", "gold"),
    [
        (["๑. หนึ่ง", "๒. สอง"], "๒", ["1", "2"], ["หนึ่ง", "สอง"], 1),
        (["A．甲", "B．乙"], "B", ["A", "B"], ["甲", "乙"], 1),
        (["1.5", "2.5", "3.5"], "C", ["A", "B", "C"], ["1.5", "2.5", "3.5"], 2),  # fractions are no labels
        (
            ["(1) one", "two", "(3) three"],
            "3",
            ["A", "B", "C"],
            ["(1) one", "two", "(3) three"],
            2,
        ),  # one label is lost
    ],
)
def test_labels_as_they_are_printed(
    tmp_path: Path, choices: list[str], answer: str, letters: list[str], texts: list[str], gold: int
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"q": "?", "c": choices, "a": answer}), encoding="utf-8")
    row = read(data=str(tmp_path), **EXAM)["test"][0]  # type: ignore[arg-type]
    assert (row["letters"], row["choices"], row["gold"]) == (letters, texts, gold)


def test_a_column_without_a_name_means_nothing(loaded: Loaded) -> None:
    task = loaded.tasks["seallm_cmmlu_zh"]
    assert len(task.eval_docs) == 10  # row 1 of each subject is no example
    assert {(doc["passage"], doc["id"]) for doc in task.eval_docs} == {("", "")}


def test_an_empty_choice_moves_no_other(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"q": "?", "a": "x", "b": "", "c": "z", "d": "", "g": "B"}', encoding="utf-8")
    columns = {"question": "q", "choices": ["a", "b", "c", "d"], "gold": "g"}
    with pytest.raises(DataError, match="expected a list of texts"):
        read(data=str(tmp_path), kind="exam", files=["rows.jsonl"], columns=columns)


def test_a_few_faulty_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    head, row = "subject,level,soal,jawaban,kunci,is_for_fewshot\n", 'Sejarah,SMA,Apa?,"A. satu\nB. dua",{},{}\n'
    shown = "".join(row.format("A", 1) for _ in range(3))
    asked = "".join(row.format("B", 0) for _ in range(1_200))
    path = tmp_path / "indommlu/IndoMMLU.csv"
    path.parent.mkdir()
    path.write_text(head + shown + asked + row.format("C", 0), encoding="utf-8")
    with offline():
        task = read_tasks(["indommlu_id"], [], tmp_path, None, None).tasks["seallm_indommlu_id"]
        path.write_text(head + shown + asked + row.format("C", 0) * 3, encoding="utf-8")
        refused = read_tasks(["indommlu_id"], [], tmp_path, None, None).missing
    assert len(task.eval_docs) == 1_200
    assert len(list(task.fewshot_docs())) == 3
    found = faulty_rows({"seallm_indommlu_id": task})
    assert [(row["task"], row["n"], row["asked"]) for row in found] == [("seallm_indommlu_id", 1, 1_200)]
    assert "'kunci' is 'C'; expected one of A, B" in found[0]["first"]
    assert "'kunci' is 'C'" in str(refused["seallm_indommlu_id"])


def test_files_side_by_side_have_as_many_lines(tmp_path: Path) -> None:
    write_published(tmp_path)
    path = tmp_path / "wisesight/kaggle-competition/test_label.txt"
    path.write_text("pos\n", encoding="utf-8")
    with offline():
        found = read_tasks(["wisesight"], [], tmp_path, None, None).missing
    assert str(found["seallm_wisesight_th"]) == f"{path} has 1 lines; expected one for each of the 2 rows beside it"


def test_flores_plus_has_other_names(tmp_path: Path) -> None:
    for split in ("dev", "devtest"):
        for name in ("cmn_Hans", "fil_Latn"):
            path = tmp_path / f"flores_plus/{split}/{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f'{{"text": "{split} {name} {n}"}}\n' for n in range(5)), encoding="utf-8")
    with offline():
        task = read_tasks(["flores_tl_zh"], [], tmp_path, None, None).tasks["seallm_flores_tl_zh"]
    assert task.eval_docs[0]["source"] == "devtest fil_Latn 0"


EXAM = {"kind": "exam", "columns": {"question": "q", "choices": "c", "gold": "a"}, "files": ["rows.jsonl"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"q": "Which?", "c": ["a", "b"], "a": "C"}', "'a' is 'C'; expected one of A, B"),
        ('{"q": "Which?", "c": ["a", "b"]}', "'a' is None; expected one of A, B"),
        ('{"q": "", "c": ["a", "b"], "a": "A"}', "'q' is ''; expected text"),
        ('{"q": "Which?", "c": ["a"], "a": "A"}', "1 choice in c; expected at least 2"),
        ('{"q": "Which?", "a": "A"}', "expected a list of texts"),
        ("", "is empty; expected at least one row"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "rows.jsonl").write_text(row, encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl") as caught:
        read(data=str(tmp_path), **EXAM)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_what_is_missing_comes_with_its_command(tmp_path: Path) -> None:
    with offline():
        found = read_tasks(["belebele_lo", "ntrex_en_lo"], [], tmp_path, None, None).missing
    assert str(found["seallm_belebele_lo"]) == (
        f"{tmp_path}/belebele/**/lao_Laoo.jsonl does not exist. Fetch it: hf download facebook/belebele "
        f"--repo-type dataset --include 'data/lao_Laoo.jsonl' --local-dir {tmp_path}/belebele"
    )
    assert f"NTREX {tmp_path}/ntrex" in str(found["seallm_ntrex_en_lo"])
