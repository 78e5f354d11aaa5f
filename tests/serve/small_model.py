"""A tiny model that knows a few answers by heart, so that tests can say exactly what it must answer."""

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from seallm.base.records import Message
from seallm.model.chat_format import ChatFormat, add_chat_tokens
from seallm.model.checkpoints import new_llama, save_model

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> & [a](javascript:1)"
ANSWERS = {
    "Hello": "Hello! How can I help you today?",
    "Count": "one two three four five six seven eight nine ten",
    "สวัสดี": "สวัสดีค่ะ วันนี้ให้ช่วยอะไรดีคะ น้ำชาหรือน้ำเปล่า",
    "មានអ្វី": "សួស្តី ខ្ញុំអាចជួយអ្នកបាន",
    "Attack": HOSTILE,
    "Escape": "\x1b]0;owned\x07\x1b[2Jred",
}

OTHER_ANSWERS = {"Hello": "Good day to you.", "Count": ANSWERS["Count"], "สวัสดี": "สวัสดีครับ ยินดีต้อนรับสู่ประเทศไทย"}


def byte_tokenizer(texts: list[str], vocabulary_tokens: int) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with the chat tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_tokens,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    add_chat_tokens(fast)
    return fast


def learn_by_heart(
    answers: Mapping[str, str], *, hidden_size: int = 64, steps: int = 120, vocabulary_tokens: int = 300
) -> tuple[LlamaForCausalLM, ChatFormat]:
    """Train a tiny model until it gives just these answers.

    Args:
        answers: by question; each is learned as the only exchange of a conversation.
        hidden_size: width of the model.
        steps: optimiser steps on all conversations at once.
        vocabulary_tokens: size of the tokenizer; the smaller, the more tokens an answer has.
    """
    torch.manual_seed(0)
    chat_format = ChatFormat(byte_tokenizer([*answers, *answers.values()], vocabulary_tokens))
    model = new_llama(
        len(chat_format.tokenizer), hidden_size=hidden_size, layers=2, heads=4, max_sequence_tokens=512, seed=1
    )
    encoded = [chat_format.encode([Message("user", q), Message("assistant", a)]) for q, a in answers.items()]
    longest = max(len(e.ids) for e in encoded)
    ids = torch.tensor([e.ids + [chat_format.end_id] * (longest - len(e.ids)) for e in encoded])  # (N, T)
    wanted = torch.tensor([e.supervised + [False] * (longest - len(e.ids)) for e in encoded])
    labels = ids.masked_fill(~wanted, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small that threads only wait for each other
    model.train()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
        output = model(input_ids=ids, labels=labels)
        output.loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    torch.set_num_threads(threads)
    guesses = output.logits[:, :-1].argmax(dim=-1)
    assert bool((guesses == ids[:, 1:])[wanted[:, 1:]].all()), "not learned by heart: train longer"
    return model.eval(), chat_format


def save_small_run(run: Path, model: LlamaForCausalLM, chat_format: ChatFormat) -> None:
    """Lay the model down as the finished sft stage of a run."""
    stage = run / "06-sft"
    stage.mkdir(parents=True)
    save_model(stage / "model", model, chat_format.tokenizer)
    (stage / "manifest.json").write_text("{}")
