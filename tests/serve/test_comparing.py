"""Two models side by side: names stay unknown until a judgement, and that reaches the review database."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seallm.base.errors import DataError, WorkspaceError
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.review.export import export
from seallm.serve.comparing import Comparing, Judgement, Pair
from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings, make_app
from seallm.serve.page_api import PageParts
from seallm.serve.system_prompt import ServedPolicy
from seallm.serve_verbs import review_keeper

SETTINGS = ServerSettings(
    sampling=SamplingSettings(max_new_tokens=100, temperature=0.0), policy=ServedPolicy({"en": "Be kind."}, name="own")
)


class Kept(list[Judgement]):
    """Keeps judgements, unless the disk is full."""

    is_full = False

    def __call__(self, judgement: Judgement) -> None:
        if self.is_full:
            raise WorkspaceError("no room")
        self.append(judgement)


def ask(client: TestClient, text: str) -> tuple[dict[str, str], str | None]:
    """The text of both sides, and the pair's id."""
    reply = client.post("/page/pairs", json={"messages": [{"role": "user", "content": text}]})
    assert reply.status_code == 200, reply.text
    events = [json.loads(e.removeprefix("data: ")) for e in reply.text.split("\n\n")[:-2]]
    assert reply.text.endswith("data: [DONE]\n\n")
    texts = {side: "".join(e["text"] for e in events if e.get("side") == side) for side in ("left", "right")}
    assert "small" not in reply.text
    assert "other" not in reply.text
    return texts, events[-1]["id"]


def judge(client: TestClient, **body: Any) -> Any:
    return client.post("/page/judgements", json=body)


def test_sides_are_drawn_and_names_come_with_the_judgement(shared_engine: Engine, other_engine: Engine) -> None:
    kept = Kept()
    parts = PageParts(comparing=Comparing((shared_engine, other_engine), kept))
    client = TestClient(make_app(shared_engine, SETTINGS, parts), base_url="http://127.0.0.1:8000")
    seen = set()
    for _ in range(40):
        texts, pair = ask(client, "Hello")
        if texts["left"] in seen:
            continue
        seen.add(texts["left"])
        kept.is_full = True
        assert judge(client, id=pair, verdict="left", annotator="Noy").status_code == 503
        kept.is_full = False  # the pair waits on
        found = judge(client, id=pair, verdict="left", annotator="Noy").json()
        assert kept[-1].pair.texts == (texts["left"], texts["right"])
        assert kept[-1].pair.models == (found["left"], found["right"])
        assert kept[-1].pair.messages[0].content == "Be kind."
        assert judge(client, id=pair, verdict="left", annotator="Noy").status_code == 400
        if len(seen) == 2:
            break
    assert len(seen) == 2, "always the same side"
    assert {judgement.pair.models for judgement in kept} == {
        (shared_engine.name, other_engine.name),
        (other_engine.name, shared_engine.name),
    }


def test_equal_answers_are_not_judged(shared_engine: Engine, other_engine: Engine) -> None:
    comparing = Comparing((shared_engine, other_engine), Kept())
    assert comparing.offer(Pair((), ("a", "b"), ("same", "same "))) is None
    assert comparing.offer(Pair((), ("a", "b"), ("", "text"))) is None
    assert comparing.offer(Pair((), ("a", "b"), ("one", "text")))


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([{"role": "user", "content": "word " * 600}], 400),
        ([{"role": "assistant", "content": "Hello"}], 400),
        ([], 400),
    ],
)
def test_refusals(shared_engine: Engine, other_engine: Engine, messages: list[Any], status: int) -> None:
    parts = PageParts(comparing=Comparing((shared_engine, other_engine), Kept()))
    client = TestClient(make_app(shared_engine, SETTINGS, parts), base_url="http://127.0.0.1:8000")
    assert client.post("/page/pairs", json={"messages": messages}).status_code == status
    assert judge(client, id="x", verdict="first", annotator="a").status_code == 400


def test_the_servers_own_limit_holds_for_both_models(shared_engine: Engine, other_engine: Engine) -> None:
    question = "Good day to you. " * 8  # the other model's tokenizer knows these words
    counts = [
        len(e.request([Message("user", question)], SETTINGS.sampling).prompt) for e in (shared_engine, other_engine)
    ]
    assert counts[0] > counts[1]
    parts = PageParts(comparing=Comparing((shared_engine, other_engine), Kept()))
    settings = ServerSettings(sampling=SETTINGS.sampling, max_prompt_tokens=counts[1])
    client = TestClient(make_app(shared_engine, settings, parts), base_url="http://127.0.0.1:8000")
    for _ in range(6):  # sides are drawn
        reply = client.post("/page/pairs", json={"messages": [{"role": "user", "content": question}]})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "prompt_too_long")


def test_a_model_is_not_compared_with_itself(shared_engine: Engine) -> None:
    with pytest.raises(DataError, match="both models are called 'small/sft'"):
        Comparing((shared_engine, shared_engine), Kept())


def test_without_a_second_model_there_is_nothing_to_compare(shared_engine: Engine) -> None:
    client = TestClient(make_app(shared_engine, SETTINGS), base_url="http://127.0.0.1:8000")
    assert client.get("/page/about").json()["compares"] is False
    assert client.post("/page/pairs", json={"messages": [{"role": "user", "content": "Hello"}]}).status_code == 404


def test_judgements_reach_the_review_database(shared_engine: Engine, other_engine: Engine, tmp_path: Path) -> None:
    parts = PageParts(comparing=Comparing((shared_engine, other_engine), review_keeper(tmp_path)))
    client = TestClient(make_app(shared_engine, SETTINGS, parts), base_url="http://127.0.0.1:8000")
    texts, pair = ask(client, "Hello")
    assert judge(client, id=pair, verdict="right", annotator="a:b").status_code == 400
    assert judge(client, id=pair, verdict="right", annotator=" Noy ").status_code == 200
    export(tmp_path, tmp_path / "out")
    (row,) = (json.loads(line) for line in (tmp_path / "out" / "preferences.jsonl").read_text().splitlines())
    assert row["chosen"][-1]["content"] == texts["right"]
    assert row["rejected"][-1]["content"] == texts["left"]
    assert [m["role"] for m in row["prompt"]] == ["system", "user"]
    assert row["language"] == "en"
