import dataclasses
import math
import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from seallm.base.artifacts import StageContext
from seallm.base.errors import CheckpointError, ModelError
from seallm.recipe_training import Optimiser
from seallm.train.batches import TokenBatch, step_batch
from seallm.train.checkpoint import FOLDER, POSITION, steps_on_disk
from seallm.train.draws import random_generator
from seallm.train.loop import MAX_SKIPPED_STEPS, Periodic, Phase, StepBatch, train
from seallm.train.objectives import next_token_loss
from seallm.train.processes import ALONE
from seallm.train.reporting import METRICS
from seallm.train.segments import conversation_segment
from seallm.train.step_log import StepLog
from tests.train.conftest import MakeContext, rows_of, tiny_llama

CPU = torch.device("cpu")


class Killed(BaseException):
    """Stands for a kill: nothing in the loop may catch it."""


def batches(step: int) -> StepBatch[TokenBatch]:
    """Four rows of 24 tokens that a model can learn: each token is the one before it plus 3."""
    starts = random_generator(0, "toy", step).integers(0, 300, 4)
    rows = [[conversation_segment([(int(s) + 3 * i) % 331 for i in range(24)], [True] * 24, "en")] for s in starts]
    return step_batch(rows, 24, CPU)


def make_phase(name: str = "toy", steps: int = 10, **changes: object) -> Phase[TokenBatch]:
    phase = Phase(name, steps, batches, next_token_loss, Optimiser(learning_rate=3e-3))
    return dataclasses.replace(phase, **changes)


def killed_at(step: int) -> dict[str, object]:
    def until(number: int) -> StepBatch[TokenBatch]:
        if number == step:
            raise Killed
        return batches(number)

    return {"batches": until}


def weights(model: torch.nn.Module) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in model.parameters())


def run(context: StageContext, phases: list[Phase[TokenBatch]], every: int = 3) -> LlamaForCausalLM:
    log = StepLog(context.out / "measured.jsonl")

    def measure(step: int) -> None:
        log.put(step, [{"sum": float(sum(p.detach().double().sum() for p in model.parameters()))}])

    model = tiny_llama()
    train(model, phases, context, Periodic("toy", every, measure, 4, [log]))
    return model


def test_it_learns_and_logs(make_context: MakeContext) -> None:
    context = make_context("run")
    run(context, [make_phase(steps=60)])
    rows = rows_of(context.out / METRICS)
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert rows[0]["loss"] == pytest.approx(math.log(331), abs=0.3)
    assert rows[-1]["loss"] < rows[0]["loss"] - 1.0
    assert rows[0].keys() == {"step", "mixture", "loss", "learning_rate", "tokens", "shares"}
    assert rows[0]["tokens"] == 96
    assert rows[0]["shares"] == {"en": 1.0}
    assert context.counts["steps"] == 60
    assert context.timings["tokens_per_second"] > 0


def test_it_equals_a_plain_torch_loop(make_context: MakeContext) -> None:
    settings = Optimiser(learning_rate=3e-3, warmup_share=0.0, final_learning_rate_share=1.0, max_gradient_norm=0.5)
    found = tiny_llama()
    train(found, [make_phase(steps=8, optimiser=settings)], make_context("run"), Periodic("toy", 100))
    expected = tiny_llama().train()
    bodies = [p for n, p in expected.named_parameters() if "proj" in n]
    others = [p for n, p in expected.named_parameters() if "proj" not in n]
    groups = [{"params": bodies, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-8, foreach=False)
    for step in range(8):
        ids = next(iter(batches(step).parts(ALONE))).input_ids
        expected(ids, labels=ids, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(expected.parameters(), 0.5)
        optimiser.step()
        optimiser.zero_grad()
    for ours, theirs in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_same_run_twice_gives_the_same_bits(make_context: MakeContext) -> None:
    first, second = (run(make_context(name), [make_phase()]) for name in ("one", "two"))
    assert weights(first) == weights(second)


def test_two_threads_give_the_same_bits_every_time(make_context: MakeContext) -> None:
    torch.set_num_threads(2)
    found = []
    for name in ("one", "two"):
        model = tiny_llama(2_000, hidden_size=128)  # large enough for the threads to share the work
        train(model, [make_phase(steps=3)], make_context(name), Periodic("toy", 100))
        found.append(weights(model))
    assert found[0] == found[1]


@pytest.mark.parametrize("killed", [[0], [5], [3, 4, 9], [6, 6, 7]])
def test_a_killed_run_ends_in_the_same_bits(killed: list[int], make_context: MakeContext) -> None:
    calm = make_context("calm")
    expected = run(calm, [make_phase(), make_phase("second", 5)])
    disturbed = make_context("disturbed")
    for step in killed:
        with pytest.raises(Killed):
            run(disturbed, [make_phase(**killed_at(step)), make_phase("second", 5)])
    with pytest.raises(Killed):
        run(disturbed, [make_phase(), make_phase("second", 5, **killed_at(4))])
    found = run(disturbed, [make_phase(), make_phase("second", 5)])
    assert weights(found) == weights(expected)
    for name in (METRICS, "measured.jsonl"):
        assert (disturbed.out / name).read_bytes() == (calm.out / name).read_bytes()


def test_resuming_a_finished_run_trains_nothing(make_context: MakeContext) -> None:
    context = make_context("run")
    expected = run(context, [make_phase()])
    metrics = (context.out / METRICS).read_bytes()
    again = run(context, [make_phase(**killed_at(0))])
    assert weights(again) == weights(expected)
    assert (context.out / METRICS).read_bytes() == metrics


def test_half_a_row_left_by_a_kill_is_replaced(make_context: MakeContext) -> None:
    calm, context = make_context("calm"), make_context("run")
    run(calm, [make_phase()])
    with pytest.raises(Killed):
        run(context, [make_phase(**killed_at(8))])
    with (context.out / METRICS).open("a") as file:
        file.write('{"step": 9, "mixture": "to')
    run(context, [make_phase()])
    assert (context.out / METRICS).read_bytes() == (calm.out / METRICS).read_bytes()


def test_a_half_written_checkpoint_is_never_seen(make_context: MakeContext) -> None:
    context = make_context("run")
    with pytest.raises(Killed):
        run(context, [make_phase(**killed_at(5))])
    half = context.out / FOLDER / ".step-00000099.partial"
    half.mkdir()
    (half / ".metadata").write_bytes(b"half")
    run(context, [make_phase()])


@pytest.mark.parametrize(("damage", "message"), [(b"no tensors", "damaged"), (None, "another run")])
def test_a_bad_checkpoint_is_an_error(damage: bytes | None, message: str, make_context: MakeContext) -> None:
    context = make_context("run")
    run(context, [make_phase()])
    if damage:
        newest = context.out / FOLDER / steps_on_disk(context.out / FOLDER)[-1]
        (newest / POSITION).write_bytes(damage)
    with pytest.raises(CheckpointError, match=message):
        run(context, [make_phase(steps=11)])
    shutil.rmtree(context.out / FOLDER)
    run(context, [make_phase(steps=11)])


def spoiled(at: set[int]) -> dict[str, object]:
    """A loss that is not a number at some steps."""
    made: list[int] = []

    def objective(model: PreTrainedModel, part: TokenBatch) -> torch.Tensor:
        loss = next_token_loss(model, part)
        made.append(len(made))
        return loss * float("nan") if made[-1] in at else loss

    return {"objective": objective}


def test_a_step_without_a_finite_loss_changes_nothing(make_context: MakeContext) -> None:
    context = make_context("run")
    model = run(context, [make_phase(steps=4, **spoiled({1, 2}))])
    rows = rows_of(context.out / METRICS)
    assert [row["loss"] is None for row in rows] == [False, True, True, False]
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_run_that_diverges_stops(make_context: MakeContext) -> None:
    with pytest.raises(ModelError, match=r"steps 3 to 7 of 'toy'.*learning rate"):
        run(make_context("run"), [make_phase(steps=20, **spoiled(set(range(2, 2 + MAX_SKIPPED_STEPS))))])


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_move_and_nothing_else_does(tied: bool, make_context: MakeContext) -> None:
    model, before = tiny_llama(tie_embeddings=tied), tiny_llama(tie_embeddings=tied)
    rows = [300, 301, 302, 330]
    train(model, [make_phase(trained_rows=rows)], make_context("run"), Periodic("toy", 100))
    old = torch.ones(331, dtype=torch.bool)
    old[rows] = False
    for (name, found), start in zip(model.named_parameters(), before.parameters(), strict=True):
        if "embed_tokens" in name or "lm_head" in name:
            assert torch.equal(found[old], start[old])
            assert (found[rows] != start[rows]).all()
        else:
            assert torch.equal(found, start), name
        assert found.requires_grad


def test_progress_of_a_fresh_folder_is_not_resumed(make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context("run")
    (context.out / METRICS).write_text('{"step": 1, "loss": 0}\n')
    run(context, [make_phase(steps=2)])
    assert [row["step"] for row in rows_of(context.out / METRICS)] == [1, 2]
    assert rows_of(context.out / METRICS)[0]["loss"] > 1
