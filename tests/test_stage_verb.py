"""`torchrun ... -m seallm stage`: two processes make the stage that one process made before."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
name = "tiny"
languages = ["en", "th"]
base.train = { documents = ["sample:base/english.jsonl.gz"], vocabulary_tokens = 300, hidden_size = 32, layers = 2, \
steps = 2, batch_tokens = 512 }
sft = { conversations = ["sample:chat/en.jsonl"], epochs = 0.3, batch_tokens = 1024 }
compute = { threads = 1, device = "cpu" }
"""


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_torchrun_trains_what_one_process_trained(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    root = Path(__file__).parents[1]

    def call(*command: str) -> str:
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=root)
        assert done.returncode == 0, done.stderr[-2_000:]
        return done.stdout

    rest = (str(tmp_path / "tiny.toml"), "--workspace", str(tmp_path))
    call("seallm", "run", *rest)
    sft = next(tmp_path.glob("tiny/*-sft"))
    expected, manifest = losses(sft), json.loads((sft / "manifest.json").read_text())
    shutil.rmtree(sft)
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "seallm", "stage", "sft")
    assert "sft done" in call(*torchrun, *rest)
    assert losses(sft) == pytest.approx(expected, abs=2e-6)
    found = json.loads((sft / "manifest.json").read_text())
    assert (found["fingerprint"], found["counts"]) == (manifest["fingerprint"], manifest["counts"])
    assert "sft already finished" in call("seallm", "stage", "sft", *rest)
