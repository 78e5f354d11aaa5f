"""Servers that are measured, each in a process of its own, all asked by the same client over loopback."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 120
# left to itself, it takes half of the machine's memory for its cache; this is 32,768 tokens
BATCHING = ("--continuous-batching", "--cb-block-size", "32", "--cb-num-blocks", "1024")


@dataclass(frozen=True)
class Side:
    """A running server.

    Attributes:
        name: in the tables.
        port: on loopback.
        model: what its requests call the model; None: nothing.
        pid: of the process.
    """

    name: str
    port: int
    model: str | None
    pid: int

    @property
    def peak_mib(self) -> float:
        """Largest resident memory so far, from the kernel."""
        return memory_mib(self.pid, "VmHWM")


@dataclass(frozen=True)
class Answer:
    """One streamed answer: its text, its tokens by the server's own count, and seconds."""

    text: str
    num_prompt: int
    num_tokens: int
    first_seconds: float
    seconds: float


def memory_mib(pid: int, field: str) -> float:
    """A memory figure of a process, from the kernel."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


NUMBER_TYPES = {"cpu": "float32", "cuda": "bfloat16"}


def ours(model: Path, device: str, *options: str) -> list[str]:
    """Our server's command, without its port."""
    kind = ["--device", device, "--dtype", NUMBER_TYPES[device]]
    return [sys.executable, "-m", "seallm.cli", "serve", str(model), *kind, *options]


def theirs(model: Path, device: str, *options: str) -> list[str]:
    """The command of `transformers serve`, without its port."""
    program = str(Path(sys.executable).parent / "transformers")
    return [program, "serve", "--device", device, "--dtype", NUMBER_TYPES[device], *options, str(model)]


@contextmanager
def running(name: str, command: Sequence[str], model: str | None = None) -> Iterator[Side]:
    """Start a server, wait until it answers, and stop it in the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    with Path(os.devnull).open("w") as nowhere:
        process = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    try:
        _wait(process, port)
        yield Side(name, port, model, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server ended at once with status {process.returncode}: {process.args}")
        try:
            if get(port, "/health"):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the server did not answer within {START_SECONDS} s: {process.args}")


def get(port: int, path: str) -> bytes:
    """The body of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def ask(side: Side, messages: Sequence[dict[str, str]], max_tokens: int) -> Answer:
    """A greedy answer, as a stream."""
    body: dict[str, Any] = {
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if side.model is not None:
        body["model"] = side.model
    connection = http.client.HTTPConnection("127.0.0.1", side.port, timeout=600)
    started = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{side.name} answered {response.status}: {response.read()[:300]!r}")
    text, first, usage = "", 0.0, {}
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        usage = event.get("usage") or usage
        for choice in event.get("choices") or ():
            piece = (choice.get("delta") or {}).get("content") or ""
            if piece and not text:
                first = time.perf_counter() - started
            text += piece
    seconds = time.perf_counter() - started
    connection.close()
    return Answer(text, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), first or seconds, seconds)
