"""A conversation's second turn after a history of about 1,000 tokens: time to first token."""

import statistics
from pathlib import Path
from typing import Any

from benchmarks.serving.sides import BATCHING, Side, ask, ours, running, theirs

SENTENCE = "On day {} the boats left the harbour of {} early, and came back with fish, rice, salt and letters. "
PLACES = ("Vientiane", "Yangon", "Manila", "Phnom Penh", "Da Nang")


def run(model: Path, device: str, conversations: int) -> dict[str, Any]:
    """Measure every side."""
    sides = {
        "seallm serve": (ours(model, device), None),
        "seallm serve, nothing kept": (ours(model, device, "--prefix-gib", "0"), None),
        "transformers serve, continuous batching": (theirs(model, device, *BATCHING), str(model)),
    }
    found: dict[str, Any] = {}
    for name, (command, called) in sides.items():
        with running(name, command, called) as side:
            ask(side, [{"role": "user", "content": "Hello"}], 4)
            pairs = [_turns(side, number) for number in range(conversations)]
        first, second, history = (list(column) for column in zip(*pairs, strict=True))
        found[name] = {
            "first_turn_seconds": statistics.median(first),
            "second_turn_seconds": statistics.median(second),
            "history_tokens": statistics.median(history),
        }
        print(f"  {name}: {found[name]}", flush=True)
    kept, lost = (found[name]["second_turn_seconds"] for name in list(sides)[:2])
    print(f"\nsecond turn, with reuse {kept:.3f} s, without {lost:.3f} s: {lost / kept:.1f} times shorter")
    return found


def _turns(side: Side, number: int) -> tuple[float, float, int]:
    story = "".join(SENTENCE.format(day, PLACES[number % len(PLACES)]) for day in range(1, 41))
    messages = [{"role": "user", "content": f"{story}\nSay in one sentence what this is about."}]
    first = ask(side, messages, 16)
    messages += [{"role": "assistant", "content": first.text}, {"role": "user", "content": "And on the last day?"}]
    second = ask(side, messages, 4)
    return first.first_seconds, second.first_seconds, first.num_prompt + first.num_tokens
