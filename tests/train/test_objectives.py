from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GemmaConfig,
    GPT2Config,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)
from transformers.masking_utils import find_packed_sequence_indices

from seallm.base.errors import ModelError
from seallm.train import objectives
from seallm.train.batches import collate, step_batch
from seallm.train.objectives import (
    check_head,
    cross_entropy_sum,
    log_probabilities,
    next_token_loss,
)
from seallm.train.processes import ALONE
from seallm.train.segments import IGNORED, Segment
from tests.train.conftest import tiny_llama

CPU = torch.device("cpu")


def random_problem(positions: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(positions, 16, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(50, 16, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(50, (positions,), generator=generator)


def reference_losses(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy((hidden @ weight.T).double(), targets, reduction="none")


@pytest.mark.parametrize("positions", [1, 7, 8, 29])
def test_cross_entropy_and_its_gradients_equal_torch(positions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "CHUNK_POSITIONS", 8)
    hidden, weight, targets = random_problem(positions)
    expected = reference_losses(hidden, weight, targets).sum()
    wanted = torch.autograd.grad(expected * 0.37, (hidden, weight))
    found = cross_entropy_sum(hidden, weight, targets)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for ours, theirs in zip(torch.autograd.grad(found * 0.37, (hidden, weight)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs.float(), rtol=1e-5, atol=1e-5)


def test_cross_entropy_survives_huge_logits() -> None:
    hidden = torch.full((2, 4), 100.0, requires_grad=True)
    weight = torch.stack([torch.full((4,), 100.0), torch.full((4,), -100.0)]).requires_grad_()
    loss = cross_entropy_sum(hidden, weight, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(80_000.0)
    loss.backward()
    assert torch.isfinite(hidden.grad).all()
    assert torch.isfinite(weight.grad).all()


def test_cross_entropy_in_bfloat16_is_near_and_keeps_the_types() -> None:
    hidden, weight, targets = random_problem(29, torch.bfloat16)
    expected = reference_losses(hidden.float(), weight.float(), targets).sum()
    found = cross_entropy_sum(hidden, weight, targets)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=2e-2)
    assert hidden.grad.dtype == weight.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("positions", [1, 8, 29])
def test_log_probabilities_and_their_gradients_equal_torch(positions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "CHUNK_POSITIONS", 8)
    hidden, weight, targets = random_problem(positions)
    expected = -reference_losses(hidden, weight, targets)
    slopes = torch.linspace(-1, 2, positions)
    wanted = torch.autograd.grad((expected * slopes).sum(), (hidden, weight))
    found = log_probabilities(hidden, weight, targets)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(torch.autograd.grad((found * slopes).sum(), (hidden, weight)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs.float(), rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------------------- whole models, packed rows


def documents() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randint(331, (n,), generator=generator) for n in (37, 1, 60, 20, 2, 8)]


def as_segment(ids: torch.Tensor, masked_prompt: int = 0) -> Segment:
    targets = torch.cat([ids[1:], torch.tensor([IGNORED])])
    targets[: max(0, masked_prompt - 1)] = IGNORED
    return Segment(ids.numpy(), targets.numpy(), "en")


def hf_loss_of_separate_documents(
    model: PreTrainedModel, parts: list[torch.Tensor], masked_prompt: int
) -> torch.Tensor:
    losses = []
    count = 0
    for ids in parts:
        labels = ids.clone()
        labels[:masked_prompt] = IGNORED
        supervised = int((labels[1:] != IGNORED).sum())
        if supervised:
            losses.append(model(ids[None], labels=labels[None], use_cache=False).loss * supervised)
            count += supervised
    return torch.stack(losses).sum() / count


@pytest.mark.parametrize("masked_prompt", [0, 5])
def test_packed_rows_equal_separate_forwards_of_transformers(masked_prompt: int) -> None:
    model = tiny_llama()
    parts = documents()
    expected = hf_loss_of_separate_documents(model, parts, masked_prompt)
    expected.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    rows = [[as_segment(ids, masked_prompt) for ids in group] for group in (parts[:3], parts[3:])]
    step = step_batch(rows, 100, CPU)
    found = sum(next_token_loss(model, part) for part in step.parts(ALONE))
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-6)


def test_hidden_states_of_packed_documents_are_isolated() -> None:
    model = tiny_llama()
    parts = documents()
    batch = collate([[as_segment(ids) for ids in parts]], 200, 1, CPU)
    with torch.no_grad():
        packed = model.base_model(batch.input_ids, position_ids=batch.position_ids, use_cache=False).last_hidden_state
        apart = torch.cat([model.base_model(ids[None], use_cache=False).last_hidden_state[0] for ids in parts])
    assert (packed[0, : len(apart)] - apart).abs().max() < 1e-5


def test_a_continued_chunk_starts_anew_and_keeps_its_target_at_the_cut() -> None:
    ids = torch.arange(10)
    first = Segment(ids[:4].numpy(), ids[1:5].numpy(), "en")
    second = as_segment(ids[4:])
    batch = collate([[first, second]], 12, 9, CPU)
    assert batch.position_ids[0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 0, 0]
    assert batch.targets[0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, IGNORED, IGNORED, IGNORED]
    assert find_packed_sequence_indices(batch.position_ids)[0, :10].tolist() == [0] * 4 + [1] * 6


def test_bfloat16_autocast_is_near() -> None:
    model = tiny_llama()
    part = next(iter(step_batch([[as_segment(ids) for ids in documents()]], 200, CPU).parts(ALONE)))
    expected = next_token_loss(model, part)
    with torch.autocast("cpu", torch.bfloat16):
        found = next_token_loss(model, part)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=2e-2)


# ------------------------------------------------------------------------------------------------------- architectures

SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
Config = Callable[..., PreTrainedConfig]


@pytest.mark.parametrize("config", [MistralConfig, Qwen2Config, Qwen3Config, GemmaConfig])
def test_losses_of_other_architectures_equal_transformers(config: Config) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config(**SMALL), attn_implementation="sdpa")
    check_head(model)
    parts = [ids % 64 for ids in documents()]
    found = next_token_loss(model, next(iter(step_batch([[as_segment(ids) for ids in parts]], 200, CPU).parts(ALONE))))
    assert found.item() == pytest.approx(hf_loss_of_separate_documents(model, parts, 0).item(), rel=1e-5)


def test_a_model_that_caps_its_logits_is_refused() -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(Gemma2Config(**SMALL, final_logit_softcapping=0.5))
    with pytest.raises(ModelError, match="gemma2"):
        check_head(model)


def test_a_plain_head_of_another_family_passes() -> None:
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1)
    check_head(AutoModelForCausalLM.from_config(config).eval())
