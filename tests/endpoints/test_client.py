"""Every way in which a server can fail: what is asked again, what is given up, what stops, and what it all costs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from seallm.base.errors import EndpointError
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.address import ApiKey
from seallm.endpoints.calls import Call, chat_call, chat_reply
from seallm.endpoints.client import Endpoint
from seallm.endpoints.metering import Price
from seallm.endpoints.settings import EndpointSettings
from tests.endpoints.scripted_server import Fault, Json, ScriptedServer, question

GREEDY = SamplingSettings(20, temperature=0.0)
QUICK = EndpointSettings(concurrent_calls=8, first_wait_seconds=0.01, longest_wait_seconds=0.2, call_seconds=2.0)


def calls(count: int, language: str = "") -> list[Call]:
    return [chat_call([Message("user", f"Question {n}")], GREEDY, language=language) for n in range(count)]


def texts(endpoint: Endpoint, asked: Sequence[Call]) -> list[str | None]:
    return [None if o.body is None else chat_reply(o.body).text for o in endpoint.call_many(asked)]


def echo(body: Json) -> str:
    return f"Answer to {question(body)}"


def answers(count: int) -> list[str]:
    return [f"Answer to Question {n}" for n in range(count)]


FAULTS = [
    Fault(status=429, headers={"retry-after": "0.05"}),
    Fault(status=429),
    Fault(status=500),
    Fault(status=503, body="<h1>upstream</h1>"),
    Fault(status=200, body='{"error": {"message": "overloaded"}}'),
    Fault(status=200, body='{"choices": [{"mess'),
    Fault(status=200, body='{"choices": []}'),
    Fault(status=200, body='{"choices": [{"message": {"content": 7}}]}'),
    Fault(status=200, body="[]"),
    Fault("cut"),
    Fault("cut-chunks"),
    Fault("reset"),
    Fault("hang"),
    Fault("drip"),
]


def test_every_fault_once_and_nothing_is_lost_or_paid_twice(tmp_path: Path) -> None:
    """Call n fails once in way n; all are answered, each once; a second run asks for nothing."""

    def fault(body: Json, asked_before: int) -> Fault | None:
        return FAULTS[int(question(body).split()[1])] if asked_before == 0 else None

    settings = replace(QUICK, answers=tmp_path)
    with ScriptedServer(echo, fault) as server:
        endpoint = Endpoint(server.address, settings)
        assert texts(endpoint, calls(len(FAULTS))) == answers(len(FAULTS))
        assert len(server.asked) == 2 * len(FAULTS)
        assert set(server.paid.values()) == {1}
        assert len(server.paid) == len(FAULTS)
        again = Endpoint(server.address, settings)
        assert texts(again, calls(len(FAULTS))) == answers(len(FAULTS))
        assert len(server.asked) == 2 * len(FAULTS)
        assert again.meter.total.calls == 0
        assert again.meter.total.reused == len(FAULTS)


def test_a_refused_question_is_given_up_and_the_others_are_answered() -> None:
    too_long = Fault(status=400, body='{"error": {"message": "maximum context\\nlength"}}')
    with ScriptedServer(echo, lambda body, _: too_long if question(body).endswith("2") else None) as server:
        outcomes = Endpoint(server.address, QUICK).call_many(calls(4))
    assert [o.body is None for o in outcomes] == [False, False, True, False]
    assert outcomes[2].problem == "status 400: maximum context length"
    assert len(server.asked) == 4


def test_one_poisoned_question_is_given_up_after_all_attempts() -> None:
    with ScriptedServer(echo, lambda body, _: Fault() if question(body).endswith("2") else None) as server:
        endpoint = Endpoint(server.address, replace(QUICK, attempts=3))
        assert texts(endpoint, calls(4)) == [*answers(2), None, "Answer to Question 3"]
    assert len(server.asked) == 6
    assert endpoint.meter.total.failed == 1


def test_a_server_that_fails_every_question_stops_the_work() -> None:
    with (
        ScriptedServer(echo, lambda *_: Fault(status=500)) as server,
        pytest.raises(EndpointError, match=r"5 questions in a row, the last one asked 2 times: status 500: scripted"),
    ):
        Endpoint(server.address, replace(QUICK, attempts=2, concurrent_calls=1)).call_many(calls(50))
    assert len(server.asked) == 10


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=403, body='{"detail": "no access"}'), "status 403: no access; check the key"),
        (Fault(status=402, body=""), "status 402; the account has no credit"),
        (Fault(status=429, body='{"error": {"code": "insufficient_quota", "message": "pay"}}'), "no credit"),
        (Fault(status=307, headers={"location": "https://other/v1"}), "redirects to https://other/v1"),
        (Fault(status=200, body="<html>", headers={"content-type": "text/html"}), "answers with a web page"),
    ],
)
def test_what_no_question_would_survive_stops_at_once(fault: Fault, told: str) -> None:
    with ScriptedServer(echo, lambda *_: fault) as server, pytest.raises(EndpointError, match=told):
        Endpoint(server.address, replace(QUICK, concurrent_calls=1)).call_many(calls(9))
    assert len(server.asked) == 1


def test_answers_under_way_are_kept_when_the_work_stops(tmp_path: Path) -> None:
    """The refusal of one call does not throw away what the others are about to get, and have to pay."""

    def answer(body: Json) -> str:
        time.sleep(0.2)
        return echo(body)

    def fault(body: Json, _: int) -> Fault | None:
        return Fault(status=403) if question(body).endswith("0") else None

    with ScriptedServer(answer, fault) as server:
        with pytest.raises(EndpointError):
            Endpoint(server.address, replace(QUICK, concurrent_calls=4, answers=tmp_path)).call_many(calls(20))
        assert len(server.asked) == 4
    assert len(list(tmp_path.rglob("*.json"))) == 3


def test_unreachable_wrong_key_unknown_model_and_no_model() -> None:
    with ScriptedServer(echo) as server:
        address = server.address
    with pytest.raises(EndpointError, match=r"^http://127.0.0.1:\d+/v1 cannot be reached, asked 3 times: no conn"):
        Endpoint(address, QUICK).call_many(calls(3))
    with ScriptedServer(echo, key="right-key", models=("a", "b")) as server:
        with pytest.raises(EndpointError, match=r"status 401: Incorrect API key provided: \*\*\*; check the key") as e:
            Endpoint(server.address, QUICK, ApiKey("wrong-key")).call_many(calls(1))
        assert "wrong-key" not in str(e.value)
        with pytest.raises(EndpointError, match="The model c does not exist; check the address"):
            Endpoint(server.url + "#c", QUICK, ApiKey("right-key")).call_many(calls(1))
        with pytest.raises(EndpointError, match=r"2 models \(a, b\): name one, such as .*#a"):
            Endpoint(server.url, QUICK, ApiKey("right-key")).call_many(calls(1))
    with ScriptedServer(echo) as server:
        assert texts(Endpoint(server.url, QUICK), calls(1)) == answers(1)


def test_the_key_is_neither_kept_nor_shown(tmp_path: Path) -> None:
    key = ApiKey("sk-very-secret")
    with ScriptedServer(lambda body: "Your key is sk-very-secret", key="sk-very-secret") as server:
        endpoint = Endpoint(server.address, replace(QUICK, answers=tmp_path), key)
        assert texts(endpoint, calls(2)) == ["Your key is ***"] * 2
    assert all("sk-very" not in path.read_text() for path in tmp_path.rglob("*.json"))
    assert "sk-very" not in repr(key) + repr(vars(endpoint)) + str(key)


def test_concurrency_is_bounded_and_order_is_kept() -> None:
    seen: list[int] = []
    with ScriptedServer(echo, seconds=0.05) as server:
        endpoint = Endpoint(server.address, replace(QUICK, concurrent_calls=3))
        outcomes = endpoint.call_many(calls(12), lambda number, _: seen.append(number))
    assert [chat_reply(o.body or {}).text for o in outcomes] == answers(12)
    assert server.most_at_once == 3
    assert sorted(seen) == list(range(12))


def test_equal_calls_are_one_call_and_draws_are_not() -> None:
    asked = [chat_call([Message("user", "Question 0")], GREEDY, draw=draw) for draw in (0, 0, 1, 0)]
    with ScriptedServer(echo) as server:
        endpoint = Endpoint(server.address, QUICK)
        assert texts(endpoint, asked) == answers(1) * 4
        assert len(server.asked) == 2
    assert (endpoint.meter.total.calls, endpoint.meter.total.reused) == (2, 2)


def test_retry_after_holds_for_all_calls() -> None:
    """The first call is sent away for 0.3 s; no call starts before that."""
    started: list[float] = []

    def answer(body: Json) -> str:
        started.append(time.monotonic())
        return echo(body)

    busy = Fault(status=429, headers={"retry-after": "0.3"})
    with ScriptedServer(
        answer, lambda body, before: busy if question(body).endswith(" 0") and not before else None
    ) as s:
        endpoint = Endpoint(s.address, replace(QUICK, concurrent_calls=1, longest_wait_seconds=5))
        begun = time.monotonic()
        endpoint.call_many(calls(3))
    assert min(started) - begun >= 0.3


def test_too_many_requests_are_no_failure_of_the_question() -> None:
    with ScriptedServer(echo, lambda _, before: Fault(status=429) if before < 6 else None) as server:
        endpoint = Endpoint(server.address, replace(QUICK, attempts=2, longest_wait_seconds=0.02))
        assert texts(endpoint, calls(2)) == answers(2)
    with ScriptedServer(echo, lambda *_: Fault(status=429)) as server:
        endpoint = Endpoint(server.address, replace(QUICK, attempts=2, longest_wait_seconds=0.01))
        assert texts(endpoint, calls(1)) == [None]
        assert len(server.asked) == 20


def test_tokens_are_counted_by_language_and_guessed_where_the_server_does_not_tell() -> None:
    asked = [*calls(2, "th"), *[chat_call([Message("user", "Hello there")], GREEDY, language="lo")]]
    with ScriptedServer(lambda body: "one two three") as server:
        endpoint = Endpoint(server.address, replace(QUICK, price=Price(1.0, 10.0)))
        endpoint.call_many(asked)
    th, total = endpoint.meter.by_language["th"], endpoint.meter.total
    assert (th.question_tokens, th.answer_tokens, th.estimated_calls) == (4, 6, 0)
    assert total.cost(endpoint.meter.price) == pytest.approx((6 * 1 + 9 * 10) / 1e6)
    assert [row["language"] for row in endpoint.meter.rows()] == ["lo", "th", "all"]
    with ScriptedServer(lambda body: "one two three", with_usage=False) as server:
        endpoint = Endpoint(server.address, QUICK)
        endpoint.call_many(asked)
    assert endpoint.meter.total.estimated_calls == 3
    assert endpoint.meter.total.answer_tokens == 3 * 4  # 13 characters


def test_a_server_that_wants_the_newer_name_of_the_limit_gets_it() -> None:
    refusal = Fault(status=400, body='{"error": {"message": "use max_completion_tokens instead of max_tokens"}}')
    with ScriptedServer(echo, lambda body, _: refusal if "max_tokens" in body else None) as server:
        assert texts(Endpoint(server.address, replace(QUICK, concurrent_calls=1)), calls(3)) == answers(3)
        assert len(server.asked) == 4


def test_answers_in_parts_are_joined_and_thoughts_left_out() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Yes"}, {"type": "text", "text": "!"}]
    with ScriptedServer(lambda body: {"message": {"content": parts}, "finish_reason": "max_tokens"}) as server:
        reply = chat_reply(Endpoint(server.address, QUICK).call_many(calls(1))[0].body or {})
    assert (reply.text, reply.finish) == ("Yes!", "length")


def test_a_damaged_answer_on_disk_is_asked_for_again(tmp_path: Path) -> None:
    settings = replace(QUICK, answers=tmp_path)
    with ScriptedServer(echo) as server:
        texts(Endpoint(server.address, settings), calls(2))
        kept = sorted(tmp_path.rglob("*.json"))
        kept[0].write_bytes(kept[0].read_bytes()[:30])
        assert texts(Endpoint(server.address, settings), calls(2)) == answers(2)
        assert len(server.asked) == 3


def test_several_callers_share_one_folder_of_answers(tmp_path: Path) -> None:
    """Four threads ask the same at the same moment; every answer is whole, and none is paid by a fifth."""
    settings = replace(QUICK, answers=tmp_path, call_seconds=10.0)
    with ScriptedServer(echo, seconds=0.01) as server, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: texts(Endpoint(server.address, settings), calls(30)), range(4)))
        assert found == [answers(30)] * 4
        paid = sum(server.paid.values())
        assert texts(Endpoint(server.address, settings), calls(30)) == answers(30)
        assert sum(server.paid.values()) == paid
    assert len(list(tmp_path.rglob("*.json"))) == 30
    assert not list(tmp_path.rglob("*.tmp"))


CLIENT = """
import sys
from pathlib import Path
from tests.endpoints.test_client import QUICK, calls
from dataclasses import replace
from seallm.endpoints.client import Endpoint
done = 0
def tell(number, outcome):
    print(number, flush=True)
Endpoint(sys.argv[1], replace(QUICK, answers=Path(sys.argv[2]), call_seconds=5)).call_many(calls(60), tell)
"""


def test_killed_in_the_middle_it_pays_only_for_what_was_under_way(tmp_path: Path) -> None:
    """SIGKILL after 20 answers: the rerun asks for the rest; only calls that were on their way are paid twice."""
    root = Path(__file__).parents[2]
    with ScriptedServer(echo, seconds=0.02) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, server.address, str(tmp_path)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])},
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        time.sleep(0.1)
        kept = {json.dumps(json.loads(p.read_text())["question"]["messages"]) for p in tmp_path.rglob("*.json")}
        assert 20 <= len(kept) < 60
        before = len(server.asked)
        endpoint = Endpoint(server.address, replace(QUICK, answers=tmp_path))
        assert texts(endpoint, calls(60)) == answers(60)
        assert len(server.asked) - before == 60 - len(kept)
        twice = [name for name, count in server.paid.items() if count > 1]
        assert len(twice) <= QUICK.concurrent_calls
        assert not any(json.dumps(json.loads(name)["messages"]) in kept for name in twice)
