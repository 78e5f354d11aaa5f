"""Steps that a recipe skips: never read, never trained on, and no checkpoint that disagrees."""

from collections import Counter

import pytest
import torch

from seallm.base.errors import CheckpointError
from seallm.recipe_training import Optimiser
from seallm.train.batches import TokenBatch
from seallm.train.loop import MAX_SKIPPED_STEPS, Phase, StepBatch
from seallm.train.objectives import next_token_loss
from seallm.train.pretrain import steps_left_out
from seallm.train.processes import ALONE
from tests.train.conftest import MakeContext, rows_of, tiny_llama
from tests.train.test_loop import Killed, batches, killed_at, make_phase, run, weights

FLAT = Optimiser(learning_rate=3e-3, warmup_share=0.0, final_learning_rate_share=1.0, max_gradient_norm=1e9)


def test_a_step_left_out_is_not_read_and_changes_nothing(make_context: MakeContext) -> None:
    read: Counter[int] = Counter()

    def counting(step: int) -> StepBatch[TokenBatch]:
        read[step] += 1
        return batches(step)

    left_out = frozenset(range(2, 2 + MAX_SKIPPED_STEPS + 2))
    context = make_context("run")
    found = run(context, [make_phase(steps=12, batches=counting, optimiser=FLAT, left_out=left_out)])
    assert read == {step: 1 for step in range(12) if step not in left_out}
    rows = rows_of(context.out / "metrics.jsonl")
    assert [row["step"] - 1 for row in rows if row.get("left_out")] == sorted(left_out)
    assert all((row["loss"] is None) == (row["step"] - 1 in left_out) for row in rows)

    expected = tiny_llama().train()
    matrices = [p for n, p in expected.named_parameters() if "proj" in n]
    others = [p for n, p in expected.named_parameters() if "proj" not in n]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-8, fused=True)
    for step in (0, 1, *range(2 + len(left_out), 12)):
        next_token_loss(expected, next(iter(batches(step).parts(ALONE)))).backward()
        optimiser.step()
        optimiser.zero_grad()
    for ours, theirs in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_step_can_be_left_out_after_a_stop_before_it(make_context: MakeContext) -> None:
    calm = run(make_context("calm"), [make_phase(left_out=frozenset({7}))])
    context = make_context("stopped")
    with pytest.raises(Killed):
        run(context, [make_phase(**killed_at(8))])  # the checkpoint stands at step 6
    assert weights(run(context, [make_phase(left_out=frozenset({7}))])) == weights(calm)


@pytest.mark.parametrize(("first", "then", "said"), [((), (2,), "is made already"), ((2,), (), "was left out")])
def test_what_a_checkpoint_has_behind_it_cannot_be_changed(
    make_context: MakeContext, first: tuple[int, ...], then: tuple[int, ...], said: str
) -> None:
    context = make_context("run")
    with pytest.raises(Killed):
        run(context, [make_phase(**killed_at(8), left_out=frozenset(first))])
    with pytest.raises(CheckpointError, match=f"step 3 {said}"):
        run(context, [make_phase(left_out=frozenset(then))])
    run(context, [make_phase(left_out=frozenset(first))])


def test_numbers_of_a_stage_become_numbers_of_its_phases() -> None:
    steps = [4, 3, 5]
    assert [steps_left_out([1, 4, 5, 12, 13], steps, n) for n in range(3)] == [{0, 3}, {0}, {4}]


def test_phases_of_a_left_out_row_training_are_fine(make_context: MakeContext) -> None:
    phase: Phase[TokenBatch] = make_phase(steps=4, trained_rows=[5, 6], left_out=frozenset({0, 3}))
    context = make_context("rows")
    run(context, [phase])
    assert [row["loss"] is None for row in rows_of(context.out / "metrics.jsonl")] == [True, False, False, True]
