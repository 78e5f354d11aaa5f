"""The model's own answers in, preference pairs out: sample, drop, pair, judge in both orders, keep what is consistent.

`samples.jsonl` is written before anything is judged: a run that is killed later does not sample again. Pairs of one
prompt all go to `preferences.jsonl` or all to `held_out.jsonl`.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import DataError
from seallm.base.files import read_json_lines, write_json, write_json_lines
from seallm.base.records import Conversation, Message, Preference, is_held_out, read_conversations, write_preferences
from seallm.base.runtime import progress, seed_everything
from seallm.languages import load_languages
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.model.generation import SamplingSettings, generate
from seallm.prefer.answers import reason_to_drop
from seallm.prefer.figures import Tally, judge_accuracy, total
from seallm.prefer.judge import Judgement, Pair, calibrate, judge_pairs
from seallm.prefer.prompts import Prompt, choose_prompts, other_answer
from seallm.recipe import Prefer

JUDGING_TOKENS = 256  # a usual judging prompt: a batch of sequences in tokens
PAIRS_AT_ONCE = 256
PROMPTS_AT_ONCE = 256  # prompts between two steps of the progress bar; batches are made of similar lengths within
Sample = dict[str, Any]


def run(settings: Prefer, context: StageContext) -> None:
    """Make preference pairs with the newest model of the run.

    Raises:
        DataError: no conversation can be used.
        ModelError: the model is incomplete, or was not made for conversations.
    """
    seed_everything(context.seed)
    conversations, bad = _read(context.conversations(settings.conversations, "sft"))
    prompts, left_out = choose_prompts(conversations, context.languages, settings.max_prompts, context.seed)
    if not prompts:
        raise DataError(
            f"[prefer] conversations has no usable conversation in {', '.join(context.languages)} "
            f"({len(bad)} bad rows{', the first: ' + bad[0] if bad else ''})"
        )
    folder = context.inputs["model"] / "model"
    model, chat = load_model(folder, context.runtime), ChatFormat(load_tokenizer(folder))
    samples_path = context.out / "samples.jsonl"
    if not samples_path.is_file():
        with timed(context.timings, "sampling_seconds"):
            write_json_lines(samples_path, _sample(model, chat, prompts, settings, context))
    samples = [row for _, row in read_json_lines(samples_path) if isinstance(row, dict)]
    pairs = list(_pairs(samples))
    known = [
        Pair(p.language, p.question, p.reference, w) for p in prompts if (w := other_answer(p, prompts, context.seed))
    ]
    with timed(context.timings, "judging_seconds"):
        judgements = _judge(model, chat, [*pairs, *known], settings, context)
    own, on_known = judgements[: len(pairs)], judgements[len(pairs) :]
    if settings.calibrate_position:
        own, on_known = calibrate(own), calibrate(on_known)
    sizes = _write(settings, context, pairs, own)
    tallies = _tallies(samples, pairs, own)
    figures = {
        "criteria": settings.criteria,
        "all": total(tallies.values()).figures(),
        "languages": {code: tally.figures() for code, tally in tallies.items()},
        "written": sizes,
        "conversations_left_out": {**left_out, "malformed": len(bad)},
        "position_bias_log_odds": next((j.position_bias for j in own if j is not None), 0.0),
        "judge_accuracy_on_known_pairs": judge_accuracy(known, on_known),
    }
    write_json(context.out / "judgements.json", figures)
    write_json_lines(context.out / "quarantine.jsonl", ({"reason": line} for line in bad))
    context.counts.update(sizes)


def _read(files: Sequence[Path]) -> tuple[list[Conversation], list[str]]:
    """Conversations of all files, and one line for each bad row."""
    good, bad = [], []
    for path in files:
        found, broken = read_conversations(path)
        good += found
        bad += broken
    return good, bad


def _sample(
    model: PreTrainedModel, chat: ChatFormat, prompts: Sequence[Prompt], settings: Prefer, context: StageContext
) -> list[Sample]:
    """Answers to every prompt, each bad one with the reason why it is dropped."""
    languages = load_languages(context.languages)
    room = int(model.config.max_position_embeddings) - settings.max_new_tokens
    ids = [chat.prompt_ids([Message("user", prompt.question)]) for prompt in prompts]
    sampling = SamplingSettings(settings.max_new_tokens, settings.temperature, settings.top_p, context.seed)
    returned: dict[int, list[list[int]]] = {}
    fitting = [n for n, prompt_ids in enumerate(ids) if len(prompt_ids) <= room]
    with progress("sample answers", len(fitting), context.runtime) as task:
        for start in range(0, len(fitting), PROMPTS_AT_ONCE):
            part = fitting[start : start + PROMPTS_AT_ONCE]
            found = generate(
                model,
                [ids[n] for n in part],
                [chat.end_id],
                sampling,
                settings.batch_sequences,
                settings.answers_per_prompt,
                first_prompt=start,
            )
            returned |= zip(part, found, strict=True)
            task.advance(len(part))
    rows = []
    for number, prompt in enumerate(prompts):
        answers: list[dict[str, Any]] = []
        for answer in returned.get(number, []):
            text, ended = chat.decode(answer).strip(), answer[-1] == chat.end_id
            reason = reason_to_drop(text, ended, languages[prompt.language])
            if reason is None and any(text == other["text"] for other in answers):
                reason = "same as another"
            answers.append({"text": text, "dropped": reason})
        rows.append(
            {
                "language": prompt.language,
                "prompt": [{"role": "user", "content": prompt.question}],
                "answers": answers,
                "dropped": None if number in returned else "prompt too long",
            }
        )
    return rows


def _pairs(samples: Sequence[Sample]) -> Iterator[Pair]:
    """Every two good answers to the same prompt."""
    for sample in samples:
        texts = [answer["text"] for answer in sample["answers"] if answer["dropped"] is None]
        for first, second in itertools.combinations(texts, 2):
            yield Pair(sample["language"], sample["prompt"][0]["content"], first, second)


def _judge(
    model: PreTrainedModel, chat: ChatFormat, pairs: Sequence[Pair], settings: Prefer, context: StageContext
) -> list[Judgement | None]:
    judgements: list[Judgement | None] = []
    with progress("judge", len(pairs), context.runtime) as task:
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            judgements += judge_pairs(model, chat, part, settings.criteria, settings.batch_sequences * JUDGING_TOKENS)
            task.advance(len(part))
    return judgements


def _write(
    settings: Prefer, context: StageContext, pairs: Sequence[Pair], judgements: Sequence[Judgement | None]
) -> dict[str, int]:
    """Write the two halves of the preferences; return their sizes."""
    halves: dict[str, list[Preference]] = {"preferences": [], "held_out": []}
    for pair, judgement in zip(pairs, judgements, strict=True):
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


def _tallies(
    samples: Sequence[Sample], pairs: Sequence[Pair], judgements: Sequence[Judgement | None]
) -> dict[str, Tally]:
    tallies: dict[str, Tally] = defaultdict(Tally)
    for sample in samples:
        tally = tallies[sample["language"]]
        tally.prompts += 1
        tally.answers += len(sample["answers"])
        tally.dropped.update(part["dropped"] for part in (sample, *sample["answers"]) if part["dropped"])
    for pair, judgement in zip(pairs, judgements, strict=True):
        tallies[pair.language].add_judgement(pair, judgement)
    return tallies
