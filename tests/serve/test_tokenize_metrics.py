"""What a text costs, and what the server has done."""

import json
import re
import shutil
import unicodedata
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.model.places import find_model
from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings, make_app
from seallm.serve.token_counts import base_tokenizer
from tests.serve.small_model import ANSWERS, byte_tokenizer

SAMPLING = SamplingSettings(60, temperature=0.0)
THAI = "สวัสดีค่ะ วันนี้ให้ช่วยอะไรดีคะ"


@pytest.fixture(scope="module")
def client(shared_engine: Engine, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A server that knows a base whose tokenizer has learned nothing: a token a byte."""
    run = tmp_path_factory.mktemp("runs") / "small"
    shutil.copytree(small_run, run)
    byte_tokenizer(["x"], 259).save_pretrained(run / "01-base" / "model")
    base = base_tokenizer(find_model(run), None)
    assert base is not None
    app = make_app(shared_engine, ServerSettings(sampling=SAMPLING, base=base))
    return TestClient(app, base_url="http://127.0.0.1:8000")


def test_the_same_text_here_and_in_the_base(client: TestClient, shared_engine: Engine) -> None:
    found = client.post("/v1/tokenize", json={"text": {"th": THAI, "en": "Hello"}, "with_ids": True}).json()
    assert (found["model"], found["base"]) == ("small/sft", "small/base")
    thai, english = found["counts"]
    assert (thai["language"], thai["characters"], thai["bytes"]) == ("th", len(THAI), len(THAI.encode()))
    assert thai["base_tokens"] == len(THAI.encode())
    assert thai["tokens"] == len(shared_engine.format.plain.encode(THAI)) == len(thai["ids"]) < thai["base_tokens"]
    assert thai["tokens_per_base_token"] == pytest.approx(thai["tokens"] / thai["base_tokens"], abs=1e-4)
    assert "".join(english["pieces"]) == "Hello"
    assert client.post("/v1/tokenize", json={"text": ""}).json()["counts"][0]["tokens"] == 0


def test_a_conversation_is_counted_with_its_headers(client: TestClient, shared_engine: Engine) -> None:
    (count,) = client.post("/v1/tokenize", json={"messages": [{"role": "user", "content": THAI}]}).json()["counts"]
    assert count["tokens"] == len(shared_engine.format.prompt_ids([Message("user", THAI)]))
    assert count["base_tokens"] - count["tokens"] == len(THAI.encode()) - len(shared_engine.format.plain.encode(THAI))


def test_a_conversation_is_counted_as_it_is_answered(client: TestClient, shared_engine: Engine) -> None:
    text = unicodedata.normalize("NFD", "Tiếng Việt có dấu")
    (count,) = client.post("/v1/tokenize", json={"messages": [{"role": "user", "content": text}]}).json()["counts"]
    assert count["tokens"] == len(shared_engine.request([Message("user", text)], SAMPLING).prompt)


def test_a_plain_folder_has_no_known_base(small_run: Path, shared_engine: Engine) -> None:
    assert base_tokenizer(find_model(small_run), None) is None
    named = base_tokenizer(find_model(small_run), small_run / "06-sft" / "model")
    assert named is not None
    assert named[1] == "model"


@pytest.mark.parametrize(
    "body", [{}, {"text": "a", "messages": []}, {"text": 3}, {"text": "\ud800"}, {"text": {"x": None}}]
)
def test_bad_bodies(client: TestClient, body: object) -> None:
    response = client.post("/v1/tokenize", content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text


def test_metrics(client: TestClient) -> None:
    body = {"messages": [{"role": "user", "content": "Count"}]}
    for _ in range(2):
        assert (
            client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
            == ANSWERS["Count"]
        )
    client.post("/v1/chat/completions", json={"messages": []})
    client.get("/nowhere/else")
    text = client.get("/metrics").text
    figures = {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.M)}
    assert figures['seallm_requests_total{end="finished"}'] == 2
    assert figures['seallm_http_replies_total{path="/v1/chat/completions",status="200"}'] == 2
    assert figures['seallm_http_replies_total{path="/v1/chat/completions",status="400"}'] == 1
    assert figures['seallm_http_replies_total{path="other",status="404"}'] == 1
    assert figures["seallm_first_text_seconds_count"] == figures["seallm_request_seconds_count"] == 2
    assert figures["seallm_reused_prompt_tokens_total"] > 0
    assert figures["seallm_prefix_tokens"] > 0
    assert figures["seallm_requests_pending"] == 0
