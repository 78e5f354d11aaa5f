"""A server is evaluated like the folder it serves; what it answered before it died is not asked again."""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from seallm.base.errors import EndpointError, RecipeError
from seallm.base.runtime import Runtime
from seallm.endpoints.client import Endpoint
from seallm.endpoints.settings import EndpointSettings
from seallm.evaluate.alone import evaluate_models
from seallm.evaluate.candidates import EndpointCandidate
from seallm.evaluate.endpoint_engine import EndpointEngine
from seallm.evaluate.engine import Engine
from seallm.evaluate.measuring import Work
from seallm.recipe import Evaluate
from tests.endpoints.scripted_server import Fault, ScriptedServer, question

HASTY = EndpointSettings(attempts=2, first_wait_seconds=0.001, concurrent_calls=2)


def write_quiz(folder: Path, rows: int = 12) -> None:
    """Questions whose right choice is B for even numbers and A for odd ones."""
    lines = [
        {"question": f"Question {n}: is {n} even?", "choices": ["no, odd", "yes, even"], "answer": (n + 1) % 2}
        for n in range(rows)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "quiz.en.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def evaluated(server: ScriptedServer, folder: Path, tasks: list[str], *, chat: bool | None = None) -> dict[str, Any]:
    endpoint = Endpoint(server.address, replace(HASTY, answers=folder / "answers"))
    settings = Evaluate(tasks=tasks, data=str(folder), shots=0)
    candidate = EndpointCandidate(endpoint.model, endpoint)
    runtime = Runtime(show_progress=False)
    return evaluate_models(Work((candidate,), settings, None, folder / "out", runtime, chat=chat))


def letter(body: Mapping[str, Any]) -> str:
    """A model that tells even from odd; of 4 it says nothing that helps, of 6 both letters."""
    text = question(dict(body))
    number = int(text.split("Question ")[1].split(":")[0])
    assert "A. no, odd\nB. yes, even\nAnswer with the letter alone." in text
    return {4: "I would rather not say.", 6: "Not A or B alone"}.get(number, "B." if number % 2 == 0 else "A")


def without_echo(body: dict[str, Any]) -> str | dict[str, Any]:
    return {"text": "six", "logprobs": None} if body.get("echo") else letter(body)


@pytest.fixture
def served(random_model: LlamaForCausalLM, engine: Engine) -> ScriptedServer:
    """A server of the tiny model, which tells the log-probabilities of prompts and continues them greedily."""
    tokenizer: PreTrainedTokenizerFast = engine.tokenizer
    one_at_a_time = threading.Lock()  # the server has threads, a model is for one

    def answer(body: dict[str, Any]) -> str | dict[str, Any]:
        found = tokenizer(body["prompt"], return_offsets_mapping=True)
        ids = list(found.input_ids)
        if not body.get("echo"):
            wanted = {"until": body.get("stop", []), "max_gen_toks": body["max_tokens"]}
            with one_at_a_time:
                return engine.generate_until([Instance("generate_until", {}, (body["prompt"], wanted), 0)])[0]  # type: ignore[arg-type]
        with torch.no_grad():
            rows = random_model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        values = [None, *(float(rows[n, token]) for n, token in enumerate(ids[1:]))]
        tops = [None, *({"likeliest": float(row.max())} for row in rows[:-1])]
        offsets = [start for start, _ in found["offset_mapping"]]
        told = {"text_offset": offsets, "token_logprobs": values, "top_logprobs": tops}
        return {"text": body["prompt"], "logprobs": told}

    return ScriptedServer(answer)


def test_a_server_that_tells_likelihoods_is_measured_like_its_folder(
    served: ScriptedServer, engine: Engine, tmp_path: Path
) -> None:
    contexts = ["Which is it?", "สวัสดี", "Two and two\nmake"]
    scored = [
        Instance("loglikelihood", {}, (context, f" {choice}"), number, ("t", number, 1))  # type: ignore[arg-type]
        for number, context in enumerate(contexts)
        for choice in ("four birds", "ห้า", "6")
    ]
    written = [
        Instance("generate_until", {}, (c, {"until": ["e", "\n", "a", "i", "o", "u"], "max_gen_toks": 12}), 0)  # type: ignore[arg-type]
        for c in contexts
    ]
    with served:
        server = EndpointEngine(Endpoint(served.address, HASTY))
        assert server.tells_likelihoods
        for (value, greedy), (expected, was_greedy) in zip(
            server.loglikelihood(scored), engine.loglikelihood(scored), strict=True
        ):
            assert value == pytest.approx(expected, abs=1e-4)
            assert greedy == was_greedy
        assert server.generate_until(written) == engine.generate_until(written)
        assert all(len(body.get("stop", [])) <= 4 for body in served.asked)
        with pytest.raises(RecipeError, match="num_beams"):
            server.generate_until([Instance("generate_until", {}, ("One", {"num_beams": 2}), 0)])  # type: ignore[arg-type]
        with pytest.raises(EndpointError, match="give the model as a folder"):
            server.loglikelihood_rolling([])


@pytest.mark.parametrize("chat", [None, False])
def test_without_likelihoods_the_model_writes_a_letter(tmp_path: Path, chat: bool | None) -> None:
    write_quiz(tmp_path)
    with ScriptedServer(without_echo) as server:
        report = evaluated(server, tmp_path, ["quiz_en"], chat=chat)
        assert {"messages" in body for body in server.asked if not body.get("echo")} == {chat is None}
    row = next(row for row in report["rows"] if row["metric"] == "accuracy")
    assert (row["value"], row["n"]) == (10 / 12, 12)  # what names no choice is wrong
    model = report["models"][0]
    assert (model["choices_by"], model["unanswered"], model["chat"]) == ("letter", 2, chat is None)
    table = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "scripted was shown the choices and wrote a letter" in table
    assert "scripted left 2 questions unanswered, which count as wrong." in table


def test_a_server_that_dies_midway_is_asked_nothing_twice(tmp_path: Path) -> None:
    write_quiz(tmp_path)
    is_dead = False

    def dying(body: dict[str, Any], _: int) -> Fault | None:
        nonlocal is_dead
        is_dead = is_dead or "Question 7" in question(body)
        return Fault(status=503) if is_dead else None

    with ScriptedServer(without_echo, dying) as server:
        with pytest.raises(EndpointError, match=r"failed on 5 questions in a row.*the same command continues"):
            evaluated(server, tmp_path, ["quiz_en"])
        assert not (tmp_path / "out" / "parts").exists()
        before = sum(server.paid.values())
        assert before >= 4
        server.fault = lambda body, asked_before: None
        report = evaluated(server, tmp_path, ["quiz_en"])
        assert report["rows"][0]["n"] == 12
        assert set(server.paid.values()) == {1}
        assert sum(server.paid.values()) == 1 + 12  # what it can tell was asked, too
        calls = len(server.asked)
        evaluated(server, tmp_path, ["quiz_en"])
        assert len(server.asked) == calls


def test_a_question_that_a_server_refuses_is_counted_and_asked_again(tmp_path: Path) -> None:
    write_quiz(tmp_path, 3)
    too_long = Fault(status=400, body='{"error": {"message": "maximum context length is 8 tokens"}}')
    with ScriptedServer(without_echo, lambda body, _: too_long if "Question 1" in question(body) else None) as server:
        report = evaluated(server, tmp_path, ["quiz_en"])
        assert report["models"][0]["unanswered"] == 1
        assert "maximum context length is 8 tokens" in report["models"][0]["problem"]
        assert [row["value"] for row in report["rows"]] == [2 / 3, 2 / 3]
        server.fault = lambda body, asked_before: None
        assert evaluated(server, tmp_path, ["quiz_en"])["models"][0]["unanswered"] == 0
        assert set(server.paid.values()) == {1}
