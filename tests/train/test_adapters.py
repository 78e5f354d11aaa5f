import sys
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from seallm.base.artifacts import StageContext
from seallm.base.errors import MissingExtra
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.recipe_training import Adapter, Dpo, Optimiser, Sft
from seallm.train import dpo, sft
from seallm.train.adapters import ADAPTER, NEW_ROWS, load_adapter, tune
from seallm.train.start import Start, load_start
from tests.train.conftest import MakeContext, rows_of, tiny_llama

FAST = Optimiser(learning_rate=1e-2)
SMALL = Adapter(rank=4, alpha=8.0)


@pytest.fixture
def context(make_context: MakeContext, base_folder: Path) -> StageContext:
    return make_context("out", inputs={"model": base_folder})


def tuned_by_sft(context: StageContext, chat_file: Path, adapter: Adapter | None = SMALL) -> None:
    settings = Sft(
        conversations=[str(chat_file)],
        epochs=20.0,
        sequence_tokens=160,
        batch_tokens=640,
        optimiser=FAST,
        adapter=adapter,
    )
    sft.run(settings, context)


def test_an_adapter_changes_nothing_at_first(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = torch.arange(20)[None]
    expected = tiny_llama()(ids, use_cache=False).logits
    tuned = tune(Start(tiny_llama(), tokenizer, []), SMALL, 0)
    assert torch.equal(tuned.start.model(ids, use_cache=False).logits, expected)
    trained = [name for name, p in tuned.start.model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)


def test_fine_tuning_an_adapter_learns_and_leaves_the_rest(context: StageContext, chat_file: Path) -> None:
    tuned_by_sft(context, chat_file)
    losses = [row["loss"] for row in rows_of(context.out / "metrics.jsonl")]
    assert losses[-1] < losses[0] - 0.5
    base, merged = load_start(context), load_model(context.out / "model", context.runtime)
    assert base.new_ids, "chat tokens are new here"
    assert not any("lora" in name for name, _ in merged.named_parameters())
    old = [i for i in range(len(base.tokenizer)) if i not in base.new_ids]
    before, after = (m.get_input_embeddings().weight for m in (base.model, merged))
    assert torch.equal(before[old], after[old])
    assert (before[base.new_ids] != after[base.new_ids]).any(dim=1).all()
    sizes = {p.name: p.stat().st_size for p in (context.out / ADAPTER).iterdir()}
    assert sizes.keys() == {"adapter_config.json", "adapter_model.safetensors", NEW_ROWS}
    assert sizes[NEW_ROWS] < 1_000, "a few rows, not the whole embedding"


def test_a_saved_adapter_merges_to_the_same_model(context: StageContext, chat_file: Path) -> None:
    tuned_by_sft(context, chat_file)
    expected = load_model(context.out / "model", context.runtime)
    found = load_adapter(context.out / ADAPTER, load_start(context).model)
    assert load_tokenizer(context.out / "model").get_vocab() == load_start(context).tokenizer.get_vocab()
    for (name, mine), theirs in zip(found.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6, msg=name)


def test_four_bits_train_and_merge_into_the_weights_that_came(context: StageContext, chat_file: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    tuned_by_sft(context, chat_file, Adapter(rank=4, alpha=8.0, four_bit=True))
    losses = [row["loss"] for row in rows_of(context.out / "metrics.jsonl")]
    assert losses[-1] < losses[0] - 0.5
    base, merged = load_start(context).model, load_model(context.out / "model", context.runtime)
    for name, before in base.named_parameters():
        after = merged.get_parameter(name)
        assert before.shape == after.shape
        if "norm" in name:
            assert torch.equal(before, after)
        elif "proj" in name:  # what the adapter added, and no rounding to four bits
            assert torch.linalg.matrix_rank(after - before, rtol=1e-3) <= 4


@pytest.mark.parametrize(("package", "adapter"), [("peft", SMALL), ("bitsandbytes", Adapter(four_bit=True))])
def test_what_is_not_installed_is_named(
    package: str, adapter: Adapter, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=f"{package} is not installed"):
        tune(Start(tiny_llama(), tokenizer, []), adapter, 0)


def test_preferences_tune_an_adapter_against_the_plain_model(context: StageContext, prefer_folder: Path) -> None:
    context = StageContext(
        context.out, {**context.inputs, "prefer": prefer_folder}, context.languages, 3, context.runtime, context.out
    )
    settings = Dpo(epochs=4.0, batch_pairs=4, max_sequence_tokens=256, optimiser=FAST, adapter=SMALL)
    dpo.run(settings, context)
    losses = [row["loss"] for row in rows_of(context.out / "metrics.jsonl")]
    assert losses[0] == pytest.approx(0.6931, abs=1e-4)
    assert losses[-1] < 0.3
    assert (context.out / ADAPTER / "adapter_model.safetensors").is_file()
