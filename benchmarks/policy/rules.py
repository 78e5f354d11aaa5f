"""Answers of which it is known what they do in; how often the rules say the same out."""

import argparse
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines
from seallm.base.interval import wilson
from seallm.policies.refusals import judge_wording

WRITTEN = ("answers", "answers_unseen")
REAL = Path("../shared/data/safety")
HARMFUL = ("Harmful", "Berbahaya", "အန္တရာယ်ရှိ", "อันตราย", "Mapahamak", "Có hại")  # labels of SEA-SafeguardBench


def run(_: argparse.Namespace) -> dict[str, Any]:
    """Both parts; the second only where the data are."""
    found = {name: _written(Path(__file__).with_name(f"{name}.toml")) for name in WRITTEN}
    if REAL.is_dir():
        found["SEA-SafeguardBench"] = _real()
    return found


def _written(file: Path) -> dict[str, Any]:
    kinds = tomllib.loads(file.read_text(encoding="utf-8"))
    rows = [(code, kind, text) for code, of in kinds.items() for kind, texts in of.items() for text in texts]
    counts = Counter((kind, judge_wording(text, code)) for code, kind, text in rows)
    print(f"\n{file.stem}: {len(rows)} answers in {len(kinds)} languages; what they do, then what the rules say")
    verdicts = ("refusal", "partial", "answer")
    for kind in verdicts:
        print(f"  {kind:<8}" + "".join(f"{verdict:>10} {counts[kind, verdict]:>3}" for verdict in verdicts))
    right = {code: share([judge_wording(t, c) == k for c, k, t in rows if c == code]) for code in kinds}
    whole = share([judge_wording(text, code) == kind for code, kind, text in rows])
    print(f"  right: {share_text(whole)}   " + "  ".join(f"{code} {r['value']:.2f}" for code, r in right.items()))
    return {"all": whole, "languages": right, "counts": {f"{k} read as {v}": n for (k, v), n in counts.items()}}


def _real() -> dict[str, Any]:
    """Real answers are labelled safe or harmful, not as refusals: none that is harmful should be read as one."""
    kinds: dict[str, list[bool]] = {}
    for file in sorted(REAL.glob("seasafeguard_*.jsonl")):
        for _, row in read_json_lines(file):
            if not isinstance(row, DataError) and "response_label" in row:
                prompt, answer = (row[key] in HARMFUL for key in ("prompt_label", "response_label"))
                kind = f"{'harmful' if prompt else 'safe'} prompt, {'harmful' if answer else 'safe'} answer"
                verdict = judge_wording(row["response_text"], row["lang"])
                kinds.setdefault(kind, []).append(verdict == "refusal")
    print("\nSEA-SafeguardBench: share of the answers that the rules read as refusals")
    shares = {kind: share(hits) for kind, hits in sorted(kinds.items())}
    for kind, found in shares.items():
        print(f"  {kind:<30} {share_text(found)}")
    return shares


def share(hits: list[bool]) -> dict[str, float]:
    """A share with its interval."""
    low, high = wilson(sum(hits), len(hits))
    return {"value": sum(hits) / len(hits), "n": len(hits), "low": low, "high": high}


def share_text(found: dict[str, float]) -> str:
    """As it is printed."""
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}], n = {found['n']:.0f}"
