"""Files of prompts: what is read of them, how they are answered beside others, what comes back."""

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.serve.batch_files import BatchRow, RowAnswer, answered_file, file_kind, read_rows
from seallm.serve.batches import MAX_RUNNING, Batch, Batches, TooManyBatches
from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings, make_app
from seallm.serve.page_api import PageParts
from tests.serve.small_model import ANSWERS

GREEDY = ServerSettings(sampling=SamplingSettings(max_new_tokens=100, temperature=0.0))
LONG = SamplingSettings(max_new_tokens=400, temperature=2.0)


def asked(rows: list[BatchRow]) -> list[tuple[int, list[tuple[str, str]]]]:
    return [(row.line, [(m.role, m.to_message().content) for m in row.messages]) for row in rows]


def test_text_files() -> None:
    rows = read_rows("txt", "\ufeffHello\r\n\r\n  สวัสดี \n", 10)
    assert asked(rows) == [(1, [("user", "Hello")]), (3, [("user", "สวัสดี")])]


def test_tables() -> None:
    text = 'id,Prompt,system\r\n1,"two\r\nlines",\r\n2,"a, b",Be kind.\r\n\r\n3,a,b,c\r\n4,\r\n'
    rows = read_rows("csv", text, 10)
    assert asked(rows[:2]) == [
        (2, [("user", "two\r\nlines")]),
        (4, [("system", "Be kind."), ("user", "a, b")]),
    ]
    assert [(row.line, row.problem.partition(";")[0]) for row in rows[2:]] == [
        (6, "4 cells, and the header has 3"),
        (7, "a turn is wrong: the message has no text"),
    ]
    assert asked(read_rows("csv", "anything\nHello\n", 10)) == [(2, [("user", "Hello")])]


def test_objects() -> None:
    lines = [
        '"Hello"',
        '{"prompt": "Count", "id": 7, "system": "Be kind."}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, '
        '{"role": "user", "content": "c"}]}',
        "{broken",
        "[1]",
        '{"question": "Hello"}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
        '{"messages": [{"role": "robot", "content": "a"}]}',
        "[" * 100_000,
        '{"prompt": "\\ud800"}',
    ]
    rows = read_rows("jsonl", "\n".join(lines), 10)
    assert asked(rows[:3]) == [
        (1, [("user", "Hello")]),
        (2, [("system", "Be kind."), ("user", "Count")]),
        (3, [("user", "a"), ("assistant", "b"), ("user", "c")]),
    ]
    problems = ["not JSON", "found list", "no text in `prompt`", "is the assistant's", "turn is wrong", "not JSON"]
    for row, problem in zip(rows[3:9], problems, strict=True):
        assert problem in row.problem
    assert "surrogate" in rows[9].problem


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.pdf", "x", r"ends in \.pdf; expected \.jsonl, \.csv or \.txt"),
        ("a.txt", " \n", "no rows"),
        ("a.txt", "x\n" * 11, "more than 10 rows"),
        ("a.csv", "a,b\n1,2\n", "columns 'a', 'b'; expected one that is called prompt"),
        ("a.csv", "prompt,prompt\n1,2\n", "two columns"),
    ],
)
def test_files_that_cannot_be_used(name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_rows(file_kind(name), text, 10)


def test_what_comes_back() -> None:
    rows = [BatchRow(2, {"id": "1", "answer": "gold"}), BatchRow(3, {"id": "2", "answer": ""})]
    answers = {0: RowAnswer("=1+1", "stop"), 1: RowAnswer(problem="no text")}
    table = list(csv.reader(io.StringIO(answered_file("csv", rows, answers).decode("utf-8-sig"), newline="")))
    assert table == [
        ["id", "answer", "model_answer", "end", "problem"],
        ["1", "gold", "'=1+1", "stop", ""],
        ["2", "", "", "", "no text"],
    ]
    lines = [json.loads(line) for line in answered_file("jsonl", rows, {1: answers[1]}).splitlines()]
    assert lines == [{"line": 3, "input": {"id": "2", "answer": ""}, "answer": None, "end": None, "problem": "no text"}]


def client_of(engine: Engine, settings: ServerSettings = GREEDY, **parts: Any) -> TestClient:
    return TestClient(make_app(engine, settings, PageParts(**parts)), base_url="http://127.0.0.1:8000")


def finished(client: TestClient, number: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while (state := client.get(f"/page/batches/{number}").json())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return dict(state)


def test_a_file_is_answered_row_by_row(shared_engine: Engine) -> None:
    client = client_of(shared_engine)
    content = "\n".join([json.dumps({"prompt": text, "id": n}) for n, text in enumerate(ANSWERS)] + ["{", '"x" 1'])
    begun = client.post("/page/batches", json={"name": "p.JSONL", "content": content}).json()
    state = finished(client, begun["id"])
    assert (state["state"], state["rows"], state["answered"], state["failed"]) == ("finished", 8, 6, 2)
    assert [problem["line"] for problem in state["problems"]] == [7, 8]
    reply = client.get(f"/page/batches/{begun['id']}/file")
    lines = [json.loads(line) for line in reply.text.split("\n") if line]
    assert [line["line"] for line in lines] == list(range(1, 9))
    assert [line["answer"] for line in lines] == [*ANSWERS.values(), None, None]
    assert reply.headers["content-disposition"] == "attachment"


def test_a_prompt_that_does_not_fit_is_one_bad_row(shared_engine: Engine) -> None:
    client = client_of(shared_engine)
    begun = client.post("/page/batches", json={"name": "p.txt", "content": "word " * 600 + "\nCount"}).json()
    state = finished(client, begun["id"])
    assert (state["answered"], state["failed"]) == (1, 1)
    assert "512 positions" in state["problems"][0]["reason"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "p.pdf", "content": "x"}, 400, "invalid_value"),
        ({"name": "p.txt", "content": "x\n" * 3}, 400, "invalid_value"),
        ({"name": "p.txt", "content": "x", "policy": "../../etc/passwd"}, 400, "invalid_value"),
        ({"name": "p.txt", "content": "x" * 3_000}, 413, "body_too_large"),
        ({"name": "p.txt", "content": "x", "temperature": "hot"}, 400, "invalid_value"),
    ],
)
def test_refused_files(shared_engine: Engine, body: dict[str, Any], status: int, code: str) -> None:
    reply = client_of(shared_engine, max_batch_rows=2, max_batch_bytes=2_000).post("/page/batches", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_batches_that_are_not_there(shared_engine: Engine) -> None:
    client = client_of(shared_engine)
    replies = [client.get("/page/batches/x"), client.get("/page/batches/x/file"), client.post("/page/batches/x/stop")]
    assert [reply.status_code for reply in replies] == [404, 404, 404]


def start_endless(batches: Batches, engine: Engine, num_rows: int) -> Batch:
    """Rows whose answers go on for long."""
    rows = [BatchRow(number + 1, "Hello") for number in range(num_rows)]
    request = engine.request([Message("user", "Hello")], LONG)
    return batches.start(engine, "x.txt", "txt", rows, lambda _: request)


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_stopping_keeps_what_is_answered_and_frees_the_engine(shared_engine: Engine) -> None:
    batches = Batches()
    made = [start_endless(batches, shared_engine, 1_000) for _ in range(MAX_RUNNING)]
    with pytest.raises(TooManyBatches):
        start_endless(batches, shared_engine, 1)
    wait_until(lambda: made[0].progress().answered)
    batches.stop()
    wait_until(lambda: not shared_engine.num_pending)
    progress = made[0].progress()
    assert progress.state == "stopped"
    assert len(made[0].file().splitlines()) == progress.answered + len(progress.problems)
    again = start_endless(batches, shared_engine, 3)  # the places of those that were stopped are free
    wait_until(lambda: not again.is_running)
    assert again.progress().answered + len(again.progress().problems) == 3


def test_batches_leave_places_to_others(shared_engine: Engine) -> None:
    batches = Batches()
    made = [start_endless(batches, shared_engine, 1_000) for _ in range(3)]
    half = shared_engine.max_rows // 2
    wait_until(lambda: shared_engine.num_pending >= half)
    assert all(shared_engine.num_pending <= half for _ in range(50))
    request = shared_engine.request([Message("user", "Count")], SamplingSettings(100, 0.0))
    assert "".join(getattr(event, "text", "") for event in shared_engine.stream(request)) == ANSWERS["Count"]
    assert all(batch.is_running for batch in made)
    batches.stop()


def test_a_server_that_ends_ends_its_batches(small_run: Path, shared_engine: Engine) -> None:
    parts = PageParts()
    client = TestClient(make_app(shared_engine, GREEDY, parts), base_url="http://127.0.0.1:8000")
    number = client.post("/page/batches", json={"name": "p.txt", "content": "Hello\n" * 500}).json()["id"]
    parts.batches.stop()
    assert client.get(f"/page/batches/{number}").json()["state"] == "stopped"
