"""The five stages on tiny real inputs, one after another and in the wrong circumstances."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from seallm.base.errors import DataError, ModelError
from seallm.base.files import read_json
from seallm.base.records import write_preferences
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_tokenizer, save_model
from seallm.recipe import Base
from seallm.recipe_training import Dpo, Hybrid, Mixture, Optimiser, Pretrain, Sft, TrainBase
from seallm.train import base, dpo, hybrid, pretrain, reference, sft
from seallm.train.start import MODEL
from tests.folders import digests
from tests.train.conftest import (
    ENGLISH,
    THAI,
    MakeContext,
    chat_row,
    preferences,
    rows_of,
    tiny_llama,
    varied,
    write_chat,
    write_documents,
)

FAST = Optimiser(learning_rate=5e-3)
BATCH: dict[str, Any] = {"sequence_tokens": 64, "batch_tokens": 256, "checkpoint_every_steps": 2}


def pretrain_settings(**changes: Any) -> Pretrain:
    mixtures = [
        Mixture(name="rows", tiers=["high"], tokens=1024, trainable="new-rows", optimiser=FAST),
        Mixture(name="both", tiers=["high", "low"], tokens=1536, optimiser=FAST),
        Mixture(name="replay", tiers=["high"], tokens=512, optimiser=FAST),
    ]
    return Pretrain(**({"mixtures": mixtures, "evaluate_every_steps": 4} | BATCH | changes))


def hybrid_settings(chat: Path, **changes: Any) -> Hybrid:
    return Hybrid(**({"conversations": [str(chat)], "tokens": 1536, "optimiser": FAST} | BATCH | changes))


def sft_settings(chat: Path, **changes: Any) -> Sft:
    values = {"conversations": [str(chat)], "judge_share": 0.3, "optimiser": FAST}
    return Sft(**(values | BATCH | {"sequence_tokens": 160} | changes))


# ---------------------------------------------------------------------------------------------------------------- base


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    rows = [{"id": str(n), "text": text} for n, text in enumerate(varied(ENGLISH, 30))]
    path = write_chat(tmp_path / "documents.jsonl", [*rows, {"id": "empty", "text": " "}])
    with path.open("a") as file:
        file.write("{broken\n")
    return path


def base_settings(documents: Path, **changes: Any) -> Base:
    values = {"documents": [str(documents)], "vocabulary_tokens": 320, "hidden_size": 32, "layers": 2, "steps": 12}
    train = {"sequence_tokens": 64, "batch_tokens": 256, "max_sequence_tokens": 128, "optimiser": FAST}
    return Base(train=TrainBase(**(values | train | changes)))


def test_a_tiny_base_is_trained_and_loads_anywhere(documents: Path, make_context: MakeContext) -> None:
    context = make_context("base")
    base.run(base_settings(documents), context)
    model = AutoModelForCausalLM.from_pretrained(context.out / MODEL)
    tokenizer = AutoTokenizer.from_pretrained(context.out / MODEL)
    assert tokenizer("rice").input_ids[0] == tokenizer.bos_token_id == model.config.bos_token_id
    assert model.config.vocab_size == len(tokenizer) == context.counts["vocabulary_tokens"] == 320
    losses = [row["loss"] for row in rows_of(context.out / "metrics.jsonl")]
    assert len(losses) == 12
    assert losses[-1] < losses[0] - 0.5
    assert {p.name for p in context.out.iterdir()} == {MODEL, "metrics.jsonl", "timings.jsonl", "quarantine.jsonl"}
    assert context.counts["quarantined"] == 2
    first, second = rows_of(context.out / "quarantine.jsonl")
    assert first == {"where": "documents.jsonl:31", "reason": "no text"}
    assert second["where"] == "documents.jsonl:32"
    assert second["reason"].startswith("not a JSON object")


def test_the_base_is_the_same_every_time(documents: Path, make_context: MakeContext) -> None:
    contexts = [make_context(name) for name in ("one", "two")]
    for context in contexts:
        base.run(base_settings(documents, steps=4), context)
    assert digests(contexts[0].out) == digests(contexts[1].out)


def test_a_base_without_any_text_is_an_error(tmp_path: Path, make_context: MakeContext) -> None:
    path = write_chat(tmp_path / "documents.jsonl", [{"id": "1"}])
    with pytest.raises(DataError, match=r"documents\.jsonl"):
        base.run(base_settings(path), make_context("base"))


def test_a_base_with_sequences_beyond_its_positions_is_an_error(documents: Path, make_context: MakeContext) -> None:
    with pytest.raises(ModelError, match=r"\[base\.train\] sequence_tokens = 64 .* 32 positions"):
        base.run(base_settings(documents, max_sequence_tokens=32), make_context("base"))


def test_letters_stay_with_their_marks_and_digits_apart(tokenizer: PreTrainedTokenizerFast) -> None:
    def words(text: str) -> list[str]:
        found = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
        return [text[start:stop] for _, (start, stop) in found]

    assert words("It's 2025, isn't it?\n\nYes.") == [
        *("It", "'s", " ", "2", "0", "2", "5", ",", " isn", "'t", " it", "?\n\n", "Yes", ".")
    ]
    for word in ("မင်္ဂလာပါ", "សួស្តី", "ສະບາຍດີ", "สวัสดีครับ", "tiếng"):
        assert words(word) == [word]


def test_an_existing_model_is_checked_and_copied(base_folder: Path, make_context: MakeContext) -> None:
    context = make_context("copied")
    (base_folder / MODEL / "tokenizer.model").write_bytes(b"SentencePiece's own file, which the vocab stage extends")
    base.run(Base(model=str(base_folder / MODEL)), context)
    files = [folder / MODEL / "tokenizer.model" for folder in (base_folder, context.out)]
    assert files[0].read_bytes() == files[1].read_bytes()
    ids = torch.tensor([[5, 6, 7]])
    first, second = (AutoModelForCausalLM.from_pretrained(f / MODEL)(ids).logits for f in (base_folder, context.out))
    assert torch.equal(first, second)
    assert context.counts["parameters"] > 0


@pytest.mark.parametrize("lacking", ["tokenizer.json", "model.safetensors", "config.json"])
def test_an_incomplete_model_is_named(lacking: str, base_folder: Path, make_context: MakeContext) -> None:
    (base_folder / MODEL / lacking).unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json|weights|config\.json") as caught:
        base.run(Base(model=str(base_folder / MODEL)), make_context("copied"))
    assert "\n" not in str(caught.value)


def spoil(folder: Path) -> None:
    tensors = load_file(folder / MODEL / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"][3, 4] = math.nan
    save_file(tensors, folder / MODEL / "model.safetensors", metadata={"format": "pt"})


def test_weights_that_are_not_numbers_are_named(base_folder: Path, make_context: MakeContext) -> None:
    spoil(base_folder)
    with pytest.raises(ModelError, match=r"layers\.0\.mlp\.up_proj\.weight.*NaN"):
        base.run(Base(model=str(base_folder / MODEL)), make_context("copied"))


# ------------------------------------------------------------------------------------------------------------ pretrain


def test_pretraining_writes_what_it_should(
    base_folder: Path, corpus_folder: Path, vocab_folder: Path, make_context: MakeContext
) -> None:
    inputs = {"model": base_folder, "corpus": corpus_folder, "vocab": vocab_folder}
    context = make_context("pretrain", inputs=inputs)
    pretrain.run(pretrain_settings(), context)

    rows = rows_of(context.out / "metrics.jsonl")
    assert [(row["step"], row["mixture"]) for row in rows] == [
        *[(n, "rows") for n in range(1, 5)],
        *[(n, "both") for n in range(5, 11)],
        *[(n, "replay") for n in range(11, 13)],
    ]
    assert all(set(row["shares"]) <= {"en", "th", "lo"} for row in rows)
    assert context.counts["new_tokens"] == 4  # three pieces and the chat marker
    shares = {n: m["share"] for n, m in context.counts["mixtures"]["both"].items()}
    assert shares["en.high"] + shares["en.low"] == pytest.approx(0.25, abs=1e-3)
    assert shares.keys() == {"en.high", "en.low", "th.high", "th.low", "lo.high"}
    assert context.counts["mixtures"]["replay"].keys() == {"en.high", "th.high", "lo.high"}

    bits = rows_of(context.out / "bits_per_byte.jsonl")
    assert [(row["step"], row["full"]) for row in bits if row["language"] == "th"] == [
        ("base", True),
        (0, True),
        (4, False),
        (8, False),
        (12, True),
    ]
    assert {row["language"] for row in bits} == {"en", "th", "lo"}
    assert bits[0]["bytes"] == sum(len(text.encode()) for text in ENGLISH[:2])
    values = {(row["step"], row["language"]): row["bits_per_byte"] for row in bits}
    assert values[12, "th"] < values[0, "th"]

    tokenizer = load_tokenizer(context.out / MODEL)
    ChatFormat(tokenizer)
    assert len(tokenizer) == 334
    assert {p.name for p in context.out.iterdir()} == {
        MODEL,
        "tokens",
        "metrics.jsonl",
        "timings.jsonl",
        "bits_per_byte.jsonl",
    }


def test_new_rows_as_the_vocab_stage_and_the_recipe_want_them(
    base_folder: Path, corpus_folder: Path, vocab_folder: Path, make_context: MakeContext
) -> None:
    """The certificate says how many rows; rows of tokens with like neighbours need the corpus."""
    (vocab_folder / "certificate.json").write_text('{"row_multiple": 64}')
    context = make_context("pretrain", inputs={"model": base_folder, "corpus": corpus_folder, "vocab": vocab_folder})
    mixtures = [Mixture(name="rows", tiers=["high"], tokens=256, trainable="new-rows")]
    pretrain.run(pretrain_settings(mixtures=mixtures, embedding_init="similarity"), context)
    weight = load_file(context.out / MODEL / "model.safetensors")["model.embed_tokens.weight"]
    assert weight.shape[0] == 384
    assert len(load_tokenizer(context.out / MODEL)) == 334
    torch.testing.assert_close(weight[334:], weight[334:335].expand(50, -1))


def test_a_replay_feeds_only_what_was_seen(tmp_path: Path, base_folder: Path, make_context: MakeContext) -> None:
    corpus = tmp_path / "corpus"
    write_documents(corpus / "documents" / "en.high.parquet", varied(ENGLISH, 200), "en")
    write_documents(corpus / "held_out" / "en.parquet", ENGLISH[:1], "en")
    mixtures = [Mixture(name=name, tiers=["high"], tokens=tokens) for name, tokens in (("new", 1024), ("replay", 4096))]
    context = make_context("pretrain", inputs={"model": base_folder, "corpus": corpus}, languages=("en",))
    pretrain.run(pretrain_settings(mixtures=mixtures), context)
    seen = context.counts["mixtures"]["new"]["en.high"]["epochs"]
    again = context.counts["mixtures"]["replay"]["en.high"]["epochs"]
    assert seen < 0.2
    assert 3 < again < 4.1  # four times as many tokens, all from the documents that were seen, if only in part


def test_new_rows_without_new_tokens_are_an_error(
    tmp_path: Path, base_folder: Path, corpus_folder: Path, make_context: MakeContext, chat_format: ChatFormat
) -> None:
    shutil.rmtree(base_folder)
    save_model(base_folder / MODEL, tiny_llama(len(chat_format.tokenizer)), chat_format.tokenizer)
    context = make_context("pretrain", inputs={"model": base_folder, "corpus": corpus_folder})
    with pytest.raises(ModelError, match="'rows' trains new rows only"):
        pretrain.run(pretrain_settings(), context)


def test_sequences_beyond_the_positions_are_an_error(
    base_folder: Path, corpus_folder: Path, make_context: MakeContext
) -> None:
    context = make_context("pretrain", inputs={"model": base_folder, "corpus": corpus_folder})
    with pytest.raises(ModelError, match=r"\[pretrain\] sequence_tokens = 512 .* 256 positions"):
        pretrain.run(pretrain_settings(sequence_tokens=512), context)


def test_a_corpus_without_documents_is_an_error(tmp_path: Path, base_folder: Path, make_context: MakeContext) -> None:
    context = make_context("pretrain", inputs={"model": base_folder, "corpus": tmp_path})
    with pytest.raises(DataError, match=r"no documents of en, th, lo.*funnel\.json"):
        pretrain.run(pretrain_settings(), context)
    for language in ("en", "th"):
        write_documents(tmp_path / "documents" / f"{language}.high.parquet", [], language)
    with pytest.raises(DataError, match="empty"):
        pretrain.run(pretrain_settings(), context)


# ------------------------------------------------------------------------------------------------------- hybrid and sft


def test_hybrid_then_sft(base_folder: Path, corpus_folder: Path, chat_file: Path, make_context: MakeContext) -> None:
    first = make_context("hybrid", inputs={"model": base_folder, "corpus": corpus_folder})
    hybrid.run(hybrid_settings(chat_file, conversation_share=0.25), first)
    rows = rows_of(first.out / "metrics.jsonl")
    assert len(rows) == 6
    assert all(any(label.startswith("chat.en") for label in row["shares"]) for row in rows)  # one row in four
    assert not any(label in ("chat.th", "chat.lo") for row in rows for label in row["shares"])
    used = first.counts["conversations"]["used here"]
    assert 6 <= used < 12

    second = make_context("sft", inputs={"model": first.out})
    sft.run(sft_settings(chat_file), second)
    counts = second.counts["conversations"]
    assert counts["used in the hybrid stage"] == used
    assert counts["read"] == 21
    assert {"conversation", "joined", "exercise"} <= second.counts["examples"].keys()
    losses = [row["loss"] for row in rows_of(second.out / "metrics.jsonl")]
    assert losses[-1] < losses[0]
    assert (second.out / MODEL / "chat_template.jinja").is_file()


def test_hybrid_uses_the_token_store_of_pretraining(
    base_folder: Path, corpus_folder: Path, chat_file: Path, make_context: MakeContext
) -> None:
    first = make_context("pretrain", inputs={"model": base_folder, "corpus": corpus_folder})
    pretrain.run(pretrain_settings(), first)
    second = make_context("hybrid", inputs={"model": first.out, "corpus": corpus_folder})
    hybrid.run(hybrid_settings(chat_file), second)
    assert not (second.out / "tokens").exists()
    assert second.counts["tokens"] == first.counts["tokens"]


def test_sft_learns_the_answers(base_folder: Path, chat_file: Path, make_context: MakeContext) -> None:
    context = make_context("sft", inputs={"model": base_folder})
    sft.run(sft_settings(chat_file, epochs=30.0, judge_share=0.0, system_prompt_share=0.0), context)
    losses = [row["loss"] for row in rows_of(context.out / "metrics.jsonl")]
    assert losses[-1] < 0.4 * losses[0]


def test_hybrid_languages_without_conversations_are_an_error(
    base_folder: Path, corpus_folder: Path, chat_file: Path, make_context: MakeContext
) -> None:
    context = make_context("hybrid", inputs={"model": base_folder, "corpus": corpus_folder})
    with pytest.raises(DataError, match=r"languages = \['vi'\].*There are: en, lo, th"):
        hybrid.run(hybrid_settings(chat_file, languages=["vi"]), context)


def test_conversations_that_do_not_fit_are_counted(
    tmp_path: Path, base_folder: Path, chat_file: Path, make_context: MakeContext
) -> None:
    long = write_chat(tmp_path / "long.jsonl", [chat_row("Tell me all", " ".join(ENGLISH * 3), "en")])
    context = make_context("sft", inputs={"model": base_folder})
    sft.run(
        sft_settings(chat_file, conversations=[str(chat_file), str(long)], epochs=1.0, max_language_share=1.0), context
    )
    assert context.counts["examples"]["left out: conversation longer than sequence_tokens"] == 1


# ----------------------------------------------------------------------------------------------------------------- dpo


def dpo_settings(**changes: Any) -> Dpo:
    values = {"epochs": 4.0, "batch_pairs": 8, "max_sequence_tokens": 256, "checkpoint_every_steps": 2}
    return Dpo(**({"optimiser": Optimiser(learning_rate=2e-3), "beta": 0.5} | values | changes))


def test_dpo_learns_the_preference(base_folder: Path, prefer_folder: Path, make_context: MakeContext) -> None:
    context = make_context("dpo", inputs={"model": base_folder, "prefer": prefer_folder})
    dpo.run(dpo_settings(), context)
    rows = rows_of(context.out / "metrics.jsonl")
    assert len(rows) == 12
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)  # at first the policy is the reference
    assert rows[-1]["loss"] < 0.3
    accuracy = read_json(context.out / "preference_accuracy.json")
    assert accuracy["after"]["value"] == 1.0
    assert accuracy["improved"] == (accuracy["before"]["value"] < 1.0)
    assert accuracy["after"]["n"] == 12


def test_the_reference_is_computed_once(
    base_folder: Path, prefer_folder: Path, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context("dpo", inputs={"model": base_folder, "prefer": prefer_folder})
    dpo.run(dpo_settings(), context)
    expected = digests(context.out)
    calls = []
    real = reference.log_probabilities_of
    for module in (dpo, reference):
        monkeypatch.setattr(module, "log_probabilities_of", lambda *a, **k: calls.append(a) or real(*a, **k))
    dpo.run(dpo_settings(), context)
    assert len(calls) == 1  # held-out pairs after training; nothing of the reference
    changed = replace(context, out=context.out.with_name("dpo.partial"))
    changed.out.mkdir()
    dpo.run(dpo_settings(epochs=0.1), changed)
    assert len(calls) == 2  # another setting finds the reference in the folder that it will replace
    assert digests(context.out) == expected
    write_preferences(prefer_folder / "held_out.jsonl", preferences(5))
    dpo.run(dpo_settings(), context)
    assert len(calls) == 4


def test_without_pairs_the_model_stays_and_says_so(
    tmp_path: Path, base_folder: Path, chat_file: Path, prefer_folder: Path, make_context: MakeContext
) -> None:
    tuned = make_context("sft", inputs={"model": base_folder})
    sft.run(sft_settings(chat_file), tuned)
    write_preferences(prefer_folder / "preferences.jsonl", [])
    context = make_context("dpo", inputs={"model": tuned.out, "prefer": prefer_folder})
    dpo.run(dpo_settings(), context)
    assert digests(context.out / MODEL) == digests(tuned.out / MODEL)
    accuracy = read_json(context.out / "preference_accuracy.json")
    assert accuracy["improved"] is False
    assert "no preference pairs" in accuracy["sentence"]
    assert accuracy["before"] == accuracy["after"]
    assert (context.out / "metrics.jsonl").read_text() == ""
    write_preferences(prefer_folder / "held_out.jsonl", [])
    dpo.run(dpo_settings(), context)
    assert read_json(context.out / "preference_accuracy.json")["after"]["value"] is None


def test_dpo_tells_what_was_gained(base_folder: Path, prefer_folder: Path, make_context: MakeContext) -> None:
    context = make_context("dpo", inputs={"model": base_folder, "prefer": prefer_folder})
    dpo.run(dpo_settings(evaluate_every_steps=5), context)
    rows = rows_of(context.out / "metrics.jsonl")
    assert rows[0]["margin"] == pytest.approx(0.0, abs=1e-4)
    assert rows[-1]["margin"] > 0.5
    assert rows[-1]["accuracy"] == 1.0
    assert rows[-1]["languages"]["en"]["pairs"] == rows[-1]["pairs"] == 8
    held_out = rows_of(context.out / "held_out.jsonl")
    assert [row["step"] for row in held_out] == [0, 5, 10]
    assert held_out[0]["gained"] == {"chosen": 0.0, "rejected": 0.0, "kl": 0.0}
    assert held_out[-1]["gained"]["chosen"] > held_out[-1]["gained"]["rejected"]
    accuracy = read_json(context.out / "preference_accuracy.json")
    assert accuracy["languages"]["en"]["after"] == accuracy["after"]
    assert accuracy["gained"]["chosen"] > accuracy["gained"]["rejected"]


def test_chosen_answers_that_become_unlikely_are_noticed(
    base_folder: Path, prefer_folder: Path, make_context: MakeContext
) -> None:
    context = make_context("dpo", inputs={"model": base_folder, "prefer": prefer_folder})
    steep = {"optimiser": Optimiser(learning_rate=0.1), "evaluate_every_steps": 2, "max_chosen_fall": 0.01}
    dpo.run(dpo_settings(**steep), context)
    sentence = read_json(context.out / "preference_accuracy.json")["sentence"]
    assert "more than max_chosen_fall = 0.01" in sentence
    stopped = make_context("stopped", inputs=context.inputs)
    for _ in range(2):  # again after a resume
        with pytest.raises(ModelError, match=r"stopped after step \d+: .* fell by"):
            dpo.run(dpo_settings(**steep, on_chosen_fall="stop"), stopped)


def test_preferences_of_ones_own(base_folder: Path, tmp_path: Path, make_context: MakeContext) -> None:
    write_preferences(tmp_path / "own.jsonl", preferences(40))
    with (tmp_path / "own.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}\n{"prompt": "Hi"}\n')
    context = make_context("dpo", inputs={"model": base_folder})
    dpo.run(dpo_settings(preferences=["own.jsonl"], epochs=0.2), context)
    counts = context.counts
    assert counts["rows"] == {"read": 41, "quarantined": 1}
    assert counts["preferences"]["pairs"] + counts["held_out"]["pairs"] == 41
    assert counts["held_out"]["pairs"] > 0
    (quarantined,) = rows_of(context.out / "quarantine.jsonl")
    assert quarantined["where"] == "own.jsonl:42"
    (tmp_path / "own.jsonl").write_text('{"prompt": 3}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"holds no usable pair: 1 bad rows, the first: own\.jsonl:1: chosen"):
        dpo.run(dpo_settings(preferences=["own.jsonl"]), make_context("none", inputs=context.inputs))


def test_imported_preferences_are_trained_on(
    base_folder: Path, prefer_folder: Path, tmp_path: Path, make_context: MakeContext
) -> None:
    imported = preferences(30, start=100) + preferences(2) + preferences(2, start=50)
    write_preferences(tmp_path / "instructions" / "preferences.jsonl", imported)
    inputs = {"model": base_folder, "instructions": tmp_path / "instructions"}
    alone = make_context("alone", inputs=inputs)
    dpo.run(dpo_settings(epochs=0.2), alone)
    assert alone.counts["imported"] == 34
    assert sum(alone.counts[half]["pairs"] for half in ("preferences", "held_out")) == 34
    both = make_context("both", inputs={**inputs, "prefer": prefer_folder})
    halves = dpo.read_halves(dpo_settings(), both)
    assert sum(map(len, halves.values())) == 24 + 12 + 34
    questions = {name: {pair.prompt[-1].content for pair in half} for name, half in halves.items()}
    assert not questions["preferences"] & questions["held_out"], "a prompt stays on the side where [prefer] has it"
    assert sum(map(len, dpo.read_halves(dpo_settings(imported=False), both).values())) == 24 + 12
    (tmp_path / "instructions" / "preferences.jsonl").write_text("")
    with pytest.raises(DataError, match=r"no pair to train on: \[instructions\] imported none .*no \[prefer\]"):
        dpo.run(dpo_settings(), make_context("none", inputs=inputs))


def test_held_out_documents_of_the_corpus_are_readable(corpus_folder: Path) -> None:
    assert pq.read_table(corpus_folder / "held_out" / "th.parquet")["text"].to_pylist() == THAI[:2]
