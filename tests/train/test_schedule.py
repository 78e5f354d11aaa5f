from typing import Literal

import pytest
import torch

from seallm.recipe_training import Optimiser
from seallm.train.schedule import learning_rate, make_optimiser
from tests.train.conftest import tiny_llama


def test_warm_up_then_cosine_to_the_final_share() -> None:
    settings = Optimiser(learning_rate=1.0, final_learning_rate_share=0.2, warmup_share=0.25)
    rates = [learning_rate(settings, step, 40) for step in range(40)]
    assert rates[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert rates[9] == max(rates)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[24] == pytest.approx(0.6)  # half-way down the cosine
    assert rates[-1] == pytest.approx(0.2)


def test_wsd_stays_at_the_peak_and_falls_late() -> None:
    settings = Optimiser(
        learning_rate=1.0, schedule="wsd", decay_share=0.4, final_learning_rate_share=0.2, warmup_share=0.25
    )
    rates = [learning_rate(settings, step, 40) for step in range(40)]
    assert rates[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert rates[10:24] == [1.0] * 14
    assert rates[24:] == sorted(rates[24:], reverse=True)
    assert rates[27] == pytest.approx(0.2 + 0.8 * (1 - 0.5))  # a quarter of the way down: 1 - sqrt(1/4)
    assert rates[-1] == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.05), (1, 1.0), (3, 0.0), (5, 1.0)])
def test_short_schedules_stay_within_bounds(steps: int, warmup: float, schedule: Literal["cosine", "wsd"]) -> None:
    settings = Optimiser(learning_rate=0.5, warmup_share=warmup, schedule=schedule)
    assert all(0 < learning_rate(settings, step, steps) <= 0.5 for step in range(steps))


@pytest.mark.parametrize("tied", [True, False])
def test_only_matrices_of_the_body_decay(tied: bool) -> None:
    model = tiny_llama(tie_embeddings=tied)
    optimiser = make_optimiser(model, Optimiser(learning_rate=1e-3, weight_decay=0.3))
    decays = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert len(decays) == sum(len(group["params"]) for group in optimiser.param_groups) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        in_body = "proj" in name
        assert decays[id(parameter)] == (0.3 if in_body else 0.0), name


def test_frozen_parameters_are_left_out() -> None:
    model = tiny_llama()
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_(True)
    groups = make_optimiser(model, Optimiser(learning_rate=1e-3)).param_groups
    assert [[p.shape for p in group["params"]] for group in groups] == [[torch.Size([331, 32])]]
