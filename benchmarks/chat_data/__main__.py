"""Measure the checks of instruction data.

    python -m benchmarks.chat_data --data ../shared/data

    categories  the rules' categories against 150 prompts labelled by hand (labels.tsv: file, row, category)
    faults      faults of seven kinds planted among sound conversations: the share that is dropped for the right reason
    speed       rows a second of import, and of import with checks and search for copies, one process

Everything is printed and written to OUT/chat_data.json.
"""

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.chat_data.planted import LANGUAGES, measure_faults
from seallm.base.interval import wilson
from seallm.base.records import read_conversations
from seallm.base.runtime import Runtime
from seallm.chat_data.categories import categorise
from seallm.chat_data.conversation_table import to_table
from seallm.chat_data.importing import SourceFile, import_file
from seallm.chat_data.preparing import prepare
from seallm.recipe_instructions import Instructions, InstructionSource

LABELS = Path(__file__).with_name("labels.tsv")
QUIET = Runtime(workers=1, show_progress=False)
PARTS = ("categories", "faults", "speed")


def measure_categories(data: Path) -> dict[str, Any]:
    """Share of the labelled prompts whose category the rules find."""
    labels = [line.split("\t") for line in LABELS.read_text(encoding="utf-8").splitlines()]
    chats = {code: read_conversations(data / "chat" / f"{code}.jsonl")[0] for code in {code for code, _, _ in labels}}
    table = to_table([(f"{code}:{row}", replace(chats[code][int(row) - 1], language=code)) for code, row, _ in labels])
    pairs = list(zip((label for _, _, label in labels), categorise(table).tolist(), strict=True))
    right = sum(label == found for label, found in pairs)
    low, high = wilson(right, len(pairs))
    print(f"all: {right} of {len(pairs)} right, {right / len(pairs):.3f} ({low:.3f} to {high:.3f})")
    rows: dict[str, Any] = {"n": len(pairs), "right": right, "low": low, "high": high}
    for name in sorted({label for label, _ in pairs}):
        found = Counter(answer for label, answer in pairs if label == name)
        claimed = sum(answer == name for _, answer in pairs)
        print(f"{name:<20} {found[name]} of {found.total()} found, {found[name]} of {claimed} claimed are right")
        rows[name] = {"labelled": found.total(), "found": found[name], "claimed": claimed}
    return rows


def measure_speed(data: Path, copies: int) -> dict[str, Any]:
    """Rows a second over the chat data written several times, each time with other numbers in it."""
    lines = [line for path in sorted((data / "chat").glob("*.jsonl")) for line in path.open(encoding="utf-8")]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        path = work / "all.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for copy in range(copies):
                file.writelines(re.sub(r'"}\]', f' {copy}{number}"}}]', line) for number, line in enumerate(lines))
        settings = Instructions(sources=[InstructionSource(files=["-"])])
        small = work / "small.jsonl"
        small.write_text("".join(lines[:50]), encoding="utf-8")
        (work / "warm").mkdir()
        prepare([SourceFile(small, "s.jsonl")], settings, [], LANGUAGES, work, work / "warm", QUIET)  # compile first
        whole_folder = work / "whole"
        whole_folder.mkdir()
        file = SourceFile(path, "all.jsonl")
        imported = _seconds(lambda: import_file(file, work / "only.json"))
        whole = _seconds(lambda: prepare([file], settings, [], LANGUAGES, work, whole_folder, QUIET))
        megabytes = path.stat().st_size / 1e6
    rows = copies * len(lines)
    print(f"{rows:,} rows, {megabytes:.0f} MB; rows a second by the clock, and by the processor's time of the process")
    found: dict[str, Any] = {"rows": rows, "megabytes": megabytes}
    for name, seconds in (("import", imported), ("import and checks", whole)):
        found[name] = {"clock": rows / seconds[0], "processor": rows / seconds[1]}
        print(f"{name:<18} {rows / seconds[0]:>7,.0f} {rows / seconds[1]:>7,.0f}")
    return found


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chat_data", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; absent: all")
    parser.add_argument("--data", type=Path, required=True, help="folder with chat/ and bench/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="working folder")
    parser.add_argument("--faults", type=int, default=300, help="faults of each kind")
    parser.add_argument("--copies", type=int, default=4, help="how often the data is written for `speed`")
    parser.add_argument("--seed", type=int, default=1, help="of the planted faults")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for part in arguments.parts or PARTS:
        print(f"\n== {part}", flush=True)
        if part == "categories":
            results[part] = measure_categories(arguments.data)
        elif part == "faults":
            results[part] = measure_faults(arguments.data, arguments.faults, arguments.seed)
        else:
            results[part] = measure_speed(arguments.data, arguments.copies)
        (arguments.out / "chat_data.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
