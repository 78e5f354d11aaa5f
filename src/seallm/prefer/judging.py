"""Samples in, judged pairs out: the model's own, pairs whose better answer is known, and pairs that people judged.

Known pairs set a conversation's own answer against the answer to another question of the same language. Scores are
written in parts, each complete or absent, under a key of the words and the pairs: a killed run goes on with the next
part, and another margin needs no new judging.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError
from seallm.base.files import fingerprint, write_json_lines
from seallm.base.records import Message, read_preferences
from seallm.base.runtime import progress
from seallm.model.chat_format import ChatFormat
from seallm.model.generation import SamplingSettings, generate
from seallm.model.judge_format import ENGLISH, JudgeTemplate, load_template, read_template
from seallm.prefer.judge import (
    Judgement,
    Pair,
    Scale,
    Scores,
    Words,
    calibrated_margin,
    fit_scale,
    likelihood_scores,
    verdict_scores,
)
from seallm.prefer.prompts import Prompt, other_answers
from seallm.prefer.sampling import PARTS, SELF, Sample, rows_of
from seallm.recipe import Prefer

OWN, KNOWN, GOLD = "own", "known", "gold"
PAIRS_AT_ONCE = 256
JUDGING_TOKENS = 256  # a usual judging prompt: a batch of sequences in tokens


@dataclass(frozen=True)
class JudgedPair:
    """A pair with its judgement; of a known or gold one the first answer is the better.

    Attributes:
        kind: OWN, KNOWN or GOLD.
        judgement: None where the pair is too long for the model.
        reason: why the better one is better, in the model's words.
    """

    kind: str
    pair: Pair
    scores: Scores | None
    judgement: Judgement | None
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """As it stands in pairs.jsonl."""
        judgement = self.judgement
        return {
            "kind": self.kind,
            "language": self.pair.language,
            "question": self.pair.question,
            "first": self.pair.first,
            "second": self.pair.second,
            "by": list(self.pair.by),
            "scores": self.scores,
            "margin": None if judgement is None else round(judgement.margin, 6),
            "outcome": "too long" if judgement is None else judgement.outcome,
            **({"reason": self.reason} if self.reason else {}),
        }


@dataclass(frozen=True)
class Judged:
    """All pairs of a run, judged.

    Attributes:
        least_margin: of a pair that is kept.
        is_reached: whether the judge is as good on known pairs as was wanted; None where the margin was given.
    """

    pairs: list[JudgedPair]
    scale: Scale
    least_margin: float
    is_reached: bool | None

    def of(self, kind: str) -> list[JudgedPair]:
        """The pairs of a kind."""
        return [judged for judged in self.pairs if judged.kind == kind]


def judge_all(
    model: PreTrainedModel,
    chat: ChatFormat,
    samples: Sequence[Sample],
    prompts: Sequence[Prompt],
    gold: Sequence[Pair],
    settings: Prefer,
    context: StageContext,
) -> Judged:
    """Judge the answers that were not dropped, known pairs, and those that people judged."""
    known = [
        Pair(p.language, p.question, p.reference, wrong)
        for p, wrong in zip(prompts, other_answers(prompts, context.seed), strict=True)
        if wrong
    ]
    kinds = {OWN: list(own_pairs(samples)), KNOWN: known, GOLD: gold}
    pairs = [(kind, pair) for kind, own in kinds.items() for pair in own]
    words = judging_words(settings, context)
    scores = _scores(model, chat, [pair for _, pair in pairs], words, settings, context)
    scale = fit_scale(scores, calibrate_position=settings.calibrate_position)
    on_known = [scale.judgement(s) for (kind, _), s in zip(pairs, scores, strict=True) if kind == KNOWN]
    margin, is_reached = settings.min_margin, None
    if margin is None:
        margin = calibrated_margin(on_known, settings.wanted_accuracy)
        margin, is_reached = margin or 0.0, margin is not None
    found = [
        JudgedPair(kind, pair, s, scale.judgement(s, margin)) for (kind, pair), s in zip(pairs, scores, strict=True)
    ]
    return Judged(found, scale, margin, is_reached)


def own_pairs(samples: Sequence[Sample]) -> Iterator[Pair]:
    """Every two good answers to the same prompt, at least one of them the model's own."""
    for sample in samples:
        good = [(answer["text"], answer["by"]) for answer in sample["answers"] if answer["dropped"] is None]
        for (first, by), (second, other) in itertools.combinations(good, 2):
            if SELF in (by, other):
                yield Pair(sample["language"], sample["prompt"][-1]["content"], first, second, (by, other))


def gold_pairs(settings: Prefer, context: StageContext) -> list[Pair]:
    """Pairs that people judged, the better answer first; those of other languages than the run's are left out.

    Raises:
        DataError: files are named and no row can be used.
    """
    good, bad = [], []
    for path in context.files(settings.gold):
        found, broken = read_preferences(path)
        good += found
        bad += broken
    pairs = [
        Pair(p.language or context.languages[0], p.prompt[-1].content, p.chosen[-1].content, p.rejected[-1].content)
        for p in good
    ]
    used = [pair for pair in pairs if pair.language in context.languages]
    if settings.gold:
        context.counts["gold"] = {"used": len(used), "malformed": len(bad), "other languages": len(pairs) - len(used)}
    if settings.gold and not used:
        raise DataError(
            f"[prefer] gold ({settings.gold[0]}, ...) holds no usable pair in {', '.join(context.languages)}"
            f"{'; the first bad row: ' + bad[0] if bad else ''}. Expected rows with prompt, chosen and rejected"
        )
    return used


def judging_words(settings: Prefer, context: StageContext) -> Words:
    """Criteria and template for each language."""
    own = read_template(context.resolve(settings.judge_template)) if settings.judge_template else None
    is_native = settings.judge_language == "native"
    templates: dict[str, JudgeTemplate] = {
        code: own or load_template(code if is_native else ENGLISH) for code in context.languages
    }
    return Words({code: settings.criteria or words.criteria for code, words in templates.items()}, templates)


def _scores(
    model: PreTrainedModel,
    chat: ChatFormat,
    pairs: Sequence[Pair],
    words: Words,
    settings: Prefer,
    context: StageContext,
) -> list[Scores | None]:
    asked = {code: [words.criteria[code], words.templates[code].model_dump()] for code in words.templates}
    key = fingerprint([settings.judge, asked, [[p.language, p.question, p.first, p.second] for p in pairs]])[:16]
    batch_tokens = settings.batch_sequences * JUDGING_TOKENS
    found: list[Scores | None] = []
    with progress("judge", len(pairs), context.runtime) as task:
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part, path = pairs[start : start + PAIRS_AT_ONCE], context.out / PARTS / f"scores.{key}.{start:08d}.jsonl"
            if not path.is_file():
                if settings.judge == "verdict":
                    scores = verdict_scores(model, chat, part, words, batch_tokens)
                else:
                    scores = likelihood_scores(model, chat, part, batch_tokens)
                write_json_lines(path, ({"scores": s} for s in scores))
            found += (row["scores"] for row in rows_of(path))
            task.advance(len(part))
    return found


def write_reasons(
    model: PreTrainedModel,
    chat: ChatFormat,
    judged: Sequence[JudgedPair],
    settings: Prefer,
    context: StageContext,
) -> list[JudgedPair]:
    """The same pairs; those that are kept with a reason in the model's words for the better answer."""
    words = judging_words(settings, context)
    kept = [n for n, j in enumerate(judged) if j.judgement and j.judgement.outcome in ("first", "second")]
    positions = int(model.config.get_text_config(decoder=True).max_position_embeddings)
    prompts: dict[int, list[int]] = {}
    for number in kept:
        pair, judgement = judged[number].pair, judged[number].judgement
        template = words.templates[pair.language]
        verdict = template.verdicts[0 if judgement and judgement.outcome == "first" else 1]
        why = (Message("assistant", verdict), Message("user", template.reason))
        ids = chat.prompt_ids((*words.messages(pair), *why))
        if len(ids) + settings.reason_tokens <= positions:
            prompts[number] = ids
    sampling = SamplingSettings(settings.reason_tokens, temperature=0.0)
    found = generate(model, list(prompts.values()), [chat.end_id], sampling, settings.batch_sequences)
    reasons = {number: chat.decode(ids).strip() for number, (ids,) in zip(prompts, found, strict=True)}
    return [replace(j, reason=reasons.get(number, "")) for number, j in enumerate(judged)]
