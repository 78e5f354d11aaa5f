"""Sampling and judging beside transformers: `generate` for the answers, and for verdicts that are written out.

Same weights, prompts, number and length of answers, batch size and threads; both sides judge the same pairs in both
orders. The sides take turns, block of prompts by block, so that a busy machine slows both alike. A written verdict is
VERDICT_TOKENS long, or, where the judge says why first, REASON_TOKENS. What seallm reads off is compared with one plain
forward for each prompt (tolerance TOLERANCE nats on log-odds).
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.preference.known_pairs import LANGUAGES, known_pairs
from benchmarks.training.tables import print_table
from seallm.base.records import Message
from seallm.base.runtime import Runtime
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.model.generation import SamplingSettings, generate
from seallm.model.judge_format import load_template, verdict_ids
from seallm.prefer.judge import Pair, Words, likelihood_scores, verdict_scores

ANSWERS, ANSWER_TOKENS, BATCH = 4, 32, 16
VERDICT_TOKENS, REASON_TOKENS = 4, 64
TOLERANCE = 1e-3
BATCH_TOKENS = 4_096


class Clock:
    """Seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def run(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


def run(name: str, stage: Path, blocks: int, threads: int) -> dict[str, Any]:
    """Measure and print; each block is one prompt a language."""
    folder = stage / "model"
    model, chat = load_model(folder, Runtime(device="cpu", threads=threads)), ChatFormat(load_tokenizer(folder))
    chat.tokenizer.padding_side = "left"
    questions = [k for k in known_pairs(lambda t: len(chat.encode_text(t)), 0, blocks)[1] if k.kind == "corrupted"]
    by_language = {code: [k.question for k in questions if k.language == code] for code in LANGUAGES}
    templates = {code: load_template("en") for code in LANGUAGES}
    words = Words({code: template.criteria for code, template in templates.items()}, templates)
    clock, worst, count = Clock(), 0.0, 0
    for number in range(blocks):
        asked = [(code, own[number]) for code, own in by_language.items() if number < len(own)]
        prompts = [chat.prompt_ids((Message("user", question),)) for _, question in asked]
        with clock.run("seallm: answers"):
            sampling = SamplingSettings(ANSWER_TOKENS, 1.0, 0.95, number)
            answers = generate(model, prompts, [chat.end_id], sampling, BATCH, ANSWERS)
        with clock.run("transformers: answers"):
            _theirs(model, chat, prompts, ANSWER_TOKENS, ANSWERS)
        pairs = [
            Pair(code, question, chat.decode(a).strip() or "-", chat.decode(b).strip() or "-")
            for (code, question), own in zip(asked, answers, strict=True)
            for a, b in itertools.combinations(own, 2)
        ]
        count += len(pairs)
        with clock.run("seallm: verdicts"):
            scores = verdict_scores(model, chat, pairs, words, BATCH_TOKENS)
        with clock.run("seallm: likelihoods"):
            likelihood_scores(model, chat, pairs, BATCH_TOKENS)
        for title, tokens in (("verdicts", VERDICT_TOKENS), ("reasons and verdicts", REASON_TOKENS)):
            with clock.run(f"transformers: {title}"):
                orders = [chat.prompt_ids(words.messages(p, swapped=s)) for p in pairs for s in (False, True)]
                _theirs(model, chat, orders, tokens, 1)
        worst = max(worst, _worst(model, chat, orders[:12], scores[:6], verdict_ids(chat, templates["en"])))
    return _report(name, clock.seconds, count, worst)


def _theirs(model: Any, chat: ChatFormat, prompts: list[list[int]], tokens: int, answers: int) -> None:
    """Batches of similar length through transformers' own generate."""
    ordered = sorted(prompts, key=len)
    sampling: dict[str, Any] = {"do_sample": True, "top_p": 0.95} if answers > 1 else {"do_sample": False}
    size = BATCH // answers
    for some in (ordered[start : start + size] for start in range(0, len(ordered), size)):
        longest = max(map(len, some))
        ids = torch.tensor([[chat.end_id] * (longest - len(p)) + p for p in some])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in some])
        with torch.inference_mode():
            model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=tokens,
                num_return_sequences=answers,
                eos_token_id=chat.end_id,
                pad_token_id=chat.end_id,
                **sampling,
            )


def _worst(
    model: Any, chat: ChatFormat, prompts: list[list[int]], scores: list[Any], verdicts: tuple[int, int]
) -> float:
    """Largest difference of log-odds from those of plain forwards."""
    found = [s[key] for s in scores for key in ("forward", "swapped")]
    plain = []
    for prompt in prompts:
        with torch.inference_mode():
            logits = model(torch.tensor([prompt]), use_cache=False).logits[0, -1]
        plain.append(float(logits[verdicts[0]] - logits[verdicts[1]]))
    return max(abs(a - b) for a, b in zip(found, plain, strict=True))


def _report(name: str, seconds: dict[str, float], pairs: int, worst: float) -> dict[str, Any]:
    speeds = {what: pairs / s for what, s in seconds.items()}
    ours, theirs = seconds["seallm: answers"], seconds["transformers: answers"]
    whole = {
        "judging, verdicts beside written ones": seconds["transformers: verdicts"] / seconds["seallm: verdicts"],
        "judging, verdicts beside reasons": seconds["transformers: reasons and verdicts"] / seconds["seallm: verdicts"],
        "judging, likelihoods beside written verdicts": seconds["transformers: verdicts"]
        / seconds["seallm: likelihoods"],
        "judging, likelihoods beside reasons": seconds["transformers: reasons and verdicts"]
        / seconds["seallm: likelihoods"],
        "sampling": theirs / ours,
        "sampling and judging, likelihoods beside written verdicts": (theirs + seconds["transformers: verdicts"])
        / (ours + seconds["seallm: likelihoods"]),
        "sampling and judging, verdicts beside reasons": (theirs + seconds["transformers: reasons and verdicts"])
        / (ours + seconds["seallm: verdicts"]),
    }
    rows = [[what, f"{seconds[what]:.1f}", f"{speed:.2f}"] for what, speed in speeds.items()]
    shape = f"{pairs} pairs, {ANSWERS} answers of {ANSWER_TOKENS} tokens a prompt, batches of {BATCH}"
    print_table(("", "seconds", "pairs/s"), rows, f"{name}: {shape}")
    print_table(("faster by", "times"), [[what, f"{x:.1f}"] for what, x in whole.items()], f"{name}: what it shows")
    print(f"\nLog-odds of verdicts differ from plain forwards by at most {worst:.1e} nats; tolerance {TOLERANCE:g}")
    assert worst < TOLERANCE, worst
    return {
        "pairs": pairs,
        "seconds": seconds,
        "pairs_per_second": speeds,
        "faster_by": whole,
        "largest_difference": worst,
    }
