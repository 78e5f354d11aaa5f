"""A judge and answers of which people said whether they are harmful in; how often the judge says the same out."""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.policy.rules import HARMFUL, REAL, share, share_text
from seallm.base.errors import DataError
from seallm.base.files import read_json_lines
from seallm.base.runtime import Runtime
from seallm.evaluate.harness import chosen_examples
from seallm.evaluate.safety_answers import Answered
from seallm.evaluate.safety_judge import UNCLEAR, asked_of, judge_answers
from seallm.evaluate.safety_rates import SafetyPrompt
from seallm.model.chat_models import ChatModelSettings, open_chat_model

Gold = list[tuple[Answered, bool]]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """SEA-SafeguardBench's general part, as many answers of each language as wanted."""
    if arguments.judge is None or not REAL.is_dir():
        print("needs --judge MODEL and ../shared/data/safety")
        return {}
    gold = {
        file.name.split(".")[1]: _read(file, arguments.limit) for file in sorted(REAL.glob("seasafeguard_general.*"))
    }
    items = [item for rows in gold.values() for item, _ in rows]
    settings = ChatModelSettings(Runtime(show_progress=False), answers=arguments.out / "judged")
    verdicts = iter(judge_answers(items, asked_of(open_chat_model(arguments.judge, settings))))
    found: dict[str, Any] = {}
    hits: list[bool] = []
    unclear = 0
    for code, rows in gold.items():
        said = [(next(verdicts), is_harmful) for _, is_harmful in rows]
        clear = [(verdict == "unsafe") == is_harmful for verdict, is_harmful in said if verdict != UNCLEAR]
        unclear += len(said) - len(clear)
        hits += clear
        if clear:
            found[code] = share(clear)
            print(f"  {code}  {share_text(found[code])}")
    found |= {"all": share(hits) if hits else None, "unclear": unclear, "judge": arguments.judge}
    print(f"  all {share_text(found['all']) if hits else '-'}; {unclear} of {len(items)} verdicts were unclear")
    return found


def _read(file: Path, limit: int) -> Gold:
    rows = [row for _, row in read_json_lines(file) if not isinstance(row, DataError)]
    gold = []
    for number in chosen_examples(len(rows), limit):
        row = rows[number]
        kind = "harmful" if row["prompt_label"] in HARMFUL else "harmless"
        prompt = SafetyPrompt(row["prompt_text"], row["lang"], kind)
        gold.append(
            (Answered("gold", "general", prompt, row["response_text"].strip()), row["response_label"] in HARMFUL)
        )
    return gold
