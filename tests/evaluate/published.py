"""A few rows of every benchmark, in the layout in which it is published; the rows are written for these tests."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.evaluate.task_files import benchmarks

Row = dict[str, Any]
SEA_HELM = "sea-helm/seahelm_tasks"
SENTENCES = ["One bird sings.", "Two dogs run home.", "Three boats leave.", "It rains.", "We eat rice.", "She reads."]


def write_published(data: Path) -> None:
    """Write all of them under a data folder."""
    _exams(data)
    _questions(data)
    _texts(data)
    _requests(data)
    for name in ("sib200", "ntrex", "flores"):
        for code, place in benchmarks()[name]["languages"].items():
            _sentences(data, name, code, place)


def _exams(data: Path) -> None:
    for name in benchmarks()["m3exam"]["languages"].values():
        for split in ("dev", "test"):
            rows = [_m3exam(number, name, split) for number in range(4)]
            _json(data / f"m3exam/text-question/{name}-questions-{split}.json", rows)
    for split in ("dev", "test"):
        rows = [
            {"question": f"{split}: which, {n}?", "subject": f"s{n % 2}", "choices": list("wxyz"), "answer": n % 4}
            for n in range(12)
        ]
        _parquet(data / f"mmlu/all/{split}-00000-of-00001.parquet", rows)
        options = {f"option_{letter}": f"{letter} {letter}" for letter in "abcd"}
        rows = [
            {"sample_id": f"s/{n}", "subject": "law", "question": f"{split} {n}?", **options, "answer": "ABCD"[n % 4]}
            for n in range(6)
        ]
        for name in benchmarks()["global_mmlu"]["languages"].values():
            _parquet(data / f"global_mmlu/{name}/{split}-00000-of-00001.parquet", rows)
        for code in benchmarks()["global_mmlu_lite"]["languages"]:
            nested = [
                {"metadata": {"subject": "law"}, "prompts": [{"question": row["question"], **options}]}
                | {"label": "ကခဂဃ"[n % 4] if code == "my" else row["answer"]}
                for n, row in enumerate(rows)
            ]
            _lines(data / f"{SEA_HELM}/knowledge/global_mmlu_lite/global_mmlu_lite_{code}_{split}.jsonl", nested)
        for subject in ("agronomy", "chinese_history"):
            found = [["", "Question", *"ABCD", "Answer"]]
            found += [[n, f"{split}：{subject} 第{n}题", "甲", "乙", "丙", "丁", "ABCD"[n % 4]] for n in range(5)]
            _csv(data / f"cmmlu/data/{split}/{subject}.csv", found)
    rows = [
        {"id": f"01-000{n}", "question": f"Câu {n}?", "choices": ["A. một", "B. hai", "C. ba"], "answer": "ABC"[n]}
        for n in range(3)
    ]
    _lines(data / "vmlu/vmlu_v1.5/valid.jsonl", rows)
    _lines(data / "vmlu/vmlu_v1.5/test.jsonl", [{k: v for k, v in row.items() if k != "answer"} for row in rows])
    head = ["", "subject", "level", "soal", "jawaban", "kunci", "is_for_fewshot"]
    found = [
        [n, "Sejarah", "SMA", f"Apa, {n}?", "A. satu\nB. dua\nC. tiga", "ABC"[n % 3], int(n < 3)] for n in range(6)
    ]
    _csv(data / "indommlu/IndoMMLU.csv", [head, *found])
    for exam, choices in (("onet", "abcde"), ("ic", "abcd")):
        for split, count in (("train", 5), ("test", 3)):
            rows = [
                {"question": f"{exam} {split} {n}?", **{c: f"ข้อ {c}" for c in choices}, "answer": choices[n % 4]}
                for n in range(count)
            ]
            filled = [{**row, "e": row.get("e", "")} for row in rows]
            _lines(data / f"thai_exam/data/{exam}/{exam}_{split}.jsonl", filled)
    answers = {f"mc_answer{n}": f"answer {n}" for n in range(1, 5)}
    for name in benchmarks()["belebele"]["languages"].values():
        rows = [
            {"flores_passage": "A passage.", "question": f"Which, {n}?", **answers, "correct_answer_num": str(n)}
            for n in range(1, 5)
        ]
        _lines(data / f"belebele/data/{name}.jsonl", rows)


def _m3exam(number: int, name: str, split: str) -> Row:
    labels = {"thai": [f"{n}. " for n in range(1, 5)], "english": [f"({n}) " for n in range(1, 5)]}.get(
        name, [f"{letter}. " for letter in "ABCD"]
    )
    answer = labels[number].strip("(). ")
    return {
        "question_text": f"Which of them, {split} {number}?",
        "background_description": ["A text about a river."] if number == 1 else [],
        "answer_text": answer,
        "options": [f"{label}option {n}" for n, label in enumerate(labels)],
        "need_image": "no",
        "language": name,
        "level": "low",
        "subject_category": "language",
    }


def _questions(data: Path) -> None:
    for code in benchmarks()["xcopa"]["languages"]:
        row = {"premise": "P.", "choice1": "Xa.", "choice2": "Ya.", "question": "effect", "label": 1, "idx": 0}
        _lines(data / f"xcopa/data/{code}/test.{code}.jsonl", [row, {**row, "question": "cause", "label": 0}])
    for code in benchmarks()["quiz"]["languages"]:
        _lines(data / f"quiz.{code}.jsonl", [{"question": "Which?", "choices": ["a", "b"], "answer": 1}] * 2)
    for code in benchmarks()["xquad"]["languages"]:
        _json(data / f"xquad/xquad.{code}.json", _squad([f"q{n}" for n in range(3)]))
    rows = [
        {"context": f"แมว {n} ตัว", "question": f"กี่ตัว {n}", "answers": {"text": [f"{n} ตัว"], "answer_start": [4]}}
        for n in range(3)
    ]
    _lines(data / "iapp_wiki_qa/squad_format/data/test.jsonl", rows)
    rows = [
        {"id": str(n), "context": f"Ada {n} kucing.", "question": f"Berapa, {n}?", "answer": f"{n} kucing"}
        | {"category": "SPAN" if n < 3 else "UNANSWERABLE", "span_start": 4, "span_end": 12}
        for n in range(4)
    ]
    for split in ("train", "valid"):
        _json(data / f"indoqa/{split}.json", [{**row, "question": f"{split}: {row['question']}"} for row in rows])
    ids = [f"{name}-{n}-0" for name in ("english", "indonesian", "thai", "finnish") for n in range(3)]
    for split in ("train", "dev"):
        _json(data / f"tydiqa/tydiqa-goldp-v1.1-{split}.json", _squad(ids, split))
    for code in benchmarks()["mgsm"]["languages"]:
        path = data / f"mgsm/mgsm/mgsm_{code}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('He said "2" and 3. Sum?\t5\nHow many?\t1,200\n', encoding="utf-8")
    rows = [
        {"question": f"{n} and 1?", "answer": f"{n} + 1 = <<{n}+1={n + 1}>>{n + 1}\n#### {n + 1}"} for n in range(3)
    ]
    for code in benchmarks()["gsm8k_translated"]["languages"]:
        _lines(data / f"gsm8k_translated/test.{code}.jsonl", [{"question": "Sum?", "answer": "#### 1,450"}])
    _parquet(data / "gsm8k/main/test-00000-of-00001.parquet", rows)


def _squad(ids: Sequence[str], split: str = "") -> Row:
    questions = [
        {
            "id": name,
            "question": f"Who, {name} {split}?",
            "answers": [{"text": f"the cat {name}", "answer_start": 0}] * 2,
        }
        for name in ids
    ]
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": "The cat sat.", "qas": questions}]}]}


def _texts(data: Path) -> None:
    for name in benchmarks()["xlsum"]["languages"].values():
        for split in ("val", "test"):
            rows = [
                {
                    "id": str(n),
                    "url": "",
                    "title": "T",
                    "summary": f"A short line {n}.",
                    "text": f"A long {split} text {n}.",
                }
                for n in range(3)
            ]
            _lines(data / f"xlsum/{name}_{split}.jsonl", rows)
    for name in benchmarks()["nusax"]["languages"].values():
        rows = [["id", "text", "label"], [1, "Good, really", "positive"], [2, "Bad", "negative"]]
        _csv(data / f"nusax/datasets/sentiment/{name}/test.csv", rows)
    for name, text in (("test", "ดีมาก\t!\nราคาเท่าไร\n"), ("test_label", "pos\nq\n")):
        _text(data / f"wisesight/kaggle-competition/{name}.txt", text)
    news = "__label__Sports\tဘောလုံး\n__label__Science&Technology\tလ\n"
    _text(data / "mynews/data/v1/classification/myNews_v1_classification_test.txt", news)
    pair = {"prompts": [{"sentence1": "One.", "sentence2": "Two."}], "metadata": {"language": ""}, "label": "A"}
    for code, name in benchmarks()["paraphrase"]["languages"].items():
        rows = [{"id": label, **pair, "text_label": label} for label in ("non-paraphrase", "paraphrase")]
        _lines(data / f"{SEA_HELM}/nlu/paraphrase_identification/data/{code}_{name}.jsonl", rows)


def _requests(data: Path) -> None:
    """Requests, harmful and harmless, with labels in the language of the row."""
    codes = [*benchmarks()["multijail"]["languages"]]
    _csv(
        data / "multijail/MultiJail.csv",
        [["id", "source", "tags", *codes, "sw"]]
        + [[n, "s", "['t']", *(f"{c} {n}?" for c in codes), "x"] for n in "12"],
    )
    for code in benchmarks()["xsafety"]["languages"]:
        _csv(data / f"xsafety/{code}/Insult_n.csv", [["Say it, now"], [' "Shout"']])
        _csv(data / f"xsafety/{code}/Unfairness_n.csv", [["Women, he said", ""], ["Men", ""]])  # a comma ends its lines
    labels = {"en": "Safe Harmful", "vi": "An toàn,Có hại", "id": "Aman Berbahaya", "th": "ปลอดภัย อันตราย"}
    labels |= {"ms": "Selamat Berbahaya", "my": "ဘေးကင်း အန္တရာယ်ရှိ", "tl": "Maingat Mapahamak"}
    for part, folder, text, label in (
        ("general", "general", "prompt_text", "prompt_label"),
        ("cultural_gen", "cultural_content_generation", "prompt_text", "prompt_label"),
        ("cultural_wild", "cultural_in_the_wild", "local_prompt", "label"),
    ):
        for code in benchmarks()[f"seasafeguard_{part}"]["languages"]:
            safe, harmful = labels[code].split("," if "," in labels[code] else " ")
            rows = [{"prompts": [{text: f"{n}?"}], label: harmful if n % 3 else safe} for n in range(6)]
            _lines(data / f"{SEA_HELM}/safety/safeguard/{folder}/data/{code}_{folder}.jsonl", rows)
    kinds = [(code, kind) for code in benchmarks()["policy"]["languages"] for kind in ("harmful", "harmless")]
    rows = [{"prompt": f"{k}?", "language": c, "kind": k, "topic": "t", "helplines": ["1323"]} for c, k in kinds]
    _lines(data / "policy.jsonl", rows)


def _sentences(data: Path, name: str, code: str, place: str) -> None:
    lines = [f"{code}: {sentence}" for sentence in SENTENCES]
    if name == "sib200":
        rows = [["index_id", "category", "text"], *([n, "health", line] for n, line in enumerate(lines))]
        path = data / f"sib200/data/annotated/{place}/test.tsv"
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    elif name == "ntrex":
        path = data / f"ntrex/NTREX-128/newstest2019-{'src' if code == 'en' else 'ref'}.{place}.txt"
        text = "".join(line + "\n" for line in lines)
    else:
        path = data / f"flores200_dataset/devtest/{place}.devtest"
        text = "".join(line + "\n" for line in lines)
        shown = data / f"flores200_dataset/dev/{place}.dev"
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text("".join(f"dev {line}\n" for line in lines), encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _lines(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def _parquet(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
