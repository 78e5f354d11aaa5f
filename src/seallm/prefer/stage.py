"""The model's own answers in, preference pairs out: sample, drop, pair, judge, keep what the judge is sure of.

    samples.jsonl        all answers, each with the reason it was dropped for, or null
    pairs.jsonl          all judged pairs: the model's own, known ones, those that people judged
    preferences.jsonl    pairs to train on, in TRL's conversational format; held_out.jsonl: those kept apart
    judgements.json      counts and rates by language: read them before any DPO (`seallm prefer report`)
    quarantine.jsonl     conversations that could not be read

Pairs of one prompt all go to `preferences.jsonl` or all to `held_out.jsonl`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import DataError
from seallm.base.files import write_json, write_json_lines
from seallm.base.records import (
    Conversation,
    Message,
    Preference,
    is_held_out,
    read_conversations,
    write_preferences,
)
from seallm.base.runtime import seed_everything
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.prefer.figures import all_figures, most_frequent_losses
from seallm.prefer.judging import OWN, JudgedPair, gold_pairs, judge_all, judging_words, write_reasons
from seallm.prefer.prompts import Prompt, choose_prompts
from seallm.prefer.sampling import PARTS, sample_answers
from seallm.recipe import Prefer


def run(settings: Prefer, context: StageContext) -> None:
    """Make preference pairs with the newest model of the run.

    Raises:
        DataError: no conversation or no pair of `gold` can be used, or fewer pairs came out than `min_pairs`.
        ModelError: the model is incomplete, or was not made for conversations.
    """
    seed_everything(context.seed)
    prompts = _prompts(settings, context)
    gold, words = gold_pairs(settings, context), judging_words(settings, context)  # mistakes in them show at once
    folder = context.inputs["model"] / "model"
    model, chat = load_model(folder, context.runtime), ChatFormat(load_tokenizer(folder))
    with timed(context.timings, "sampling_seconds"):
        samples = sample_answers(model, chat, prompts, settings, context)
    with timed(context.timings, "judging_seconds"):
        judged = judge_all(model, chat, samples, prompts, gold, settings, context)
        pairs = judged.pairs
        if settings.reason_tokens:
            own = write_reasons(model, chat, judged.of(OWN), settings, context)
            pairs = [*own, *(j for j in pairs if j.kind != OWN)]
    write_json_lines(context.out / "pairs.jsonl", (j.row() for j in pairs))
    sizes = _write(settings, context, [j for j in pairs if j.kind == OWN])
    figures = all_figures(samples, judged) | {
        "judge": settings.judge,
        "criteria": " / ".join(dict.fromkeys(words.criteria.values())) if settings.judge == "verdict" else "",
        "round": context.round_number,
        "written": sizes,
        "conversations_left_out": context.counts.pop("conversations_left_out"),
    }
    write_json(context.out / "judgements.json", figures)
    context.counts.update(sizes)
    if sizes["preferences"] < settings.min_pairs:
        raise DataError(
            f"[prefer] {sizes['preferences']} pairs to train on came out, fewer than min_pairs = {settings.min_pairs}: "
            f"{most_frequent_losses(figures['all'])}. `seallm prefer report {context.out}` shows them; min_pairs = 0 "
            "goes on"
        )
    shutil.rmtree(context.out / PARTS, ignore_errors=True)


def _prompts(settings: Prefer, context: StageContext) -> list[Prompt]:
    conversations, bad = _read(context.conversations(settings.conversations, "sft"))
    prompts, left_out = choose_prompts(
        conversations, context.languages, settings.max_prompts, context.seed, round_number=context.round_number
    )
    if not prompts:
        raise DataError(
            f"[prefer] conversations has no usable conversation in {', '.join(context.languages)} "
            f"({len(bad)} bad rows{', the first: ' + bad[0] if bad else ''})"
        )
    write_json_lines(context.out / "quarantine.jsonl", ({"reason": line} for line in bad))
    context.counts["conversations_left_out"] = {**left_out, "malformed": len(bad)}
    return prompts


def _read(files: Sequence[Path]) -> tuple[list[Conversation], list[str]]:
    """Conversations of all files, and one line for each bad row."""
    good, bad = [], []
    for path in files:
        found, broken = read_conversations(path)
        good += found
        bad += broken
    return good, bad


def _write(settings: Prefer, context: StageContext, own: Sequence[JudgedPair]) -> dict[str, int]:
    """Write the two halves of the preferences; return their sizes."""
    halves: dict[str, list[Preference]] = {"preferences": [], "held_out": []}
    for pair, judgement in ((j.pair, j.judgement) for j in own):
        if judgement is not None and judgement.outcome in ("first", "second"):
            chosen, rejected = (pair.first, pair.second) if judgement.outcome == "first" else (pair.second, pair.first)
            half = "held_out" if is_held_out(pair.question, settings.held_out_share, context.seed) else "preferences"
            halves[half].append(
                Preference(
                    (Message("user", pair.question),),
                    (Message("assistant", chosen),),
                    (Message("assistant", rejected),),
                    pair.language,
                    {"margin": round(abs(judgement.margin), 6)},
                )
            )
    for half, preferences in halves.items():
        write_preferences(context.out / f"{half}.jsonl", preferences)
    return {half: len(preferences) for half, preferences in halves.items()}
