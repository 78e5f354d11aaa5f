"""Requests of all kinds, good and bad, at a server with small limits: what it does with each, and what it keeps.

A tiny model with random weights is made here. Clients hang up before or while they are answered, send garbage, half a
body, bodies and prompts beyond the limits, more at once than the queue holds. In the end nothing may be pending, every
request must have been answered or refused in the API's own shape, and memory must not have grown since the first part.
"""

import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from benchmarks.serving.sides import get, memory_mib, running
from seallm.model.chat_format import add_chat_tokens
from seallm.model.checkpoints import new_llama, save_model

CLIENTS = 24
OPTIONS = ("--max-rows", "8", "--queue", "12", "--timeout", "20", "--max-prompt-tokens", "400", "--prefix-gib", "0.02")
WORDS = ["one", "two", "three", "four", "five", "six", "สวัสดี", "ຂອບໃຈ", "សួស្តី", "မင်္ဂလာပါ", "xin", "chào", "今天"]
TIMEOUT_SECONDS = 60
TRIES = 100
PARTS = 8
Ask = Callable[[int, random.Random], str]


def run(num_requests: int) -> dict[str, Any]:
    """Send them in eighths, and watch memory: the first eighth fills caches and pools."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "tiny"
        _save_tiny(model)
        command = [sys.executable, "-m", "seallm.cli", "serve", str(model), "--device", "cpu", *OPTIONS]
        with running("seallm serve", command) as side:
            started = time.perf_counter()
            ends: Counter[str] = Counter()
            memory = []
            for part in range(PARTS):
                ends += _send(side.port, range(part * num_requests // PARTS, (part + 1) * num_requests // PARTS))
                memory.append(round(memory_mib(side.pid, "VmRSS")))
            seconds = time.perf_counter() - started
            time.sleep(1)
            pending = json.loads(get(side.port, "/health"))["pending"]
            figures = get(side.port, "/metrics").decode()
    print(f"{sum(ends.values()):,} requests in {seconds:.0f} s, {CLIENTS} clients at once")
    for end, count in sorted(ends.items()):
        print(f"  {count:6,}  {end}")
    print(f"resident memory after each eighth, MiB: {memory}")
    print(f"pending in the end: {pending}; stuck or unanswered: {ends['STUCK'] + ends['UNANSWERED']}")
    counted = [
        line for line in figures.splitlines() if line.startswith(("seallm_requests_total", "seallm_http_replies"))
    ]
    return {"ends": dict(ends), "memory_mib": memory, "pending": pending, "metrics": counted}


def _send(port: int, numbers: range) -> Counter[str]:
    def one(number: int) -> str:
        drawn = random.Random(number)
        kind = drawn.choices(list(KINDS), weights=[weight for weight, _ in KINDS.values()])[0]
        try:
            return f"{kind}: {KINDS[kind][1](port, drawn)}"
        except TimeoutError:
            return "STUCK"

    with ThreadPoolExecutor(CLIENTS) as pool:
        return Counter(pool.map(one, numbers))


def _body(drawn: random.Random, **more: Any) -> bytes:
    text = " ".join(drawn.choices(WORDS, k=drawn.choice((1, 5, 20, 60))))
    messages = [{"role": "system", "content": "Be kind. " * 10}, {"role": "user", "content": text}]
    fields = {"max_tokens": drawn.choice((1, 8, 40, 120)), "temperature": drawn.choice((0, 1.0, 1.7))}
    return json.dumps({"messages": messages} | fields | more).encode()


def _post(port: int, body: bytes, *, path: str = "/v1/chat/completions", length: int | None = None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    connection.sendall(f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode())
    connection.sendall(body)
    return connection


def _read(connection: socket.socket) -> str:
    """Read to the end and say how it ended."""
    data = b""
    with connection:
        while part := connection.recv(65_536):
            data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    if not head:
        return "UNANSWERED"
    status = head.split()[1].decode()
    if status == "500":
        return "FAILED 500"
    if b"text/event-stream" in head.lower():
        return "200 stream" if b"data: [DONE]" in rest else "stream with error" if b'"error"' in rest else "UNANSWERED"
    return status


def _patient(port: int, drawn: random.Random, body: bytes, path: str = "/v1/chat/completions") -> str:
    """Ask again, a little later, while the queue is full."""
    for _ in range(TRIES):
        end = _read(_post(port, body, path=path))
        if end != "429":
            return end
        time.sleep(drawn.uniform(0.1, 0.4))
    return "429 to the last"


def _whole(port: int, drawn: random.Random) -> str:
    return _patient(port, drawn, _body(drawn, n=drawn.choice((1, 1, 3))))


def _stream(port: int, drawn: random.Random) -> str:
    return _patient(port, drawn, _body(drawn, stream=True))


def _hurried(port: int, drawn: random.Random) -> str:
    return _read(_post(port, _body(drawn)))


def _text(port: int, drawn: random.Random) -> str:
    body = {"prompt": [" ".join(drawn.choices(WORDS, k=8))] * 3, "max_tokens": 3, "echo": True, "logprobs": 2}
    return _patient(port, drawn, json.dumps(body).encode(), "/v1/completions")


def _hang_up(port: int, drawn: random.Random) -> str:
    with _post(port, _body(drawn, stream=drawn.random() < 0.5, max_tokens=300, temperature=1.7)) as connection:
        time.sleep(drawn.choice((0, 0.01, 0.1)))
        if drawn.random() < 0.3:
            connection.recv(100)
    return "left"


def _garbage(port: int, drawn: random.Random) -> str:
    body = drawn.choice((b"{", b"[]", b"\xff\xfe", b"null", b'{"messages": 3}', b"[" * 50_000, _body(drawn, wrong=1)))
    return _read(_post(port, body))


def _no_http(port: int, drawn: random.Random) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(drawn.randbytes(200) + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1_000)
    return "closed"


def _too_large(port: int, drawn: random.Random) -> str:
    if drawn.random() < 0.5:
        return _read(_post(port, _body(drawn, user="x" * 1_000)[:-1] + b" " * 2**20 + b"}"))
    return _read(_post(port, json.dumps({"messages": [{"role": "user", "content": "word " * 2_000}]}).encode()))


def _half(port: int, drawn: random.Random) -> str:
    body = _body(drawn)
    with _post(port, body[:20], length=len(body)):
        time.sleep(0.02)
    return "left"


KINDS: dict[str, tuple[int, Ask]] = {
    "whole answer": (20, _whole),
    "stream": (25, _stream),
    "hurried": (5, _hurried),
    "text with scores": (8, _text),
    "hang up": (20, _hang_up),
    "garbage": (8, _garbage),
    "no HTTP": (3, _no_http),
    "too large": (6, _too_large),
    "half a body": (5, _half),
}


def _save_tiny(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(WORDS * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    add_chat_tokens(fast)
    save_model(folder, new_llama(len(fast), hidden_size=64, layers=2, heads=4, max_sequence_tokens=1024, seed=1), fast)
