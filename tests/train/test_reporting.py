import sys
from pathlib import Path

import pytest
import torch

from seallm.base.errors import MissingExtra
from seallm.base.runtime import Runtime, Training
from seallm.train.device import CPU_MICRO_BATCH_TOKENS, matrix_parameters, micro_batch_tokens, peak_flops, step_flops
from seallm.train.reporting import METRICS, SPIKE_WINDOW, TIMINGS, Reporter, Spikes
from seallm.train.tracking import open_tracker
from tests.train.conftest import MakeContext, rows_of, tiny_llama


def test_a_spike_is_far_above_what_came_before() -> None:
    spikes = Spikes([2.0 + 0.01 * (n % 3) for n in range(SPIKE_WINDOW - 1)])
    assert not spikes.add(9.0), "too few losses to tell"
    spikes = Spikes([2.0 + 0.01 * (n % 3) for n in range(2 * SPIKE_WINDOW)])
    assert not spikes.add(2.1)
    assert spikes.add(2.5)
    assert not spikes.add(1.0), "down is no spike"


def test_metrics_hold_no_times_and_timings_do(make_context: MakeContext) -> None:
    context = make_context("run")
    reporter = Reporter(context, tiny_llama(), "toy")
    row = {"loss": 2.0, "learning_rate": 1e-3, "tokens": 100, "shares": {"en": 0.75, "th": 0.25}}
    with reporter.running(0):
        for step in range(1, SPIKE_WINDOW + 1):
            note = reporter.add(step, "high", row, 100, None, 0.5)
        reporter.add(SPIKE_WINDOW + 1, "high", row | {"loss": 7.0}, 100, None, 0.5)
    reporter.finish(SPIKE_WINDOW + 1)
    assert note == "loss 2.000  200 tokens/s  lr 1.0e-03  en 75% th 25%"
    metrics, timings = (rows_of(context.out / name) for name in (METRICS, TIMINGS))
    assert metrics[0] == {"step": 1, "mixture": "high", **row}
    assert [r["step"] for r in metrics if r.get("spike")] == [SPIKE_WINDOW + 1]
    assert timings[0] == {"step": 1, "seconds": 0.5, "tokens_per_second": 200}
    assert context.counts == {"steps": SPIKE_WINDOW + 1, "loss_spikes": 1}
    assert context.timings["tokens_per_second"] == 200


def test_operations_are_six_for_each_weight_and_token() -> None:
    model = tiny_llama(hidden_size=32, layers=2)
    body, head = matrix_parameters(model)
    assert head == 331 * 32
    assert body == sum(p.numel() for n, p in model.named_parameters() if "proj" in n)
    assert step_flops((body, head), 10, 4) == 6 * (10 * body + 4 * head)
    assert peak_flops(torch.device("cpu")) is None


def test_the_recipe_says_how_many_tokens_are_computed_at_once() -> None:
    assert micro_batch_tokens(tiny_llama(), Runtime(), 1) == CPU_MICRO_BATCH_TOKENS
    assert micro_batch_tokens(tiny_llama(), Runtime(training=Training(micro_batch_tokens=7)), 1) == 7


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_gets_the_curves(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracker = open_tracker("tensorboard", tmp_path, "toy")
    for step in (1, 2):
        tracker.log(step, {"loss": 3.0 - step})
    tracker.close()
    found = events.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(1, 2.0), (2, 1.0)]


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_a_tracker_that_is_not_installed_says_how(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(MissingExtra, match=rf"{kind} is not installed.*seallm\[track\]"):
        open_tracker(kind, tmp_path, "toy")
