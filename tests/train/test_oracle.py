"""transformers' Trainer and TRL as oracles: same model, data, order and settings, the same losses for twenty steps."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments, default_data_collator

from seallm.base.runtime import Runtime
from seallm.recipe_training import Dpo, Optimiser
from seallm.train.batches import step_batch
from seallm.train.dpo import PairBatches
from seallm.train.loop import Periodic, Phase, StepBatch, train
from seallm.train.objectives import next_token_loss
from seallm.train.pairs import Pair
from seallm.train.reference import log_probabilities_of
from seallm.train.segments import IGNORED, Segment
from tests.train.conftest import MakeContext, rows_of, tiny_llama

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytestmark = pytest.mark.filterwarnings("ignore")

STEPS, ROWS, DOCUMENTS, LENGTH, VOCABULARY, END = 20, 2, 3, 16, 300, 2
RATE = 1e-3
STEADY = Optimiser(learning_rate=RATE, warmup_share=0.0, final_learning_rate_share=1.0, weight_decay=0.1)


def documents() -> np.ndarray:
    """(steps, rows, documents, LENGTH): documents that count on."""
    generator = np.random.default_rng(0)
    shape = (STEPS, ROWS, DOCUMENTS, 1)
    return generator.integers(3, 200, shape) + generator.integers(1, 5, shape) * np.arange(LENGTH)


def labels_of(ids: np.ndarray, prompt: int) -> np.ndarray:
    labels = ids.copy()
    labels[..., : max(1, prompt)] = IGNORED
    return labels


def our_losses(phase: Phase[Any], make_context: MakeContext) -> list[float]:
    context = make_context("ours")
    train(tiny_llama(VOCABULARY), [phase], context, Periodic("oracle", 10**9))
    return [row["loss"] for row in rows_of(context.out / "metrics.jsonl")]


def token_phase(prompt: int) -> Phase[Any]:
    data = documents()

    def batches(step: int) -> StepBatch[Any]:
        labels = labels_of(data[step], prompt)
        rows = [
            [Segment(i, np.append(w[1:], IGNORED), "en") for i, w in zip(*row, strict=True)]
            for row in zip(data[step], labels, strict=True)
        ]
        return step_batch(rows, DOCUMENTS * LENGTH, torch.device("cpu"))

    return Phase("oracle", STEPS, batches, next_token_loss, STEADY)


def arguments(kind: Callable[..., Any], folder: Path, batch: int, **more: Any) -> Any:
    return kind(
        output_dir=str(folder / "theirs"),
        per_device_train_batch_size=batch,
        max_steps=STEPS,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        weight_decay=0.1,
        optim="adamw_torch_fused",
        use_cpu=True,
        bf16=False,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **more,
    )


def their_losses(trainer: Any) -> list[float]:
    embeddings = trainer.model.get_input_embeddings().weight
    # what does not decay: here vectors and embeddings, there vectors alone
    trainer.get_decay_parameter_names = lambda model: [
        name for name, p in model.named_parameters() if p.dim() > 1 and p is not embeddings
    ]
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(trainer.train_dataset)
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert len(losses) == STEPS
    return losses


@pytest.mark.parametrize("prompt", [0, 12])
def test_packed_rows_train_as_in_transformers(prompt: int, make_context: MakeContext, tmp_path: Path) -> None:
    ids = documents()
    shape = (STEPS * ROWS, DOCUMENTS * LENGTH)
    positions = np.broadcast_to(np.arange(shape[1]) % LENGTH, shape)
    columns = (ids.reshape(shape), labels_of(ids, prompt).reshape(shape), positions)
    names = ("input_ids", "labels", "position_ids")
    data = [dict(zip(names, map(torch.tensor, row), strict=True)) for row in zip(*columns, strict=True)]
    settings = arguments(TrainingArguments, tmp_path, ROWS)
    theirs = their_losses(Trainer(tiny_llama(VOCABULARY), settings, default_data_collator, data))
    ours = our_losses(token_phase(prompt), make_context)
    assert ours == pytest.approx(theirs, abs=1e-4)


def word_tokenizer() -> Any:
    """A tokenizer for which `w17` is token 17."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": END} | {f"w{i}": i for i in range(3, VOCABULARY)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w3"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def test_masked_prompts_train_as_in_trl(make_context: MakeContext, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="TRL is not installed")
    from datasets import Dataset

    ids = documents().reshape(-1, LENGTH)
    data = Dataset.from_dict({"input_ids": ids.tolist(), "labels": labels_of(ids, 12).tolist()})
    settings = arguments(trl.SFTConfig, tmp_path, ROWS * DOCUMENTS, packing=False, max_length=64)
    trainer = trl.SFTTrainer(
        tiny_llama(VOCABULARY), args=settings, train_dataset=data, processing_class=word_tokenizer()
    )
    assert our_losses(token_phase(12), make_context) == pytest.approx(their_losses(trainer), abs=1e-4)


def pairs(*, are_alike: bool) -> list[Pair]:
    """Pairs of random tokens, of different lengths or all of one."""
    generator = np.random.default_rng(1)
    found = []
    for prompt, chosen, rejected in generator.integers(3, 4 if are_alike else 20, (STEPS * ROWS, 3)):
        parts = [generator.integers(3, VOCABULARY, n).tolist() for n in (prompt, chosen, rejected)]
        found.append(Pair(parts[0], [*parts[1], END], [*parts[2], END]))
    return found


class InOrder(PairBatches):
    """Pairs as they come, which is how the other side reads them."""

    def _pair(self, draw: int) -> int:
        return draw


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ({}, {"loss_type": ["sigmoid"]}),
        ({"length_normalised": True, "beta": 2.0}, {"loss_type": ["sigmoid_norm"], "beta": 2.0}),
        ({"objective": "ipo", "length_normalised": True}, {"loss_type": ["ipo"]}),
        ({"sft_weight": 0.5}, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]}),
    ],
)
def test_preferences_train_as_in_trl(
    settings: dict[str, Any], theirs: dict[str, Any], make_context: MakeContext, tmp_path: Path
) -> None:
    trl = pytest.importorskip("trl", reason="TRL is not installed")
    from datasets import Dataset

    data = pairs(are_alike="sft_weight" in settings)  # there the supervised term is a mean over all tokens of a batch
    reference = log_probabilities_of(tiny_llama(VOCABULARY), data, Runtime())
    batches = InOrder(data, reference, Dpo(batch_pairs=ROWS, **settings), 0, torch.device("cpu"))

    ours = our_losses(Phase("oracle", STEPS, batches, batches.objective, STEADY), make_context)
    words = {
        name: [" ".join(f"w{i}" for i in getattr(pair, name) if i != END) for pair in data]
        for name in ("prompt", "chosen", "rejected")
    }
    words |= {name: [" " + text for text in words[name]] for name in ("chosen", "rejected")}
    more = {"beta": 0.1, **theirs, "max_length": 128, "precompute_ref_log_probs": True}
    trainer = trl.DPOTrainer(
        tiny_llama(VOCABULARY),
        args=arguments(trl.DPOConfig, tmp_path, ROWS, **more),
        train_dataset=Dataset.from_dict(words),
        processing_class=word_tokenizer(),
    )
    losses = their_losses(trainer)
    rows = trainer.train_dataset[:]
    sums = np.array([rows["ref_chosen_logps"], rows["ref_rejected_logps"]])
    np.testing.assert_allclose(reference, sums, atol=1e-3)
    assert ours == pytest.approx(losses, rel=1e-3, abs=1e-3)
