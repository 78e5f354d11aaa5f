"""Real prompts in, the speed of the novelty filter and of rouge-score on the same pairs out."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

from seallm.chat_data.novelty import NoveltyPool

ASKED = 50
PEER_POOL = 200  # rouge-score would take minutes for all


def measure_novelty(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    found = [_measure(arguments.data, code) for code in ("en", "vi", "th", "zh", "km", "my")]
    for row in found:
        print(
            f"{row['language']}: pool of {row['pool']:,}, {row['pairs_per_second']:,.0f} pairs/s, rouge-score "
            f"{row['peer_pairs_per_second']:,.0f}; largest difference {row['largest_difference']}"
        )
    return found


def _measure(data: Path, code: str) -> dict[str, Any]:
    lines = (data / "chat" / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line)["messages"][0]["content"] for line in lines]
    asked, pool = prompts[:ASKED], prompts[ASKED:]
    novelty = NoveltyPool(pool)
    novelty.closest(asked[0])  # compiles
    start = time.perf_counter()
    for text in asked:
        novelty.closest(text)
    seconds = time.perf_counter() - start
    scorer = RougeScorer(["rougeL"])
    start = time.perf_counter()
    theirs = [max(scorer.score(other, text)["rougeL"].fmeasure for other in pool[:PEER_POOL]) for text in asked[:10]]
    peer_seconds = time.perf_counter() - start
    small = NoveltyPool(pool[:PEER_POOL])
    differences = [abs(small.closest(t).similarity - theirs[n]) for n, t in enumerate(asked[:10])]
    return {
        "language": code,
        "pool": len(pool),
        "pairs_per_second": len(asked) * len(pool) / seconds,
        "peer_pairs_per_second": 10 * min(PEER_POOL, len(pool)) / peer_seconds,
        # rouge-score keeps a-z and 0-9 alone: it sees nothing of other scripts, and digits differ there
        "largest_difference": round(max(differences), 3) if code == "en" else "-",
    }
