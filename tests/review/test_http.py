"""The API: what it refuses and how, what it never tells, and many annotators at once."""

import base64
import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from seallm.review.annotators import invite
from seallm.review.database import FILE, Database
from seallm.review.http import make_app
from seallm.review.store import fill, open_reviews
from seallm.web.guard import SECURITY_HEADERS, GuardSettings
from tests.review.rows import pair, write


def client_of(database: Database, guard: GuardSettings | None = None) -> TestClient:
    app = make_app(database, guard or GuardSettings())
    return TestClient(app, base_url="http://127.0.0.1:8010", raise_server_exceptions=False)


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    with client_of(database) as made:
        yield made


def as_name(name: str, token: str = "") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()}


ANN = as_name("Ann")


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_session(client: TestClient) -> None:
    me = client.get("/api/me", headers=as_name(" Ann "))
    assert me.json()["name"] == "Ann"
    assert sum(row["left"] for row in me.json()["progress"]["languages"]) == 7
    names = {row["language"]: row["name"] for row in me.json()["progress"]["languages"]}
    assert names["km"] == "ខ្មែរ (Khmer)"
    for number in range(7):
        item = client.get("/api/next", headers=ANN).json()["item"]
        verdict = "accept" if item["kind"] == "conversation" else "left"
        body = {"item": item["id"], "verdict": verdict, "reasons": ["unsafe"], "note": "ดี", "seconds": 1.5}
        assert client.post("/api/judgements", headers=ANN, json=body).json() == {"saved": item["id"]}
        assert client.get("/api/me", headers=ANN).json()["progress"]["mine"] == number + 1
    assert client.get("/api/next", headers=ANN).json()["item"] is None
    assert client.post("/api/undo", headers=ANN, json={}).json()["item"]["id"] == item["id"]
    assert client.get("/api/next", headers=ANN).json()["item"]["id"] == item["id"]


def test_who_wrote_an_answer_is_never_told(tmp_path: Path) -> None:
    fill(write(tmp_path, "a.jsonl", [pair(number, models=("secret-one", "secret-two")) for number in range(5)]))
    client = client_of(open_reviews(tmp_path))
    told = [client.get("/api/me", headers=ANN).text]
    for _ in range(5):
        told.append(client.get("/api/next", headers=ANN).text)
        body = {"item": json.loads(told[-1])["item"]["id"], "verdict": "left"}
        told.append(client.post("/api/judgements", headers=ANN, json=body).text)
    told.append(client.post("/api/undo", headers=ANN, json={}).text)
    assert not [text for text in told if "secret" in text or '"first"' in text or '"second"' in text]


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:").decode()},
        {"authorization": "Bearer abc"},
        as_name(""),
        as_name("  "),
    ],
)
@pytest.mark.parametrize("path", ["/api/me", "/api/next"])
def test_a_name_is_needed(client: TestClient, header: dict[str, str], path: str) -> None:
    assert refusal(client.get(path, headers=header)) == (401, "not_allowed")


def test_a_bad_name(client: TestClient) -> None:
    assert refusal(client.get("/api/me", headers=as_name("a\x00b"))) == (400, "invalid_value")
    assert refusal(client.get("/api/me", headers=as_name("x" * 41))) == (400, "invalid_value")


def test_tokens(database: Database, client: TestClient) -> None:
    assert client.get("/api/door").json() == {"invited_only": False}
    token = invite(database, "Ann", ["km"])
    assert client.get("/api/door").json() == {"invited_only": True}
    for header in (ANN, as_name("Ann", "wrong"), as_name("Bo", token)):
        for response in (
            client.get("/api/next", headers=header),
            client.post("/api/undo", headers=header, json={}),
            client.post("/api/judgements", headers=header, json={"item": "x", "verdict": "accept"}),
        ):
            assert refusal(response) == (401, "not_allowed")
    right = client.get("/api/next", headers=as_name("Ann", token))
    assert [row["language"] for row in right.json()["progress"]["languages"]] == ["km"]


GOOD = {"item": "x", "verdict": "accept"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (GOOD, 404, "unknown_item"),
        ({**GOOD, "item": "x" * 41}, 400, "invalid_value"),
        ({**GOOD, "item": None}, 400, "invalid_value"),
        ({**GOOD, "verdict": "good"}, 400, "invalid_value"),
        ({**GOOD, "note": "x" * 2_001}, 400, "invalid_value"),
        ({**GOOD, "reasons": "unsafe"}, 400, "invalid_value"),
        ({**GOOD, "reasons": ["unsafe"] * 21}, 400, "invalid_value"),
        ({**GOOD, "messages": [{"role": "tool", "content": "x"}]}, 400, "invalid_value"),
        ({**GOOD, "messages": [{"role": "user"}]}, 400, "invalid_value"),
        ({**GOOD, "seconds": -1}, 400, "invalid_value"),
        ({**GOOD, "seconds": 1e9}, 400, "invalid_value"),
        ({**GOOD, "more": 1}, 400, "unknown_parameter"),
        ({}, 400, "invalid_value"),
        ([], 400, "invalid_json"),
        (None, 400, "invalid_json"),
    ],
)
def test_bodies_that_do_not_fit(client: TestClient, body: object, status: int, code: str) -> None:
    assert refusal(client.post("/api/judgements", headers=ANN, json=body)) == (status, code)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe", 400, None),
        (b'{"item": "x", "verdict": "accept", "seconds": NaN}', 400, "invalid_value"),
        (b'{"item": Infinity, "verdict": "accept", "seconds": 1e999}', 400, "invalid_value"),
        (b'{"item": "x", "verdict": "accept", "note": "\\ud800"}', 400, "invalid_value"),
        (b'{"item": "\\ud800", "verdict": "accept"}', 400, "invalid_value"),
        (b"[" * 100_000, 400, None),
        (b'{"note": "' + b"x" * 2**20 + b'"}', 413, "body_too_large"),
    ],
)
def test_bytes_that_are_no_judgement(client: TestClient, data: bytes, status: int, code: str | None) -> None:
    headers = {**ANN, "content-type": "application/json"}
    response = client.post("/api/judgements", headers=headers, content=data)
    assert response.status_code == status
    assert code is None or refusal(response) == (status, code)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELD = st.sampled_from(["item", "verdict", "reasons", "note", "messages", "seconds"])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(FIELD, JSON | st.sampled_from(["accept", "left"]), max_size=6), st.text(max_size=10))
def test_no_body_and_no_name_makes_it_fail(client: TestClient, fields: dict[str, object], name: str) -> None:
    item = client.get("/api/next", headers=ANN).json()["item"]["id"]
    for path, body in (
        ("/api/judgements", {"item": item, **fields}),
        ("/api/judgements", fields),
        ("/api/undo", fields),
    ):
        assert client.post(path, headers=as_name(name), json=body).status_code < 500


def test_other_paths_and_methods(client: TestClient) -> None:
    assert refusal(client.get("/api/export", headers=ANN)) == (404, "not_found")
    assert refusal(client.get("/api/judgements", headers=ANN)) == (405, "method_not_allowed")
    assert refusal(client.post("/api/undo", headers=ANN, json={"item": "x"})) == (400, "unknown_parameter")
    assert client.get("/api/next", params={"language": "\ufffd' OR 1=1 --"}, headers=ANN).json()["item"] is None
    assert client.get("/health").json()["status"] == "ok"


def test_pages_of_other_sites_are_refused(client: TestClient) -> None:
    other = {**ANN, "origin": "https://evil.example"}
    assert refusal(client.post("/api/undo", headers=other, json={})) == (403, "origin_not_allowed")
    assert refusal(client.get("/api/me", headers={**ANN, "host": "evil.example"})) == (403, "host_not_allowed")


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/look.css", "/scripts.js"])
def test_the_page_and_its_policy(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-security-policy"] == SECURITY_HEADERS["content-security-policy"]


def test_a_locked_database_says_so_and_loses_nothing(folder: Path) -> None:
    fill(folder)
    client = client_of(Database(folder / FILE, busy_seconds=0.1))
    item = client.get("/api/next", headers=ANN).json()["item"]
    body = {"item": item["id"], "verdict": "skip"}
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    response = client.post("/api/judgements", headers=ANN, json=body)
    assert refusal(response) == (503, "database_busy")
    assert response.headers["retry-after"] == "1"
    assert str(folder) not in response.text
    other.execute("ROLLBACK")
    other.close()
    assert client.post("/api/judgements", headers=ANN, json=body).status_code == 200


def test_a_database_that_is_taken_away(folder: Path) -> None:
    fill(folder)
    client = client_of(Database(folder / FILE))
    assert client.get("/api/next", headers=ANN).status_code == 200
    (folder / FILE).unlink()
    response = client.get("/api/next", headers=ANN)
    assert refusal(response) == (503, "database_unusable")
    assert str(folder) not in response.text


def test_many_annotators_at_once(tmp_path: Path) -> None:
    fill(write(tmp_path, "a.jsonl", [pair(number) for number in range(40)]), overlap=0.5, raters=2)
    database = open_reviews(tmp_path)
    client = client_of(database)
    start = threading.Barrier(8)

    def work(number: int) -> int:
        me = as_name(f"annotator {number}")
        start.wait()
        count = 0
        while item := client.get("/api/next", headers=me).json()["item"]:
            body = {"item": item["id"], "verdict": "tie"}
            for _ in range(1 + count % 2):  # now and then sent twice, as after a lost answer
                assert client.post("/api/judgements", headers=me, json=body).status_code == 200
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(work, range(8)))
    with database.reading() as connection:
        rows = connection.execute("SELECT wanted, done, (SELECT count(*) FROM judgements WHERE item = id) FROM items")
        assert all(wanted == done == judged for wanted, done, judged in rows)
        judgements = connection.execute("SELECT count(*) FROM judgements").fetchone()[0]
        assert sum(counts) == judgements == connection.execute("SELECT count(*) FROM history").fetchone()[0]
