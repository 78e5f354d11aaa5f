"""Held-out conversations are measured as a plain forward measures them, by language, and never trained on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seallm.base.records import read_conversations
from seallm.base.runtime import Training
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.recipe_training import Optimiser, Sft
from seallm.train import held_out_chats, sft
from tests.train.conftest import MakeContext, chat_row, make_chat, rows_of, write_chat

SETTINGS = Sft(
    judge_share=0.0,
    sequence_tokens=160,
    batch_tokens=320,
    epochs=4.0,
    evaluate_every_steps=4,
    checkpoint_every_steps=3,
    optimiser=Optimiser(learning_rate=1e-2, warmup_share=0.1),
)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """The folder of a stage `instructions`."""
    folder = tmp_path / "instructions"
    make_chat(folder / "sft.jsonl")
    held_out = [chat_row(f"What is {n} and {n}?", f"It is {2 * n}.", "en") for n in range(20, 24)]
    held_out += [chat_row("7 กับ 7 ได้เท่าไร", "ได้ 14 ครับ", "th"), chat_row("x" * 400, "too long for a row", "th")]
    write_chat(folder / "held_out.jsonl", held_out)
    return folder


def test_the_loss_is_that_of_plain_forwards(base_folder: Path, parts: Path, make_context: MakeContext) -> None:
    context = make_context("sft", inputs={"model": base_folder, "instructions": parts})
    sft.run(SETTINGS, context)
    rows = rows_of(context.out / "held_out.jsonl")
    last = context.counts["steps"]
    steps = [*range(0, last, 4), last]
    assert [(row["step"], row["language"]) for row in rows] == [
        (s, code) for s in steps for code in ("en", "th", "all")
    ]
    assert context.counts["held_out"] == {"longer than sequence_tokens": 1, "measured": 5}
    model = load_model(context.out / "model", context.runtime).eval()
    chat = ChatFormat(load_tokenizer(context.out / "model"))
    losses = []
    for conversation in read_conversations(parts / "held_out.jsonl")[0][:4]:
        encoded = chat.encode(conversation.messages)
        with torch.no_grad():
            logs = model(input_ids=torch.tensor([encoded.ids])).logits[0].log_softmax(-1)
        wanted = [i for i, is_target in enumerate(encoded.supervised) if is_target]
        losses.append([-float(logs[i - 1, encoded.ids[i]]) for i in wanted])
    tokens = sum(map(len, losses))
    english = rows[-3]
    assert (english["n"], english["tokens"]) == (4, tokens)
    assert english["loss"] == pytest.approx(sum(map(sum, losses)) / tokens, rel=1e-4)
    whole = rows[-1]
    assert whole["loss"] * whole["tokens"] == pytest.approx(sum(r["loss"] * r["tokens"] for r in rows[-3:-1]))
    assert whole["loss"] < rows[2]["loss"], "answers of the same kind become more probable"


def test_weights_do_not_depend_on_measuring_and_the_best_checkpoint_stays(
    base_folder: Path, parts: Path, make_context: MakeContext
) -> None:
    context = make_context("measured", inputs={"model": base_folder, "instructions": parts})
    best = Training(keep_best_checkpoint=True)
    sft.run(SETTINGS, replace(context, runtime=replace(context.runtime, training=best)))
    assert list((context.out / "checkpoint").iterdir())
    (parts / "held_out.jsonl").write_text("")
    plain = make_context("plain", inputs=context.inputs)
    sft.run(SETTINGS, plain)
    assert not (plain.out / "held_out.jsonl").exists()
    weights = [(c.out / "model" / "model.safetensors").read_bytes() for c in (context, plain)]
    assert weights[0] == weights[1]


def test_only_so_many_of_a_language_are_measured(
    parts: Path, make_context: MakeContext, chat_format: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out_chats, "CONVERSATIONS", 3)
    context = make_context("x", inputs={"instructions": parts})
    found = held_out_chats.read_held_out_chats(context, chat_format, 160)
    assert {language: len(segments) for language, segments in found.items()} == {"en": 3, "th": 1}
    assert context.counts["held_out"]["more than are measured"] == 1
    assert held_out_chats.read_held_out_chats(make_context("y"), chat_format, 160) == {}
