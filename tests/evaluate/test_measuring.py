import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from seallm.base.errors import DataError, RecipeError
from seallm.base.runtime import Runtime
from seallm.evaluate.candidates import FolderCandidate
from seallm.evaluate.engine import Engine
from seallm.evaluate.harness import offline
from seallm.evaluate.measuring import Work, measure_all, measure_share, prepare
from seallm.model.checkpoints import save_model
from seallm.recipe import Evaluate


@pytest.fixture
def work(random_model: LlamaForCausalLM, engine: Engine, tmp_path: Path) -> Work:
    for name in ("first", "second"):
        save_model(tmp_path / name, random_model, engine.tokenizer)
    row = {"question": "Which is it?", "choices": ["a cat", "two dogs"], "answer": 0}
    for number, code in enumerate(("en", "th", "lo"), 1):
        (tmp_path / f"quiz.{code}.jsonl").write_text((json.dumps(row) + "\n") * number, encoding="utf-8")
    (tmp_path / "text.en.txt").write_text("Good morning.", encoding="utf-8")
    candidates = tuple(FolderCandidate(name, tmp_path / name) for name in ("first", "second"))
    settings = Evaluate(tasks=["quiz"], data=str(tmp_path), shots=0)
    runtime = Runtime(show_progress=False)
    return Work(candidates, settings, ("en", "th", "lo"), tmp_path / "out", runtime, (tmp_path / "text.en.txt",))


def parts(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "parts").glob("*")}


def test_processes_share_the_parts_and_leave_what_one_leaves(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for rank in (0, 1):
        before = set(parts(work.out))
        with monkeypatch.context() as place:
            place.setenv("RANK", str(rank))
            place.setenv("WORLD_SIZE", "2")
            measure_share(work)
        shares.append(set(parts(work.out)) - before)
    assert [len(share) for share in shares] == [4, 4]
    together = parts(work.out)
    alone = replace(work, out=work.out.with_name("alone"))
    with offline():
        measure_all(alone, prepare(alone))
    assert parts(alone.out) == together


def test_nothing_to_measure_is_told(work: Work) -> None:
    with offline():
        with pytest.raises(RecipeError, match="Nothing to measure: name --tasks"):
            prepare(replace(work, texts=(), settings=Evaluate(tasks=[], data="x")))
        with pytest.raises(DataError, match=r"quiz\.en\.jsonl does not exist"):
            prepare(replace(work, texts=(), settings=Evaluate(tasks=["quiz"], data="/nowhere")))
