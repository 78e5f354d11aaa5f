"""Objectives equal plain formulas, pair by pair (TRL's: test_oracle.py); what a step tells adds up."""

import math
from typing import Any

import pytest
import torch

from seallm.base.runtime import Runtime
from seallm.recipe_training import Dpo
from seallm.train.dpo import PairBatches
from seallm.train.pairs import Pair, collate_pairs
from seallm.train.preference_losses import StepTally, preference_losses
from seallm.train.processes import ALONE
from seallm.train.reference import log_probabilities_of
from tests.train.conftest import tiny_llama

CPU = torch.device("cpu")
LENGTHS = torch.tensor([[4, 9, 30, 1], [7, 9, 12, 20]])
OBJECTIVES: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.2},
    {"length_normalised": True, "beta": 2.0},
    {"sft_weight": 0.7},
    {"objective": "ipo"},
    {"objective": "ipo", "length_normalised": True, "beta": 0.5},
    {"objective": "simpo", "beta": 2.0, "target_margin": 1.0},
    {"objective": "simpo", "label_smoothing": 0.1, "sft_weight": 0.3},
]


def values() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    policy, reference = (-LENGTHS * torch.rand(2, 4, generator=generator) * 3 for _ in range(2))
    return policy.double(), reference.double()


def plain_loss(chosen: float, rejected: float, lengths: tuple[int, int], reference: list[float], s: Dpo) -> float:
    """One pair, in plain arithmetic."""
    gained = [chosen - reference[0], rejected - reference[1]]
    if s.objective == "simpo":
        gained = [chosen, rejected]
    if s.length_normalised or s.objective == "simpo":
        gained = [g / n for g, n in zip(gained, lengths, strict=True)]
    d = gained[0] - gained[1]
    if s.objective == "ipo":
        loss = (d - 1 / (2 * s.beta)) ** 2
    else:
        x = s.beta * d - (s.target_margin if s.objective == "simpo" else 0)
        right, wrong = math.log(1 / (1 + math.exp(-x))), math.log(1 / (1 + math.exp(x)))
        loss = -(1 - s.label_smoothing) * right - s.label_smoothing * wrong
    return loss + s.sft_weight * -chosen / lengths[0]


@pytest.mark.parametrize("changes", OBJECTIVES)
def test_objectives_equal_plain_arithmetic(changes: dict[str, Any]) -> None:
    policy, reference = values()
    settings = Dpo(**changes)
    found = preference_losses(policy, reference, LENGTHS, settings)
    for p in range(4):
        lengths = (int(LENGTHS[0, p]), int(LENGTHS[1, p]))
        expected = plain_loss(float(policy[0, p]), float(policy[1, p]), lengths, reference[:, p].tolist(), settings)
        assert found[p].item() == pytest.approx(expected, rel=1e-9)


def test_huge_margins_stay_finite() -> None:
    far = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    losses = preference_losses(far, torch.zeros(2, 2), torch.ones(2, 2), Dpo())
    losses.sum().backward()
    assert losses.tolist() == [0.0, 2e3]
    assert torch.isfinite(far.grad).all()


def test_what_a_step_tells_adds_up_by_language() -> None:
    policy, reference = values()
    pairs = [
        Pair([1], [2] * int(c), [3] * int(r), code)
        for c, r, code in zip(*LENGTHS, ("en", "th", "en", "lo"), strict=True)
    ]
    settings = Dpo(beta=0.5)
    tally = StepTally(["en", "lo", "th"], settings, CPU)
    for part in ([0, 1], [2, 3]):
        batch = collate_pairs([pairs[i] for i in part], reference[:, part].float(), 0.25, CPU)
        tally.add(policy[:, part], batch)
    tally.add(policy[:, :1], collate_pairs(pairs[:1], reference[:, :1].float(), 0.0, CPU))  # only keeps company
    found = tally.measured()
    gained = policy - reference
    assert found["pairs"] == 4
    assert found["margin"] == pytest.approx(0.5 * float((gained[0] - gained[1]).mean()), abs=1e-5)
    assert found["chosen_gain"] == pytest.approx(float((gained / LENGTHS)[0].mean()), abs=1e-5)
    assert found["kl"] == pytest.approx(-float(gained.sum() / LENGTHS.sum()), abs=1e-5)
    english = found["languages"]["en"]
    assert english["pairs"] == 2
    assert english["chosen_reward"] == pytest.approx(0.5 * float(gained[0, [0, 2]].mean()), abs=1e-5)
    assert english["accuracy"] == pytest.approx(float((gained[0] > gained[1])[[0, 2]].double().mean()))
    assert set(found["languages"]) == {"en", "lo", "th"}


def test_the_first_step_tells_nothing_was_gained() -> None:
    pairs = [Pair([5, 6], [7 + i, 8], [9, 9 + i], "en") for i in range(6)]
    model = tiny_llama()
    batches = PairBatches(pairs, log_probabilities_of(model, pairs, Runtime()), Dpo(batch_pairs=6), 0, CPU)
    step = batches(0)
    loss = sum(batches.objective(model, part).item() for part in step.parts(ALONE))
    assert loss == pytest.approx(math.log(2), abs=1e-5)
    assert step.measured is not None
    found = step.measured()
    assert found["pairs"] == 6
    assert found["kl"] == pytest.approx(0.0, abs=1e-5)
