"""The same answers and scores from llama.cpp; runs where llama-cpp-python and gguf are installed."""

import random
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, Qwen3Config

from seallm.base.errors import MissingExtra, ModelError
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.export.gguf_file import plan_conversion, write_gguf
from seallm.model.continuous import ContinuousBatch
from seallm.model.jobs import Job, Update
from seallm.model.rows import TransformersRows
from seallm.serve.engine import Engine
from seallm.serve.llama_cpp_rows import LlamaCppRows, find_gguf
from seallm.serve.loading import EngineSettings, load_engine
from seallm.serve.requests import Piece
from tests.serve.small_model import ANSWERS

GREEDY = SamplingSettings(40, temperature=0.0)


def has_llama_cpp() -> bool:
    try:
        import gguf  # noqa: F401
        import llama_cpp  # noqa: F401
    except ImportError:
        return False
    return True


needs_llama_cpp = pytest.mark.skipif(not has_llama_cpp(), reason="llama-cpp-python and gguf are not installed")


@pytest.fixture(scope="module")
def folder(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a GGUF file beside it."""
    copy = tmp_path_factory.mktemp("gguf") / "small"
    shutil.copytree(small_run / "06-sft" / "model", copy)
    write_gguf(plan_conversion(copy, "f32", list(ANSWERS)), copy / "small.gguf", "small", "f32")
    return copy


def finish(batch: ContinuousBatch, jobs: list[Job]) -> list[list[Update]]:
    """Jobs that come at different steps, to the end."""
    updates: list[list[Update]] = [[] for _ in jobs]
    coming = list(enumerate(jobs))
    drawn = random.Random(2)
    while coming or batch.num_sequences:
        if coming and drawn.random() < 0.4:
            batch.add(*coming.pop(0))
        for update in batch.step():
            updates[update.key].append(update)
    return updates


@needs_llama_cpp
def test_answers_are_those_of_our_own_engine(folder: Path) -> None:
    engine = load_engine(folder, EngineSettings(kind="llama.cpp", device="cpu", max_rows=3, cache_gib=0.001))
    try:
        for question, answer in ANSWERS.items():
            pieces = [e.text for e in engine.stream(_ask(engine, question)) if isinstance(e, Piece)]
            assert "".join(pieces) == answer
    finally:
        engine.close()


def _ask(engine: Engine, question: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return engine.request([Message("user", question)], SamplingSettings(200, temperature=0.0))


@needs_llama_cpp
def test_ids_scores_and_reuse_are_those_of_transformers(folder: Path) -> None:
    drawn = random.Random(1)
    common = [drawn.randrange(3, 250) for _ in range(60)]
    prompts = [common[: 60 * (n % 2)] + [drawn.randrange(3, 250) for _ in range(5 + 9 * n)] for n in range(7)]
    jobs = [Job(prompt, GREEDY, {1}, num_top=2, scores_prompt=n == 4) for n, prompt in enumerate(prompts)]
    theirs = ContinuousBatch(LlamaCppRows(find_gguf(folder), 3, 2**20, step_tokens=32), 3, 32)
    ours = ContinuousBatch(TransformersRows(AutoModelForCausalLM.from_pretrained(folder), 2**28, 2**28), 3, 32)
    for found, expected in zip(finish(theirs, jobs), finish(ours, jobs), strict=True):
        assert [u.token_id for u in found] == [u.token_id for u in expected]
        for mine, other in zip(found, expected, strict=True):
            assert mine.score is not None
            assert other.score is not None
            assert mine.score.log_probability == pytest.approx(other.score.log_probability, abs=0.02)
    assert theirs.figures.reused_tokens > 100
    theirs.add(99, jobs[0])
    theirs.step()
    theirs.clear()
    assert theirs.num_sequences == theirs.computer.num_kept_tokens == 0
    again = [u.token_id for u in finish(theirs, jobs[:1])[0]]
    assert again == [u.token_id for u in finish(ours, jobs[:1])[0]]


@needs_llama_cpp
def test_the_cache_is_as_large_as_asked_where_heads_have_a_width_of_their_own(small_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    shutil.copytree(small_run / "06-sft" / "model", folder)
    vocabulary = AutoModelForCausalLM.from_pretrained(folder).config.vocab_size
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    write_gguf(plan_conversion(folder, "f32", list(ANSWERS)), folder / "wide.gguf", "wide", "f32")
    token_bytes = 2 * 2 * 2 * 2 * 32  # keys and values, float16, layers, heads, width
    for max_rows, tokens, cells, longest in ((8, 1_000, 1_000, 512), (1, 1_000, 512, 512), (8, 300, 300, 300)):
        rows = LlamaCppRows(find_gguf(folder), max_rows, tokens * token_bytes, step_tokens=8)
        assert (rows.num_cells, rows.max_sequence_tokens, rows.model_positions) == (cells, longest, 512)


@needs_llama_cpp
def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelError, match="cannot load"):
        LlamaCppRows(find_gguf(tmp_path), 1, 2**20, step_tokens=8)


def test_no_gguf_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds none; expected one GGUF file"):
        find_gguf(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.gguf").touch()
    with pytest.raises(ModelError, match=r"holds a\.gguf, b\.gguf"):
        find_gguf(tmp_path)


@pytest.mark.skipif(has_llama_cpp(), reason="it is installed")
def test_without_the_extra(small_run: Path, tmp_path: Path) -> None:
    shutil.copytree(small_run / "06-sft" / "model", tmp_path / "m")
    (tmp_path / "m" / "x.gguf").touch()
    with pytest.raises(MissingExtra, match=r"seallm\[llama-cpp\]"):
        load_engine(tmp_path / "m", EngineSettings(kind="llama.cpp", device="cpu"))
    with pytest.raises(MissingExtra, match=r"seallm\[vllm\]"):
        load_engine(tmp_path / "m", EngineSettings(kind="vllm"))
