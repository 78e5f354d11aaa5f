"""A real server on the loopback address that answers by a function of the request, and fails in every way it is told.

    with ScriptedServer(lambda body: "Hi") as server:
        Endpoint(server.address, EndpointSettings()).call_many([...])
        assert server.paid == {...}

Chat completions, completions with echo and log-probabilities, and the list of models are spoken. It counts what was
asked and what was answered whole (`paid`), so that a test can say that nothing was paid twice.
"""

import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]
Answer = str | Json  # a dict replaces fields of the choice, or is the whole body where it has "choices"


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes:
        kind: "status" (with `status`, `headers`, `body`), "hang", "reset", "cut" (Content-Length is longer than the
            body), "cut-chunks" (a chunked body without its end), "drip" (a body that never ends).
    """

    kind: str = "status"
    status: int = 500
    body: str = '{"error": {"message": "scripted"}}'
    headers: dict[str, str] = field(default_factory=dict)


def no_fault(body: Json, asked_before: int) -> Fault | None:
    return None


def question(body: Json) -> str:
    """The last message, or the prompt."""
    return str(body["prompt"] if "prompt" in body else body["messages"][-1]["content"])


class _Server(ThreadingHTTPServer):
    request_queue_size = 256  # the usual 5 resets connections that come together
    daemon_threads = True


class ScriptedServer:
    """The server.

    Args:
        answer: the text of the answer to a request, or fields of its choice.
        fault: how to fail a request that was asked so many times before; None answers it.
        key: what clients must send; others get 401.
        models: names that it knows; others get 404.
        with_usage: tell tokens: of words, so that tests can count.
        seconds: time of every answer.

    Attributes:
        asked: bodies that arrived, in order.
        paid: how often each request (its canonical JSON) was answered whole.
        most_at_once: largest number of requests under way.
    """

    def __init__(
        self,
        answer: Callable[[Json], Answer],
        fault: Callable[[Json, int], Fault | None] = no_fault,
        *,
        key: str | None = None,
        models: tuple[str, ...] = ("scripted",),
        with_usage: bool = True,
        seconds: float = 0.0,
    ) -> None:
        self.answer, self.fault, self.key, self.models = answer, fault, key, models
        self.with_usage, self.seconds = with_usage, seconds
        self.asked: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.paid: Counter[str] = Counter()
        self.most_at_once = self.at_once = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"script": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def address(self) -> str:
        return f"{self.url}#{self.models[0]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def note(self, body: Json, headers: dict[str, str]) -> int:
        """Remember a request; how often it was asked before."""
        name = json.dumps(body, sort_keys=True)
        with self.lock:
            self.asked.append(body)
            self.headers.append(headers)
            self._seen[name] += 1
            return self._seen[name] - 1

    def pay(self, body: Json) -> None:
        with self.lock:
            self.paid[json.dumps(body, sort_keys=True)] += 1

    def whole_answer(self, body: Json) -> Json:
        answer = self.answer(body)
        if isinstance(answer, dict) and "choices" in answer:
            return answer
        text = answer if isinstance(answer, str) else ""
        is_chat = "messages" in body
        choice: Json = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        if body.get("echo"):
            choice |= {"text": body["prompt"] + text, "logprobs": _echoed(body["prompt"], text)}
        choice |= answer if isinstance(answer, dict) else {}
        whole: Json = {"object": "chat.completion" if is_chat else "text_completion", "choices": [choice]}
        if self.with_usage:
            counts = len(question(body).split()), len(text.split())
            whole["usage"] = {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)}
        return whole


def word_log_probability(word: str) -> float:
    """What the server says of a token: its length, below zero."""
    return -float(len(word))


def _echoed(prompt: str, text: str) -> Json:
    """Tokens are words with the space before them; those with an even length are the likeliest."""
    pieces = re.findall(r"\s*\S+", prompt) + ([text] if text else [])
    values: list[float | None] = [word_log_probability(piece) for piece in pieces]
    tops: list[Json | None] = [
        {piece: value if len(piece) % 2 == 0 else value + 0.5} for piece, value in zip(pieces, values, strict=True)
    ]
    values[0] = tops[0] = None
    offsets = [sum(map(len, pieces[:n])) for n in range(len(pieces))]
    return {"tokens": pieces, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}


class _Handler(BaseHTTPRequestHandler):
    script: ScriptedServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self._is_welcome() and self.path == "/v1/models":
            self._send(200, json.dumps({"object": "list", "data": [{"id": name} for name in self.script.models]}))
        elif self._is_welcome(say=False):
            self._send(404, '{"error": {"message": "no such path"}}')

    def do_POST(self) -> None:
        with self.script.lock:
            self.script.at_once += 1
            self.script.most_at_once = max(self.script.most_at_once, self.script.at_once)
        try:
            self._post()
        finally:
            with self.script.lock:
                self.script.at_once -= 1

    def _post(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        before = self.script.note(body, dict(self.headers))
        if not self._is_welcome():
            return
        if self.path not in ("/v1/chat/completions", "/v1/completions") or body["model"] not in self.script.models:
            self._send(404, json.dumps({"error": {"message": f"The model {body.get('model')} does not exist"}}))
            return
        fault = self.script.fault(body, before)
        if self.script.seconds:
            self.script.closing.wait(self.script.seconds)
        if fault is not None:
            self._fail(fault)
            return
        answer = json.dumps(self.script.whole_answer(body), ensure_ascii=False)
        self.script.pay(body)  # before it is sent: a client that is gone pays all the same
        self._send(200, answer)

    def _is_welcome(self, *, say: bool = True) -> bool:
        given = self.headers.get("authorization", "")
        if self.script.key is None or given == f"Bearer {self.script.key}":
            return True
        if say:
            self._send(401, json.dumps({"error": {"message": f"Incorrect API key provided: {given[7:]}"}}))
        return False

    def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _fail(self, fault: Fault) -> None:
        if fault.kind == "status":
            self._send(fault.status, fault.body, fault.headers)
            return
        self.close_connection = True
        if fault.kind == "hang":
            self.script.closing.wait(60)
        elif fault.kind == "reset":
            linger = struct.pack("ii", 1, 0)  # closing sends a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif fault.kind == "cut":
            head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
            self.wfile.write(f'{head}{{"choices": [{{"mess'.encode())
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            self.wfile.write(b'9\r\n{"choices\r\n')
            while fault.kind == "drip" and not self.script.closing.wait(0.05):
                self.wfile.write(b"1\r\n \r\n")
