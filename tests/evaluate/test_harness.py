import json
import random
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import tqdm
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, RecipeError
from seallm.evaluate.engine import Engine
from seallm.evaluate.harness import (
    ALL_LANGUAGES,
    Limits,
    chosen_examples,
    offline,
    request_count,
)
from seallm.evaluate.task_loading import load_tasks
from seallm.model.checkpoints import new_llama
from seallm.recipe import Evaluate
from tests.evaluate.conftest import LANGUAGES
from tests.evaluate.scored import run_tasks

GROUPS = ["quiz", "xcopa", "xquad", "ntrex"]


def settings(*tasks: str, data: str = "sample:bench", **others: Any) -> Evaluate:
    return Evaluate(tasks=list(tasks), data=data, **{"shots": 0, **others})


class Oracle(LM):  # type: ignore[misc]
    """Knows every answer: the right choice is certain, and an open question is answered by its reference."""

    def __init__(self, right: bool = True) -> None:
        super().__init__()
        self.right = right

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        return [(0.0 if (r.idx == r.doc["gold"]) == self.right else -1e4, True) for r in requests]

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        answers = [r.doc["answers"][0] if "answers" in r.doc else r.doc["target"] for r in requests]
        return answers if self.right else ["" for _ in requests]

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        return [0.0 for _ in requests]


def test_every_shipped_task_reads_the_sample(context: StageContext) -> None:
    with offline():
        tasks, missing = load_tasks(settings(*GROUPS), context)
    assert not missing
    assert {name.split("_")[1] for name in tasks} == set(GROUPS)
    assert len(tasks) == 10 + 4 + 4 + 18
    assert request_count(tasks, Limits(5, 3)) == 5 * (10 * 4 + 4 * 2) + 3 * (4 + 18)
    for task in tasks.values():
        prompts = {task.doc_to_text(doc) for doc in task.eval_docs}
        assert len(prompts) > 1
        assert not any("{{" in prompt for prompt in prompts)


def test_prompts_are_in_the_language_of_the_task(context: StageContext) -> None:
    """No English letter stands in the instruction around a text that is not English."""
    with offline():
        tasks, _ = load_tasks(settings("ntrex", "xquad"), context)
    frames = {"source": "", "context": "", "question": ""}
    for code in ("zh", "th", "km", "lo", "my"):
        names = [f"seallm_ntrex_en_{code}", f"seallm_ntrex_{code}_en", f"seallm_xquad_{code}"]
        for name in names:
            if name in tasks:
                frame = tasks[name].doc_to_text(frames)
                assert frame.strip()
                assert not any(letter.isascii() and letter.isalpha() for letter in frame), name


@pytest.mark.parametrize("chat", [False, True])
def test_an_oracle_is_always_right(context: StageContext, engine: Engine, chat: bool) -> None:
    oracle = Oracle()
    oracle.apply_chat_template = engine.apply_chat_template
    type(oracle).tokenizer_name = engine.tokenizer_name
    with offline():
        tasks, _ = load_tasks(settings(*GROUPS), context)
        rows = run_tasks(oracle, tasks, Limits(6, 6), chat, seed=1)
    for row in rows:
        best = 100 if row["metric"] == "chrf++" else 1
        assert row["value"] == pytest.approx(best), row
        assert row["low"] <= row["value"] + 1e-9
        assert row["high"] == pytest.approx(best)
    shares = [row for row in rows if row["metric"] != "chrf++"]
    assert all(row["low"] < 1 for row in shares)  # six right answers do not prove a hundred


def test_a_model_that_is_always_wrong_scores_nothing(context: StageContext) -> None:
    with offline():
        tasks, _ = load_tasks(settings(*GROUPS), context)
        rows = run_tasks(Oracle(right=False), tasks, Limits(6, 6), chat=False, seed=1)
    assert all(row["value"] == 0 == row["low"] for row in rows)


def test_a_uniform_model_scores_chance(context: StageContext, engine: Engine, tmp_path: Path) -> None:
    """All tokens equally likely, choices of equal length: which is picked says nothing of the right one."""
    choose = random.Random(1)
    for code in LANGUAGES:
        lines = []
        for number in range(60):
            choices = choose.sample(["aaaa", "bbbb", "cccc", "dddd"], 4)
            lines.append({"question": f"Which, {number}?", "choices": choices, "answer": choose.randrange(4)})
        (tmp_path / f"quiz.{code}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = new_llama(
        len(engine.tokenizer), hidden_size=16, layers=1, heads=2, max_sequence_tokens=128, tie_embeddings=False
    )
    with torch.no_grad():
        model.lm_head.weight.zero_()
    with offline():
        tasks, _ = load_tasks(settings("quiz", data=str(tmp_path)), context)
        rows = run_tasks(Engine(model, engine.tokenizer), tasks, Limits(), chat=False, seed=1)
    whole = next(row for row in rows if row["language"] == ALL_LANGUAGES and row["metric"] == "accuracy")
    assert whole["n"] == 600
    assert whole["low"] < whole["chance"] == 0.25 < whole["high"]


def test_rows_are_complete(context: StageContext, engine: Engine) -> None:
    with offline():
        tasks, _ = load_tasks(settings("xcopa", "xquad"), context)
        rows = run_tasks(engine, tasks, Limits(5, 5), chat=False, seed=1)
    for row in rows:
        assert list(row) == ["task", "language", "metric", "value", "n", "low", "high", "chance"]
        assert row["low"] <= row["value"] <= row["high"]
        assert row["n"] == (20 if row["language"] == ALL_LANGUAGES else 5)
        assert row["chance"] == (0.5 if row["task"] == "xcopa" else None)
    keys = [(row["task"], row["language"], row["metric"]) for row in rows]
    assert len(set(keys)) == len(keys) == 5 * 2 + 5 * 2
    assert [row["language"] for row in rows if row["metric"] == "f1"] == ["en", "zh", "vi", "th", ALL_LANGUAGES]


def test_writing_has_a_limit_of_its_own(context: StageContext) -> None:
    with offline():
        tasks, _ = load_tasks(settings("quiz_th", "xquad_th"), context)
        rows = run_tasks(Oracle(), tasks, Limits(7, 2), chat=False, seed=1)
    assert {(row["task"], row["n"]) for row in rows} == {("quiz", 7), ("xquad", 2)}


def test_a_limit_draws_from_the_whole_file() -> None:
    assert list(chosen_examples(5, None)) == list(chosen_examples(5, 9)) == [0, 1, 2, 3, 4]
    chosen = chosen_examples(1_000, 100)
    assert len(set(chosen)) == 100
    assert list(chosen) == sorted(chosen) == list(chosen_examples(1_000, 100))
    assert 400 < sum(chosen) / 100 < 600  # a sorted benchmark is not cut to its first subject


def test_only_languages_of_the_run(context: StageContext) -> None:
    with offline():
        tasks, _ = load_tasks(settings("xcopa", "quiz"), replace(context, languages=("en", "th")))
        assert sorted(tasks) == ["seallm_quiz_en", "seallm_quiz_th", "seallm_xcopa_th"]
        with pytest.raises(RecipeError, match="xcopa has no task in en, lo"):
            load_tasks(settings("xcopa"), replace(context, languages=("en", "lo")))


def test_unknown_names_list_the_known_ones(context: StageContext) -> None:
    with (
        offline(),
        pytest.raises(
            RecipeError, match=r"'hellaswag', which no task file defines\. Groups: belebele, belebele_text, "
        ),
    ):
        load_tasks(settings("hellaswag"), context)
    with offline(), pytest.raises(RecipeError, match=r"'xcopa_ht', .* defines \(nearest: 'xcopa_"):
        load_tasks(settings("xcopa_ht"), context)


def test_a_group_goes_on_without_a_missing_language(context: StageContext, tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": ["a", "b"], "answer": 0}
    (tmp_path / "quiz.th.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    with offline():
        tasks, missing = load_tasks(settings("quiz", data=str(tmp_path)), context)
        assert list(tasks) == ["seallm_quiz_th"]
        assert missing == [f"seallm_quiz_{code}" for code in LANGUAGES if code != "th"]
        with pytest.raises(DataError, match=r"quiz\.lo\.jsonl does not exist"):
            load_tasks(settings("quiz_lo", data=str(tmp_path)), context)
        with pytest.raises(DataError, match=r"test\.zh\.jsonl does not exist"):
            load_tasks(settings("xcopa", data=str(tmp_path)), context)


def test_bad_data_stops_before_any_model(context: StageContext, tmp_path: Path) -> None:
    (tmp_path / "quiz.th.jsonl").write_text('{"question": "Which?", "choices": ["a", "b"], "answer": 2}\n')
    with (
        offline(),
        pytest.raises(DataError, match=r"quiz\.th\.jsonl:1: 'answer' is 2; expected the number of a choice"),
    ):
        load_tasks(settings("quiz", data=str(tmp_path)), context)


OWN_TASK = """
task: letters
custom_dataset: !function seallm.evaluate.task_data.read
dataset_kwargs: {kind: quiz, files: [letters.jsonl]}
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: gold
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
HUB_TASK = """
task: on-the-hub
dataset_path: someone/something
test_split: test
output_type: loglikelihood
doc_to_text: text
doc_to_target: text
"""


def test_task_files_of_ones_own(context: StageContext, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letters.yaml").write_text(OWN_TASK, encoding="utf-8")
    row = {"question": "Which?", "choices": ["a", "b", "c"], "answer": 1}
    (tmp_path / "letters.jsonl").write_text((json.dumps(row) + "\n") * 3, encoding="utf-8")
    with offline():
        tasks, _ = load_tasks(settings("letters", data=str(tmp_path), task_folders=["mine"]), context)
        rows = run_tasks(Oracle(), tasks, Limits(), chat=False, seed=1)
    assert [(r["task"], r["language"], r["value"], r["n"]) for r in rows] == [("letters", "", 1.0, 3)]
    assert rows[0]["chance"] == pytest.approx(1 / 3)


def test_every_model_is_shown_the_same_examples(context: StageContext, tmp_path: Path) -> None:
    own = OWN_TASK.replace("test_split: test", "test_split: test\nfewshot_split: test\nnum_fewshot: 2")
    (tmp_path / "letters.yaml").write_text(own, encoding="utf-8")
    rows = [{"question": f"Which, {n}?", "choices": ["a", "b"], "answer": n % 2} for n in range(20)]
    (tmp_path / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    prompts = []
    with offline():
        tasks, _ = load_tasks(settings("letters", data=str(tmp_path), task_folders=["."], shots=None), context)
        for seed in (1, 1, 2):
            run_tasks(Oracle(), tasks, Limits(), chat=False, seed=seed)
            prompts.append([instance.args[0] for instance in tasks["letters"].instances])
    assert prompts[0] == prompts[1] != prompts[2]
    assert all(prompt.count("Which") == 3 for prompt in prompts[0])


def test_nothing_reaches_the_network(
    context: StageContext, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("somebody opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with offline():
        tasks, _ = load_tasks(settings("xcopa_th", "xquad_en", "ntrex_lo_en"), context)
        assert run_tasks(engine, tasks, Limits(2, 2), chat=True, seed=1)
        (tmp_path / "hub.yaml").write_text(HUB_TASK, encoding="utf-8")
        with pytest.raises(DataError, match="on-the-hub cannot be read offline"):
            load_tasks(settings("on-the-hub", task_folders=["."]), context)


def test_offline_leaves_no_trace() -> None:
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_DATASETS_CACHE")
    before = [getattr(datasets.config, name) for name in names], tqdm.tqdm.__init__
    with offline():
        cache = datasets.config.HF_DATASETS_CACHE
        assert cache.is_dir()
        assert datasets.config.HF_HUB_OFFLINE
        assert tqdm.tqdm(range(3)).disable
    assert ([getattr(datasets.config, name) for name in names], tqdm.tqdm.__init__) == before
    assert not cache.exists()
    assert not tqdm.tqdm(range(0)).disable
