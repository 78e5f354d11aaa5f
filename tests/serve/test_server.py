"""What only a real server shows: clients that hang up, slow clients, starting and stopping."""

import json
import os
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from seallm.base.errors import DataError, ModelError, WorkspaceError
from seallm.cli import app
from seallm.model.generation import SamplingSettings
from seallm.serve.engine import Engine
from seallm.serve.http import Address, ServerSettings, serve
from seallm.serve.loading import load_engine
from seallm.web.guard import GuardSettings
from tests.serve.live_server import live_server
from tests.serve.small_model import ANSWERS

WANDERING = SamplingSettings(max_new_tokens=400, temperature=2.0)
SETTINGS = ServerSettings(GuardSettings(body_seconds=0.3), max_answers=10_000, sampling=WANDERING)


@pytest.fixture(scope="module")
def engine(small_run: Path) -> Iterator[Engine]:
    made = load_engine(small_run)
    yield made
    made.close()


@pytest.fixture(scope="module")
def port(engine: Engine) -> Iterator[int]:
    with live_server(engine, SETTINGS) as number:
        yield number


def send(port: int, body: dict[str, object], *, missing_bytes: int = 0) -> socket.socket:
    """Post a body and return the open connection; `missing_bytes` of it are announced and never sent."""
    data = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(data) + missing_bytes}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(head.encode() + data)
    return connection


def wait_until_idle(engine: Engine) -> None:
    deadline = time.monotonic() + 20
    while engine.num_pending:
        assert time.monotonic() < deadline, "the engine still works for a client that has left"
        time.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_frees_the_engine(engine: Engine, port: int, *, stream: bool) -> None:
    endless = {"messages": [{"role": "user", "content": "Hello"}], "n": 10_000, "stream": stream}
    clients = [send(port, endless) for _ in range(3)]
    if stream:
        assert clients[0].recv(100)
    deadline = time.monotonic() + 20
    while engine.num_pending < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for client in clients:
        client.close()
    wait_until_idle(engine)


def test_a_body_that_never_arrives(port: int) -> None:
    with send(port, {"messages": []}, missing_bytes=10) as connection:
        answer = b""
        while data := connection.recv(10_000):  # the server closes: what else comes cannot be told from the body
            answer += data
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_timeout" in answer


def ask_for_count(port: int, key: str) -> str:
    body = json.dumps({"messages": [{"role": "user", "content": "Count"}], "temperature": 0}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return str(json.load(response)["choices"][0]["message"]["content"])
    except urllib.error.HTTPError as error:
        return str(error.code)


def is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def serve_while(work: Callable[[int], list[str]], run: Path, *options: str, stop: bool = True) -> list[str]:
    """`seallm serve` here in the main thread, while another thread works with it and then presses Ctrl-C.

    Without `stop`, the work itself has pressed it.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found: list[str] = []

    def client() -> None:
        deadline = time.monotonic() + 60
        while not is_open(port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        try:
            found.extend(work(port))
        finally:
            if stop:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs tests in the background ignores it
    try:
        thread = threading.Thread(target=client)
        thread.start()
        app(["serve", str(run), "--port", str(port), *options], standalone_mode=False)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    return found


def test_the_command_serves_until_it_is_stopped(small_run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = serve_while(
        lambda port: [ask_for_count(port, "wrong"), ask_for_count(port, "k")], small_run, "--api-key", "k"
    )
    assert found == ["401", ANSWERS["Count"]]
    output, log = capfd.readouterr()
    assert re.fullmatch(
        r"small/sft  512 positions\n  page  (http://127\.0\.0\.1:\d+)\n  API   \1/v1\nstopped\n", output
    )
    assert "finished" in log
    assert "Count" not in log
    assert "Traceback" not in log


def test_a_server_that_is_open_to_others_says_so(
    small_run: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALLM_API_KEY", "")
    assert serve_while(lambda port: [ask_for_count(port, "")], small_run, "--host", "0.0.0.0") == [ANSWERS["Count"]]
    assert "warning: everybody who can reach 0.0.0.0 can use this model" in capfd.readouterr().out


def test_a_port_in_use_is_told_before_the_model_is_loaded(small_run: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(WorkspaceError, match=f"Cannot listen on 127.0.0.1 port {port} .*--port"):
            serve(small_run, Address(port=port))


def test_an_address_that_does_not_exist(small_run: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"Cannot listen on no\.such\.host\.invalid"):
        serve(small_run, Address("no.such.host.invalid"))


def test_a_wrong_base_is_told_before_the_model_is_loaded(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match="is not a folder"):
        serve(small_run, Address(port=0), base=tmp_path / "nowhere")
    assert "API" not in capsys.readouterr().out


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no finished model"):
        serve(tmp_path, Address(port=0))


def test_stopping_lets_a_stream_end(small_run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C is pressed in the middle of an answer that cannot end by itself; the client reads the rest of it."""

    def work(port: int) -> list[str]:
        body: dict[str, object] = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
        body |= {"max_tokens": 300, "temperature": 2.0, "seed": 5, "logit_bias": {"1": -100, "300": -100}}
        with send(port, body) as connection:
            answer = connection.recv(200)
            os.kill(os.getpid(), signal.SIGINT)
            while data := connection.recv(10_000):
                answer += data
        return [answer.decode()]

    (answer,) = serve_while(work, small_run, "--device", "cpu", stop=False)
    assert answer.endswith("data: [DONE]\n\n\r\n0\r\n\r\n")
    assert '"finish_reason":"length"' in answer
    assert "stopped" in capfd.readouterr().out


def test_a_key_from_a_file(small_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("k\n")
    found = serve_while(
        lambda port: [ask_for_count(port, "wrong"), ask_for_count(port, "k")], small_run, "--api-key-file", str(file)
    )
    assert found == ["401", ANSWERS["Count"]]
    file.write_text("\n")
    with pytest.raises(DataError, match="has no key"):
        app(["serve", str(small_run), "--api-key-file", str(file)], standalone_mode=False)
    with pytest.raises(DataError, match="cannot be read"):
        app(["serve", str(small_run), "--api-key-file", str(tmp_path / "nowhere")], standalone_mode=False)


def test_allowing_what_no_policy_forbids(small_run: Path) -> None:
    with pytest.raises(typer.BadParameter, match="--allow-system goes with --policy"):
        app(["serve", str(small_run), "--allow-system"], standalone_mode=False)


def test_two_models_are_served_for_comparison(
    small_run: Path, other_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def work(port: int) -> list[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/page/about") as response:
            about = json.load(response)
        text = json.dumps({"text": "สวัสดีค่ะ วันนี้ให้ช่วยอะไรดีคะ น้ำชาหรือน้ำเปล่า"}).encode()
        headers = {"content-type": "application/json"}
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/page/language", text, headers)
        with urllib.request.urlopen(asked) as response:
            return [str(about["compares"]), json.load(response)["name"]]

    options = ["--beside", str(other_run), "--judgements", str(tmp_path)]
    assert serve_while(work, small_run, *options) == ["True", "Thai"]
    assert "small/sft  512 positions\nother/sft  512 positions\n" in capfd.readouterr().out
    with pytest.raises(DataError, match="both models are called 'small/sft'"):
        app(["serve", str(small_run), "--port", "0", "--beside", str(small_run)], standalone_mode=False)
