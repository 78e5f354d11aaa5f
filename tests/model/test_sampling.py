"""Draws follow the distribution that transformers' processors leave."""

from collections import Counter

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from seallm.base.sampling import SamplingSettings
from seallm.model.sampling import History, adjusted, draw


@pytest.mark.parametrize("vocabulary", [12, 1_000])
@pytest.mark.parametrize("top_p", [0.3, 0.9, 1.0])
def test_draws_follow_the_nucleus(vocabulary: int, top_p: float) -> None:
    logits = torch.randn(vocabulary, generator=torch.Generator().manual_seed(0)) * 1.5
    temperature = 0.7
    probabilities = (logits / temperature).softmax(-1)
    likely, order = probabilities.sort(descending=True)
    inside = (likely.cumsum(0) - likely) < top_p
    expected = torch.zeros(vocabulary)
    expected[order[inside]] = likely[inside] / likely[inside].sum()
    noise = (torch.arange(4_000) + 0.5) / 4_000  # every place of the unit interval once
    drawn = draw(logits.expand(4_000, -1), [SamplingSettings(1, temperature, top_p)] * 4_000, noise.tolist())
    shares = torch.bincount(drawn, minlength=vocabulary) / 4_000
    torch.testing.assert_close(shares, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("vocabulary", [40, 6_000])
def test_draws_follow_transformers_processors(vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [
        SamplingSettings(1, 0.7, top_k=5),
        SamplingSettings(1, 1.3, top_p=0.8, top_k=20),
        SamplingSettings(1, 1.0, min_p=0.2),
        SamplingSettings(1, 0.9, top_p=0.6, top_k=9, min_p=0.3),
        SamplingSettings(1, 2.0),
        SamplingSettings(1, 0.0),
    ]
    logits = torch.randn(len(rows), vocabulary, generator=generator) * 2
    places = [(number + 0.5) / 1_000 for number in range(1_000)]  # every place of the unit interval once
    drawn = torch.stack([draw(logits, rows, [place] * len(rows)) for place in places])
    for row, settings in enumerate(rows):
        warpers = LogitsProcessorList([])
        if settings.temperature:
            warpers.append(TemperatureLogitsWarper(settings.temperature))
        if settings.top_k:
            warpers.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1:
            warpers.append(TopPLogitsWarper(settings.top_p))
        if settings.min_p:
            warpers.append(MinPLogitsWarper(settings.min_p))
        expected = warpers(torch.zeros(1, 1, dtype=torch.long), logits[row : row + 1])[0].softmax(-1)
        if not settings.temperature:
            expected = torch.nn.functional.one_hot(logits[row].argmax(), vocabulary).float()
        shares = torch.bincount(drawn[:, row], minlength=vocabulary) / len(places)
        torch.testing.assert_close(shares, expected, atol=2e-3, rtol=0)


def test_penalties() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5, 3.0])
    history = History(frozenset({0, 1}), Counter({3: 2}))
    theirs = RepetitionPenaltyLogitsProcessor(1.5)(torch.tensor([[0, 1, 3, 3]]), logits.clone().unsqueeze(0))[0]
    assert torch.equal(adjusted(logits, SamplingSettings(1, repetition_penalty=1.5), history), theirs)
    counted = SamplingSettings(1, frequency_penalty=0.5, presence_penalty=0.25, logit_bias=((2, 4.0),))
    assert adjusted(logits, counted, history).tolist() == [2.0, -1.0, 4.5, 1.75]
    assert logits.tolist() == [2.0, -1.0, 0.5, 3.0]


@pytest.mark.parametrize("temperature", [1e-7, 1e-40, 1e-46])
def test_the_smallest_temperatures_take_the_likeliest(temperature: float) -> None:
    logits = torch.tensor([[2.0, -300.0, 30.0, 29.9]])
    for top_p in (1.0, 0.5):
        assert draw(logits, [SamplingSettings(1, temperature=temperature, top_p=top_p)], [0.999]).tolist() == [2]
