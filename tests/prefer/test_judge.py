import pytest
import torch
from transformers import LlamaForCausalLM

from seallm.base.records import Message
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import new_llama
from seallm.model.judge_format import judge_messages, load_template
from seallm.prefer.judge import (
    Judgement,
    Pair,
    Scores,
    Words,
    calibrated_margin,
    fit_scale,
    likelihood_scores,
    verdict_scores,
)
from tests.prefer.conftest import CRITERIA, QUESTIONS

PAIRS = [Pair("en", question, *pair) for question in QUESTIONS for pair in (("yes", "no"), ("no", "yes"))]


def constant_model(chat: ChatFormat, favoured: str | None) -> LlamaForCausalLM:
    """A model whose next token does not depend on the text: all alike, or always one favoured token."""
    model = new_llama(
        len(chat.tokenizer), hidden_size=16, layers=1, heads=2, max_sequence_tokens=160, tie_embeddings=False
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.model.norm.weight.fill_(1)
        model.model.embed_tokens.weight.fill_(1)
        if favoured:
            model.lm_head.weight[chat.answer_ids(favoured)[0]] = 1
    return model


WORDS = Words({"en": CRITERIA}, {"en": load_template("en")})


def judge(
    model: LlamaForCausalLM, chat: ChatFormat, pairs: list[Pair], batch_tokens: int = 2_048
) -> list[Judgement | None]:
    """Judgements by verdict, the position not calibrated."""
    scores = verdict_scores(model, chat, pairs, WORDS, batch_tokens)
    scale = fit_scale(scores, calibrate_position=False)
    return [scale.judgement(s) for s in scores]


def outcomes(model: LlamaForCausalLM, chat: ChatFormat, pairs: list[Pair]) -> list[str | None]:
    return [found and found.outcome for found in judge(model, chat, pairs)]


@pytest.mark.parametrize(
    ("forward", "swapped", "outcome"),
    [
        (2.0, -1.0, "first"),
        (-2.0, 1.0, "second"),
        (2.0, 1.0, "inconsistent"),
        (-2.0, -0.1, "inconsistent"),
        (2.0, 0.0, "inconsistent"),
        (0.0, 0.0, "tie"),
        (0.7, 0.7, "inconsistent"),
        (1e-6, -1e-6, "tie"),
    ],
)
def test_outcomes(forward: float, swapped: float, outcome: str) -> None:
    assert Judgement(forward, swapped).outcome == outcome
    mirrored = {"first": "second", "second": "first"}.get(outcome, outcome)
    assert Judgement(swapped, forward).outcome == mirrored


def test_a_judge_that_knows_is_consistent(yes_judge: LlamaForCausalLM, chat: ChatFormat) -> None:
    found = outcomes(yes_judge, chat, PAIRS)
    assert found == ["first" if pair.first == "yes" else "second" for pair in PAIRS]


def test_a_judge_that_always_says_a_is_inconsistent(chat: ChatFormat) -> None:
    model = constant_model(chat, "A")
    first = judge(model, chat, PAIRS[:1], 2_048)[0]
    assert first is not None
    assert first.forward == first.swapped > 0
    assert set(outcomes(model, chat, PAIRS)) == {"inconsistent"}


def test_a_judge_that_leans_to_a_position_is_inconsistent(yes_judge: LlamaForCausalLM, chat: ChatFormat) -> None:
    """Answers the judge knows nothing of: what is left is its liking for a position."""
    alike = [Pair("en", question, "maybe", "later") for question in QUESTIONS]
    judgements = judge(yes_judge, chat, alike, 2_048)
    for judgement in judgements:
        assert judgement is not None
        follows_position = judgement.forward * judgement.swapped > 0
        assert (judgement.outcome == "inconsistent") == follows_position


def test_a_judge_that_knows_nothing_ties(chat: ChatFormat) -> None:
    assert set(outcomes(constant_model(chat, None), chat, PAIRS)) == {"tie"}


def test_margins_are_those_of_plain_forwards(yes_judge: LlamaForCausalLM, chat: ChatFormat) -> None:
    ids = [chat.answer_ids(verdict)[0] for verdict in ("A", "B")]
    for pair, judgement in zip(PAIRS, judge(yes_judge, chat, PAIRS, 500), strict=True):
        expected = []
        for a, b in ((pair.first, pair.second), (pair.second, pair.first)):
            prompt = chat.prompt_ids(judge_messages(pair.question, a, b, CRITERIA))
            with torch.inference_mode():
                logits = yes_judge(torch.tensor([prompt])).logits[0, -1]
            expected.append(float(logits[ids[0]] - logits[ids[1]]))
        assert judgement is not None
        assert (judgement.forward, judgement.swapped) == (
            pytest.approx(expected[0], abs=1e-4),
            pytest.approx(expected[1], abs=1e-4),
        )


def test_a_pair_too_long_for_the_model_is_not_judged(yes_judge: LlamaForCausalLM, chat: ChatFormat) -> None:
    long = Pair("en", QUESTIONS[0], "yes " * 200, "no")
    assert outcomes(yes_judge, chat, [PAIRS[0], long, PAIRS[1]]) == ["first", None, "second"]


def test_a_liking_for_a_position_is_taken_off() -> None:
    liking = 3.0
    odds = [(1, -1), (-0.5, 0.5), None, (0, 0), (0.1, 0.1)]
    scores: list[Scores | None] = [
        None if pair is None else {"forward": liking + pair[0], "swapped": liking + pair[1]} for pair in odds
    ]
    plain = fit_scale(scores, calibrate_position=False)
    assert {j.outcome for s in scores if (j := plain.judgement(s))} == {"inconsistent"}
    scale = fit_scale(scores)
    found = [scale.judgement(s) for s in scores]
    assert [j and j.outcome for j in found] == ["first", "second", None, "inconsistent", "inconsistent"]
    assert [j and j.margin for j in found][:2] == [1.0, -0.5]  # the mean over both orders never had the liking in it
    assert fit_scale([]).judgement(None) is None


def test_likelihoods_are_those_of_plain_forwards(yes_judge: LlamaForCausalLM, chat: ChatFormat) -> None:
    def plain(prompt: list[int], answer: list[int]) -> float:
        with torch.inference_mode():
            logits = yes_judge(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        return float(logits.gather(1, torch.tensor(answer)[:, None]).sum())

    pairs = [Pair("en", QUESTIONS[0], "yes", "no"), Pair("en", QUESTIONS[1], "no way", "yes")]
    for pair, scores in zip(pairs, likelihood_scores(yes_judge, chat, pairs, 500), strict=True):
        prompt = chat.prompt_ids((Message("user", pair.question),))
        given, alone, sizes = [], [], []
        for text in (pair.first, pair.second):
            ids = chat.answer_ids(text)
            given.append(plain(prompt, ids))
            alone.append(plain(chat.prompt_ids(()), ids))
            sizes.append(len(text.encode()))
        assert scores is not None
        assert scores["fluency"] == pytest.approx(given[0] / sizes[0] - given[1] / sizes[1], abs=1e-4)
        assert scores["relevance"] == pytest.approx(given[0] - alone[0] - given[1] + alone[1], abs=1e-4)


def test_likelihood_scores_count_by_their_usual_size(yes_judge: LlamaForCausalLM, chat: ChatFormat) -> None:
    scores: list[Scores | None] = [{"fluency": f, "relevance": 100 * r} for f, r in ((1, 1), (-1, 2), (-3, -1))]
    scale = fit_scale(scores)
    assert scale.sizes == {"fluency": 1, "relevance": 100}
    assert [j.margin for s in scores if (j := scale.judgement(s))] == [2, 1, -4]
    long = Pair("en", QUESTIONS[0], "yes " * 200, "no")
    assert likelihood_scores(yes_judge, chat, [long], 2_048) == [None]


def test_the_least_margin_that_is_right_often_enough() -> None:
    sure = [Judgement(3.0, -3.0)] * 12
    wrong = [Judgement(-1.0, 1.0)] * 8
    assert calibrated_margin([*sure, None, *wrong], 0.6) == 0.0  # all together are
    assert calibrated_margin([*sure, *wrong], 0.9) == 3.0
    assert calibrated_margin([*wrong, *sure[:9]], 0.9) is None  # too few to tell
    assert calibrated_margin([Judgement(2.0, 1.0)] * 30, 0.5) is None  # none is consistent
