"""Rows of packed documents against plain forwards of transformers: isolated, and as one run of text."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from seallm.base.errors import DataError
from seallm.base.runtime import Runtime
from seallm.train.mixture import TextBatches, TextRows, document_files, make_stream
from seallm.train.objectives import next_token_loss
from seallm.train.processes import ALONE
from seallm.train.segments import IGNORED
from seallm.train.sources import Source
from seallm.train.store import TokenStore, build_store, tokenizer_mark
from tests.train.conftest import ENGLISH, THAI, tiny_llama, varied, write_documents

CPU = torch.device("cpu")
ROW_TOKENS = 96


@pytest.fixture
def store(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> TokenStore:
    files = {name: tmp_path / f"{name}.parquet" for name in ("en.high", "th.high")}
    for (name, path), texts in zip(files.items(), (ENGLISH, THAI), strict=True):
        write_documents(path, varied(texts, 12), name[:2])
    tokenizer.save_pretrained(str(tmp_path / "tokenizer"))
    mark = tokenizer_mark(tmp_path / "tokenizer", tokenizer)
    return build_store(tmp_path / "tokens", files, mark, Runtime(show_progress=False))


def make_rows(store: TokenStore, *, isolate: bool) -> TextRows:
    sources = {name: (Source(name, store.documents(name), 0), 0) for name in store.tokens}
    stream = make_stream("test", sources, {"en.high": 0.5, "th.high": 0.5}, 8, ROW_TOKENS)
    return TextRows(stream, list(sources), store, isolate)


def mean_loss(model: LlamaForCausalLM, runs: list[tuple[list[int], list[int]]]) -> torch.Tensor:
    """Of runs of (ids, targets), each in a forward of its own."""
    sums, count = [], 0
    for ids, targets in runs:
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        wanted = torch.tensor(targets)
        sums.append(torch.nn.functional.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum"))
        count += int((wanted != IGNORED).sum())
    return torch.stack(sums).sum() / count


@pytest.mark.parametrize("isolate", [True, False])
def test_packed_rows_equal_plain_forwards(store: TokenStore, tokenizer: PreTrainedTokenizerFast, isolate: bool) -> None:
    model = tiny_llama(len(tokenizer))
    rows = make_rows(store, isolate=isolate)
    runs = []
    for number in range(8):
        segments = rows.row(number)
        apart = [(s.ids.tolist(), s.targets.tolist()) for s in segments]
        runs += apart if isolate else [([t for ids, _ in apart for t in ids], [t for _, own in apart for t in own])]
    assert any(len(rows.row(number)) > 1 for number in range(8))
    expected = mean_loss(model, runs)
    expected.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    step = TextBatches(rows, 8, CPU)(0)
    found = sum(next_token_loss(model, part) for part in step.parts(ALONE))
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-6)


def test_the_ends_of_segments_follow_the_isolation(store: TokenStore) -> None:
    for isolate in (True, False):
        rows = make_rows(store, isolate=isolate)
        part = next(iter(TextBatches(rows, 8, CPU)(0).parts(ALONE)))
        segments = [rows.row(number) for number in range(8)]
        runs = sum(len(row) if isolate else 1 for row in segments)
        padded = sum(sum(len(s.ids) for s in row) < ROW_TOKENS for row in segments)
        assert len(part.ends) == runs + padded + 1
        assert part.ends[-1] == 8 * ROW_TOKENS


def test_a_file_that_vanishes_or_is_cut_short_while_training_is_named(store: TokenStore) -> None:
    batches = TextBatches(make_rows(store, isolate=True), 2, CPU)
    batches(0)
    path = store.folder / "th.high.tokens.npy"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(DataError, match=r"th\.high\.tokens\.npy of the token store is gone"):
        batches(1)
    path.write_bytes(content[:-10])
    with pytest.raises(DataError, match=rf"has {len(content) - 10:,} bytes; it had {len(content):,} bytes"):
        batches(1)
    path.write_bytes(content)
    batches(1)


def test_a_corpus_without_the_languages_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no documents of km in tiers high.*funnel\.json"):
        document_files(tmp_path, ["km"], ["high"])
