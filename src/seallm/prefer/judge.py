"""Pairs of answers in, judgements out: which answer is better, and by what margin, without writing a word.

verdict      The model is asked which is better, A or B, in both orders; one pass over a tree of common beginnings reads
             how likely each letter is. Asking in both orders shows the judge's liking for a position: a verdict that
             follows the position is inconsistent and is dropped (SeaLLMs, section on self-preferencing; criteria and
             prompt are ours, the paper's are not published). A liking that is the same for all pairs can be taken off
             first (batch calibration, Zhou et al. 2023, section 3).
likelihood   The model is not asked: of two answers the one is better that it finds more fluent (log-probability per
             byte, given the question: languages have different numbers of tokens) and more to the point (what the
             question adds to the log-probability of the answer: pointwise mutual information). Each is divided by its
             usual size, then they are added.

A model too small to answer questions about answers still knows which text is likely: docs/preferences.md has the
accuracy of both on pairs that are known.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from seallm.base.records import Message
from seallm.model.chat_format import ChatFormat
from seallm.model.judge_format import JudgeTemplate, judge_messages, verdict_ids
from seallm.model.prefix_tree import next_token_log_probabilities
from seallm.model.scoring import continuation_log_likelihoods

LIKELIHOODS = ("fluency", "relevance")
TIE = 1e-4  # below this margin nothing but rounding is left
DIGITS = 6
Scores = Mapping[str, float]  # of one pair, as they lie on disk


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to a question, and whose they are."""

    language: str
    question: str
    first: str
    second: str
    by: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Judgement:
    """How much better the first answer is, asked in both orders.

    Attributes:
        forward: log-odds for the first shown, with the first answer first.
        swapped: the same with the second answer first.
        position_bias: log-odds for the first shown that owe nothing to the answers; taken off before a verdict is read.
        least_margin: with a smaller one the judge is unsure.
    """

    forward: float
    swapped: float
    position_bias: float = 0.0
    least_margin: float = 0.0

    @property
    def margin(self) -> float:
        """Mean log-odds, over both orders, that the first answer is the better one."""
        return (self.forward - self.swapped) / 2

    @property
    def outcome(self) -> str:
        """ "first", "second", "inconsistent" (the verdict follows the position), "tie", or "unsure"."""
        if max(abs(self.forward), abs(self.swapped)) < TIE:
            return "tie"
        if (self.forward - self.position_bias) * (self.swapped - self.position_bias) >= 0:
            return "inconsistent"
        if abs(self.margin) < self.least_margin:
            return "unsure"
        return "first" if self.margin > 0 else "second"


@dataclass(frozen=True)
class Words:
    """What the judge is asked: criteria and template by language of the pair."""

    criteria: Mapping[str, str]
    templates: Mapping[str, JudgeTemplate]

    def messages(self, pair: Pair, *, swapped: bool = False) -> tuple[Message, ...]:
        """The judging prompt of a pair."""
        first, second = (pair.second, pair.first) if swapped else (pair.first, pair.second)
        return judge_messages(pair.question, first, second, self.criteria[pair.language], self.templates[pair.language])


def verdict_scores(
    model: PreTrainedModel, chat: ChatFormat, pairs: Sequence[Pair], words: Words, batch_tokens: int
) -> list[Scores | None]:
    """Log-odds of "first shown" in both orders (`forward`, `swapped`), and `mass`: the probability of either verdict.

    None where the judging prompt is longer than the model has positions.
    """
    found: list[Scores | None] = [None] * len(pairs)
    positions = int(model.config.get_text_config(decoder=True).max_position_embeddings)
    asked = [[chat.prompt_ids(words.messages(p, swapped=swapped)) for swapped in (False, True)] for p in pairs]
    by_verdicts: dict[tuple[int, int], list[int]] = {}
    for number, prompts in enumerate(asked):
        if max(map(len, prompts)) <= positions:
            template = words.templates[pairs[number].language]
            by_verdicts.setdefault(verdict_ids(chat, template), []).append(number)
    for verdicts, numbers in by_verdicts.items():
        sequences = [prompt for number in numbers for prompt in asked[number]]
        values = next_token_log_probabilities(model, sequences, verdicts, batch_tokens).reshape(-1, 2, 2).tolist()
        for number, ((a, b), (c, d)) in zip(numbers, values, strict=True):
            mass = sum(map(math.exp, (a, b, c, d))) / 2
            scores = {"forward": a - b, "swapped": c - d, "mass": mass}
            found[number] = {name: round(value, DIGITS) for name, value in scores.items()}
    return found


def likelihood_scores(
    model: PreTrainedModel, chat: ChatFormat, pairs: Sequence[Pair], batch_tokens: int
) -> list[Scores | None]:
    """What the first answer has more than the second of `fluency` and `relevance`, in nats.

    None where question and answer are longer than the model has positions.
    """
    positions = int(model.config.get_text_config(decoder=True).max_position_embeddings)
    prompts = {q: chat.prompt_ids((Message("user", q),)) for q in {pair.question for pair in pairs}}
    answers = {a: chat.answer_ids(a) for pair in pairs for a in (pair.first, pair.second)}
    nothing = chat.prompt_ids(())
    asked = [(pair.question, answer) for pair in pairs for answer in (pair.first, pair.second)]
    unique = [
        key for key in dict.fromkeys(asked) if len(prompts[key[0]]) + len(answers[key[1]]) - 1 <= positions
    ]  # what answers of one prompt begin with is computed once
    given = continuation_log_likelihoods(model, [(prompts[q], answers[a]) for q, a in unique], batch_tokens)
    alone = continuation_log_likelihoods(model, [(nothing, answers[a]) for _, a in unique], batch_tokens)
    values = {
        key: (a.sum / max(1, len(key[1].encode())), a.sum - b.sum)
        for key, a, b in zip(unique, given, alone, strict=True)
    }
    found: list[Scores | None] = []
    for pair in pairs:
        first, second = (values.get((pair.question, answer)) for answer in (pair.first, pair.second))
        if first is None or second is None:
            found.append(None)
        else:
            fluency, relevance = (a - b for a, b in zip(first, second, strict=True))
            found.append({"fluency": round(fluency, DIGITS), "relevance": round(relevance, DIGITS)})
    return found


@dataclass(frozen=True)
class Scale:
    """What scores are measured by, fitted on all pairs of a run.

    Attributes:
        sizes: usual size of each likelihood score.
        position_bias: the judge's common liking for the answer shown first.
    """

    sizes: Mapping[str, float]
    position_bias: float

    def judgement(self, scores: Scores | None, least_margin: float = 0.0) -> Judgement | None:
        """The judgement that a pair's scores make; None where it has none."""
        if scores is None:
            return None
        if "forward" in scores:
            return Judgement(scores["forward"], scores["swapped"], self.position_bias, least_margin)
        margin = sum(scores[name] / size for name, size in self.sizes.items())
        return Judgement(margin, -margin, 0.0, least_margin)


def fit_scale(scores: Sequence[Scores | None], *, calibrate_position: bool = True) -> Scale:
    """The usual sizes of scores, by their median, and the median log-odds for the answer shown first.

    Each pair is asked in both orders, so that a judge without a liking for a position has a median of zero.
    """
    known = [s for s in scores if s is not None]
    sizes = {
        name: statistics.median(abs(s[name]) for s in known) or 1.0
        for name in LIKELIHOODS
        if known and name in known[0]
    }
    log_odds = [s[name] for s in known if "forward" in s for name in ("forward", "swapped")]
    bias = statistics.median(log_odds) if log_odds and calibrate_position else 0.0
    return Scale(sizes, bias)


def calibrated_margin(known: Sequence[Judgement | None], wanted_accuracy: float) -> float | None:
    """The least margin at which the judge is right on the wanted share of the known pairs it is at least so sure of.

    Args:
        known: judgements of pairs whose first answer is the better one.
        wanted_accuracy: a share.

    Returns:
        The margin, 0 where all pairs together do; None where no margin that a tenth of the pairs (at least ten) reaches
        does.
    """
    decided = sorted((abs(j.margin), j.margin > 0) for j in known if j is not None and j.outcome in ("first", "second"))
    total, right = len(decided), sum(is_right for _, is_right in decided)
    least = max(10, total // 10)
    for number, (margin, is_right) in enumerate(decided):
        if total - number < least:
            return None
        is_cut = number == 0 or margin > decided[number - 1][0]  # equal margins stay together
        if is_cut and right >= wanted_accuracy * (total - number):
            return 0.0 if number == 0 else margin
        right -= is_right
    return None
