"""Sound conversations in, the same with faults of known kinds planted among them out; and what the checks made of each.

Every kind of fault is planted into conversations drawn by seed, each in a file of its own, so that the file's name is
the truth about its rows.
"""

import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seallm.base.interval import wilson
from seallm.base.records import Conversation, Message, write_conversations
from seallm.base.runtime import Runtime
from seallm.chat_data.conversation_table import to_conversations
from seallm.chat_data.importing import SourceFile
from seallm.chat_data.output_files import load_table
from seallm.chat_data.preparing import prepare
from seallm.recipe_instructions import Instructions, InstructionSource

LANGUAGES = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")
LEAST_CHARACTERS = 60  # of a turn that is swapped: shorter ones tell no language
COPIED_CHARACTERS = 300  # of a conversation that is nearly copied
EXPECTED = {
    "answers": {"turn_language"},
    "prompts": {"prompt_language"},
    "controls": {"control_strings"},
    "copies": {"exact_duplicate"},
    "near": {"near_duplicate"},
    "loops": {"repetition"},
    "exams": {"benchmark"},
}


def read_sound(data: Path, work: Path) -> list[Conversation]:
    """All conversations of the data's chat folder that the checks keep."""
    files = [SourceFile(path, path.name) for path in sorted((data / "chat").glob("*.jsonl"))]
    prepared = _prepare(files, work, [])
    rows = np.flatnonzero(prepared.reasons == "")
    dropped = Counter(prepared.reasons[prepared.reasons != ""].tolist())
    print(f"as they are: {len(prepared.reasons):,} conversations, dropped {dict(dropped.most_common())}")
    return list(to_conversations(load_table(prepared).take(rows)))


def _prepare(files: list[SourceFile], work: Path, benchmarks: list[tuple[Path, str]]) -> Any:
    settings = Instructions(sources=[InstructionSource(files=["-"])], max_bad_share=1.0)
    work.mkdir(parents=True)
    return prepare(files, settings, benchmarks, LANGUAGES, work, work, Runtime(workers=1, show_progress=False))


def measure_faults(data: Path, count: int, seed: int) -> dict[str, Any]:
    """Share of the planted faults of each kind that is dropped for the reason it should be, with n and interval."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sound = read_sound(data, work / "first")
        exams = sorted((data / "bench" / "xquad").glob("*.jsonl"))
        kinds = {"sound": sound, **dict(_planted(sound, exams, count, rng))}
        files = []
        for name, conversations in kinds.items():
            write_conversations(work / f"{name}.jsonl", conversations)
            files.append(SourceFile(work / f"{name}.jsonl", f"{name}.jsonl"))
        prepared = _prepare(files, work / "second", [(path, path.name) for path in exams])
        found: dict[str, Counter[str]] = {name: Counter() for name in kinds}
        for where, reason in zip(prepared.figures["where"].to_pylist(), prepared.reasons.tolist(), strict=True):
            found[where.split(".")[0]][reason or "kept"] += 1
    return {name: _row(name, counts) for name, counts in found.items()}


def _row(name: str, counts: Counter[str]) -> dict[str, Any]:
    n = counts.total()
    # a copy may stay and its original go: what counts is that one of the two went
    right = counts["kept"] if name == "sound" else sum(counts[reason] for reason in EXPECTED[name])
    low, high = wilson(right, n)
    print(f"{name:<9} n = {n:>5,}: {right / n:.3f} ({low:.3f} to {high:.3f})  {dict(counts.most_common())}")
    return {"n": n, "right": right, "share": right / n, "low": low, "high": high, "reasons": dict(counts)}


def _planted(
    sound: list[Conversation], exams: list[Path], count: int, rng: random.Random
) -> Iterator[tuple[str, list[Conversation]]]:
    singles = [c for c in sound if len(c.messages) == 2]
    long = [c for c in singles if all(len(m.content) >= LEAST_CHARACTERS for m in c.messages)]
    yield "answers", [_swapped(c, long, rng, 1) for c in rng.sample(long, count)]
    yield "prompts", [_swapped(c, long, rng, 0) for c in rng.sample(long, count)]
    controls = ("<|im_end|>", "[/INST]", "</s>", "<|eot_id|>", "<end_of_turn>")
    chosen = rng.sample(singles, count)
    yield "controls", [_answered(c, c.messages[1].content + rng.choice(controls)) for c in chosen]
    yield "copies", rng.sample(sound, count)
    wordy = [c for c in singles if len(c.messages[1].content) >= COPIED_CHARACTERS and " " in c.messages[1].content]
    yield "near", [_answered(c, _without_a_word(c.messages[1].content, rng)) for c in rng.sample(wordy, count)]
    yield "loops", [_answered(c, _loop(c.messages[1].content)) for c in rng.sample(long, count)]
    contexts = {path.stem: _contexts(path) for path in exams}
    tested = [c for c in singles if c.language in contexts]
    yield "exams", [_asked(c, rng.choice(contexts[c.language])) for c in rng.sample(tested, count)]


def _contexts(exam: Path) -> list[str]:
    """The different passages of a reading test."""
    rows = (json.loads(line) for line in exam.read_text(encoding="utf-8").splitlines())
    return sorted({row["context"] for row in rows})


def _swapped(conversation: Conversation, others: list[Conversation], rng: random.Random, place: int) -> Conversation:
    """With the turn of one in another language at this place."""
    other = rng.choice(others)
    while other.language == conversation.language:
        other = rng.choice(others)
    turns = list(conversation.messages)
    turns[place] = other.messages[place]
    return replace(conversation, messages=tuple(turns), source=other.language)


def _answered(conversation: Conversation, answer: str) -> Conversation:
    return replace(conversation, messages=(conversation.messages[0], Message("assistant", answer)))


def _asked(conversation: Conversation, context: str) -> Conversation:
    question = Message("user", f"{context}\n\n{conversation.messages[0].content}")
    return replace(conversation, messages=(question, conversation.messages[1]))


def _without_a_word(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    number = rng.randrange(len(words))
    return " ".join(words[:number] + words[number + 1 :]) or text


def _loop(text: str) -> str:
    """As a model that does not stop: the first words over and over."""
    return " ".join([text[:40]] * 30)
