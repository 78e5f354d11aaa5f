"""The review page under load: how long it takes to answer, and whether a judgement is ever lost or doubled.

    python benchmarks/review.py [--items 5000] [--annotators 8]

A folder of synthetic items is served by `seallm review` in a process of its own. First one annotator judges a hundred
items alone; then several at once judge all that is left, over HTTP, as fast as they can. Half-way the server is killed
(SIGKILL) and started again, and every tenth judgement is sent twice, as a page does that did not get its answer. In the
end the database must have every judgement that was answered with 200, once, and every item as many as it wants.
"""

import argparse
import base64
import http.client
import json
import platform
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OVERLAP, ALONE_ITEMS, ANSWER_CHARACTERS = 0.2, 100, 800
SYLLABLES = ("ကို", "မြန်", "သည်", "កម្ម", "ភាព", "ข้า", "ที่", "ບໍ່", "nhé", "yang ")


def write_items(folder: Path, count: int) -> None:
    draw = random.Random(0)

    def text() -> str:
        return "".join(draw.choices(SYLLABLES, k=ANSWER_CHARACTERS // 4))

    with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            language = draw.choice(("my", "km", "th", "lo", "vi", "id"))
            if number % 2:
                turns = [{"role": "user", "content": text()[:100]}, {"role": "assistant", "content": text()}]
                row = {"messages": turns, "language": language, "category": "general"}
            else:
                answers = [{"model": name, "text": text()} for name in draw.sample(("base", "sft", "dpo"), 2)]
                row = {"prompt": text()[:100], "language": language, "answers": answers}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


class Served:
    """`seallm review` in a process; it can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "seallm", "review", str(self.folder), "--overlap", str(OVERLAP)]
        command += ["--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"page\s+http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found.group(1))
                return
        raise SystemExit("the server did not start")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Annotator:
    """One person's connection; it tries again where the server is away or busy, as the page does."""

    def __init__(self, served: Served, name: str, seconds: dict[str, list[float]]) -> None:
        self.served, self.name, self.seconds = served, name, seconds
        self.saved: set[tuple[str, str]] = set()  # (item, verdict) that the server said it saved
        self.retries = 0
        self.connection: http.client.HTTPConnection | None = None

    def ask(self, path: str, body: object = None) -> dict:
        headers = {"authorization": "Basic " + base64.b64encode(f"{self.name}:".encode()).decode()}
        data = None if body is None else json.dumps(body).encode()
        while True:
            start = time.perf_counter()
            try:
                self.connection = self.connection or http.client.HTTPConnection(
                    "127.0.0.1", self.served.port, timeout=30
                )
                kind = {"content-type": "application/json"} if data else {}
                self.connection.request("POST" if data else "GET", path, data, {**headers, **kind})
                response = self.connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException):
                self.connection, self.retries = None, self.retries + 1
                time.sleep(0.2)
                continue
            if response.status == 200:
                self.seconds[path.split("/")[-1]].append(time.perf_counter() - start)
                return answer
            if response.status != 503:
                raise SystemExit(f"{path}: {response.status} {answer}")
            self.retries += 1
            time.sleep(0.2)

    def judge_one(self) -> bool:
        item = self.ask("/api/next")["item"]
        if item is None:
            return False
        draw = random.Random(f"{self.name} {item['id']}")
        verdict = draw.choice(("accept", "reject") if item["kind"] == "conversation" else ("left", "right", "tie"))
        for _ in range(2 if draw.random() < 0.1 else 1):
            self.ask("/api/judgements", {"item": item["id"], "verdict": verdict})
        self.saved.add((item["id"], verdict))
        return True


def check(folder: Path, annotators: list[Annotator]) -> None:
    connection = sqlite3.connect(folder / "review" / "review.sqlite")
    stored = dict(connection.execute("SELECT annotator, count(*) FROM judgements GROUP BY annotator").fetchall())
    total = 0
    for one in annotators:
        rows = connection.execute("SELECT item, verdict FROM judgements WHERE annotator = ?", (one.name,)).fetchall()
        items = {item for item, _ in rows}
        lost = [item for item, _ in one.saved if item not in items]
        assert not lost, f"{one.name}: {len(lost)} judgements were lost"
        assert len(rows) == len(items) == len(one.saved) == stored[one.name], one.name
        total += len(rows)
    (history,) = connection.execute("SELECT count(*) FROM history").fetchone()
    (wanted, done, wrong) = connection.execute(
        "SELECT sum(wanted), sum(done), sum(done <> (SELECT count(*) FROM judgements WHERE item = items.id)) FROM items"
    ).fetchone()
    print(
        f"\n{total:,} judgements answered and stored, {history:,} in the history; items want {wanted:,}, have {done:,}"
    )
    assert history == total, "a judgement was doubled"
    assert wrong == 0
    assert done >= wanted
    print("none lost, none doubled")


def line(name: str, seconds: list[float]) -> str:
    ordered = sorted(1000 * s for s in seconds)
    p95, p99 = (ordered[int(share * (len(ordered) - 1))] for share in (0.95, 0.99))
    return (
        f"| {name} | {len(ordered):,} | {statistics.median(ordered):.1f} | {p95:.1f} | {p99:.1f} | {ordered[-1]:.1f} |"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--items", type=int, default=5_000)
    options.add_argument("--annotators", type=int, default=8)
    given = options.parse_args()
    print(f"{given.items:,} items, {given.annotators} annotators; Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_items(folder, given.items)
        start = time.perf_counter()
        served = Served(folder)
        print(f"start of the server with a new folder: {time.perf_counter() - start:.1f} s")
        try:
            measure(folder, served, given.items, given.annotators)
        finally:
            served.kill()


def measure(folder: Path, served: Served, items: int, count: int) -> None:
    alone: dict[str, list[float]] = {"next": [], "judgements": []}
    together: dict[str, list[float]] = {"next": [], "judgements": []}
    first = Annotator(served, "annotator 0", alone)
    for _ in range(ALONE_ITEMS):
        first.judge_one()
    first.seconds = together
    annotators = [first, *(Annotator(served, f"annotator {number}", together) for number in range(1, count))]
    half = threading.Event()

    def work(one: Annotator) -> None:
        while one.judge_one():
            if sum(len(other.saved) for other in annotators) > items / 2:
                half.set()

    start = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        working = [pool.submit(work, one) for one in annotators]
        while not half.wait(0.1) and not all(future.done() for future in working):
            pass
        served.kill()
        served.start()
        for future in working:
            future.result()
    seconds = time.perf_counter() - start
    judged = sum(len(one.saved) for one in annotators)
    print("\n| request | n | median ms | p95 | p99 | max |\n|---|---|---|---|---|---|")
    for who, found in (("alone", alone), (f"{count} at once", together)):
        for name, values in found.items():
            print(line(f"{name}, {who}", values))
    retries = sum(one.retries for one in annotators)
    print(f"\n{judged / seconds:,.0f} judgements/s at once; the server was killed once; {retries} requests repeated")
    check(folder, annotators)


if __name__ == "__main__":
    main()
