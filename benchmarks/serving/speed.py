"""Many streams at once: tokens a second, time to first token, memory, and whether greedy answers are the same."""

import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

from benchmarks.serving.sides import BATCHING, NUMBER_TYPES, Answer, Side, ask, memory_mib, ours, running, theirs

TOPICS = (
    "the history of Bangkok",
    "how rice is grown",
    "why the sky is blue",
    "a short story about a fisherman in Vietnam",
    "the rules of badminton",
    "how to repair a bicycle tyre",
    "the languages of Myanmar",
    "what a volcano is",
    "a recipe with coconut milk",
    "how the moon moves",
    "the Mekong river",
    "how bridges are built",
    "what a bank does",
    "the life of bees",
    "how paper is made",
    "what makes a good teacher",
)


@dataclass(frozen=True)
class Row:
    """What one side did with one number of streams."""

    side: str
    streams: int
    tokens_a_second: float
    first_median: float
    first_p95: float
    peak_mib: float


def conversation(number: int) -> list[dict[str, str]]:
    """The question of one stream."""
    return [{"role": "user", "content": f"Tell me about {TOPICS[number % len(TOPICS)]}."}]


def run(model: Path, device: str, max_tokens: int, numbers: Sequence[int]) -> dict[str, Any]:
    """Measure every side, one after the other; each alone on the machine."""
    rows: list[Row] = []
    answers: dict[str, list[str]] = {}
    servers = {
        "seallm serve": (ours(model, device), None),
        "transformers serve, continuous batching": (theirs(model, device, *BATCHING), str(model)),
        "transformers serve": (theirs(model, device), str(model)),
    }
    for name, (command, called) in servers.items():
        with running(name, command, called) as side:
            ask(side, conversation(0), 4)  # whatever is made at the first request
            rows += [_streams(side, streams, max_tokens, answers) for streams in numbers]
    rows += _loop(model, device, max_tokens, numbers, answers)
    _print(rows)
    plain = answers["plain loop"]
    same = {name: sum(a == b for a, b in zip(texts, plain, strict=True)) for name, texts in answers.items()}
    print(f"\nanswers equal to those of the plain loop, of {len(plain)}: {same}")
    return {"rows": [row.__dict__ for row in rows], "equal_answers": same, "max_tokens": max_tokens}


def _streams(side: Side, streams: int, max_tokens: int, answers: dict[str, list[str]]) -> Row:
    started = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        found = list(pool.map(lambda number: ask(side, conversation(number), max_tokens), range(streams)))
    seconds = time.perf_counter() - started
    answers[side.name] = [answer.text for answer in found]
    return _row(side.name, streams, found, seconds, side.peak_mib)


def _row(name: str, streams: int, found: Sequence[Answer], seconds: float, peak_mib: float) -> Row:
    firsts = sorted(answer.first_seconds for answer in found)
    p95 = firsts[min(len(firsts) - 1, round(0.95 * len(firsts)))]
    tokens = sum(answer.num_tokens for answer in found)
    row = Row(name, streams, tokens / seconds, statistics.median(firsts), p95, peak_mib)
    print(f"  {name}, {streams}: {row.tokens_a_second:.1f} tokens/s", flush=True)
    return row


def _loop(
    folder: Path, device: str, max_tokens: int, numbers: Sequence[int], answers: dict[str, list[str]]
) -> list[Row]:
    """Transformers' generate, one request after the other, here in this process: requests wait for those before."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=NUMBER_TYPES[device]).to(device).eval()
    rows = []
    for streams in numbers:
        found, started = [], time.perf_counter()
        for number in range(streams):
            ids = tokenizer.apply_chat_template(
                conversation(number), add_generation_prompt=True, return_tensors="pt", return_dict=True
            ).to(device)
            streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
            options = {"do_sample": False, "max_new_tokens": max_tokens, "streamer": streamer}
            made: list[torch.Tensor] = []
            thread = Thread(target=lambda inputs=ids, o=options, m=made: m.append(model.generate(**inputs, **o)))
            thread.start()
            text, first = "", 0.0
            for piece in streamer:
                if piece and not text:
                    first = time.perf_counter() - started
                text += piece
            thread.join()
            num_prompt = ids["input_ids"].shape[1]
            seconds = time.perf_counter() - started
            found.append(Answer(text, num_prompt, made[0].shape[1] - num_prompt, first, seconds))
        answers["plain loop"] = [answer.text for answer in found]
        rows.append(_row("plain loop", streams, found, found[-1].seconds, memory_mib(os.getpid(), "VmHWM")))
    return rows


def _print(rows: Sequence[Row]) -> None:
    print("\n| | streams | tokens/s | first token, median | p95 | peak MiB |\n|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.side} | {row.streams} | {row.tokens_a_second:.1f} | {row.first_median:.2f} s | "
            f"{row.first_p95:.2f} s | {row.peak_mib:,.0f} |"
        )
