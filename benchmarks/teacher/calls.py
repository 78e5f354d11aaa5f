"""A slow and unreliable server in, the calls a second that the client gets out of it out."""

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

from tests.endpoints.scripted_server import Fault, Json, ScriptedServer, question

from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.calls import chat_call
from seallm.endpoints.client import Endpoint
from seallm.endpoints.settings import EndpointSettings

CALLS, SECONDS = 1_000, 0.05


def measure_calls(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for at_once in (1, 8, 32):
        count = CALLS if at_once > 1 else CALLS // 10
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
        server.start()
        settings = EndpointSettings(concurrent_calls=at_once, first_wait_seconds=0.1)
        endpoint = Endpoint(ours.recv(), settings)
        calls = [chat_call([Message("user", f"Question {n}")], SamplingSettings(10, 0.0)) for n in range(count)]
        start = time.perf_counter()
        outcomes = endpoint.call_many(calls)
        seconds = time.perf_counter() - start
        ours.send("end")
        asked, most_paid = ours.recv()
        server.join()
        rows.append(
            {
                "at_once": at_once,
                "calls_per_second": round(count / seconds, 1),
                "without_any_overhead": round(at_once / (SECONDS * 1.1), 1),
                "answered": sum(outcome.body is not None for outcome in outcomes),
                "n": count,
                "asked": asked,
                "most_often_paid": most_paid,
            }
        )
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    return rows


def _serve(pipe: Connection) -> None:
    with ScriptedServer(lambda body: "Yes, of course.", _fault, seconds=SECONDS) as server:
        pipe.send(server.address)
        pipe.recv()
        pipe.send((len(server.asked), max(server.paid.values())))


def _fault(body: Json, asked_before: int) -> Fault | None:
    number = int(question(body).split()[1])
    return Fault(status=(429, 500, 503)[number % 3]) if number % 10 == 0 and not asked_before else None
