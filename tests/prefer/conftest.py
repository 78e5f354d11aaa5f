"""A tiny model that answers "yes" or "no" at random and, asked to judge, prefers "yes": trained here in seconds."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from seallm.base.records import Message
from seallm.model.chat_format import ChatFormat, Encoded, add_chat_tokens
from seallm.model.checkpoints import new_llama, save_model
from seallm.model.judge_format import judging_exercise
from tests.model.conftest import build_tokenizer

CRITERIA = "kind"
QUESTIONS = tuple(f"Shall we {verb}?" for verb in ("go", "eat", "sing", "rest", "walk", "play", "read", "wait"))
STEPS, ROWS = 200, 12


def exercises(chat: ChatFormat, count: int) -> list[Encoded]:
    """Questions answered by a coin, and judgements in favour of "yes"."""
    choose = random.Random(5)
    rows = []
    for number in range(count):
        question = choose.choice(QUESTIONS)
        if number % 3 == 0:
            messages = (Message("user", question), Message("assistant", choose.choice(("yes", "no"))))
        else:
            first = choose.random() < 0.5
            messages = judging_exercise(question, "yes", "no", CRITERIA, better_first=first)
        rows.append(chat.encode(messages))
    return rows


def train(model: LlamaForCausalLM, rows: list[Encoded]) -> None:
    """Plain supervised steps: loss on supervised ids only."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-3)
    for start in range(0, len(rows), ROWS):
        batch = rows[start : start + ROWS]
        width = max(len(row.ids) for row in batch)
        ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in batch])
        kept = torch.tensor([row.supervised + [False] * (width - len(row.ids)) for row in batch])
        loss = model(input_ids=ids, labels=ids.masked_fill(~kept, -100), use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are faster on one thread, above all beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def chat() -> ChatFormat:
    tokenizer = build_tokenizer("byte-level")
    add_chat_tokens(tokenizer)
    return ChatFormat(tokenizer)


@pytest.fixture(scope="session")
def yes_judge(chat: ChatFormat) -> LlamaForCausalLM:
    model = new_llama(len(chat.tokenizer), hidden_size=48, layers=2, heads=4, max_sequence_tokens=160, seed=1)
    train(model.train(), exercises(chat, STEPS * ROWS))
    return model.eval()


@pytest.fixture(scope="session")
def judge_folder(tmp_path_factory: pytest.TempPathFactory, chat: ChatFormat, yes_judge: LlamaForCausalLM) -> Path:
    """A stage folder with the judge as its model."""
    folder = tmp_path_factory.mktemp("sft")
    save_model(folder / "model", yes_judge, chat.tokenizer)
    return folder
