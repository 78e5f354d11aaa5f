import json
import unicodedata
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from seallm.base.errors import ModelError
from seallm.base.records import Message
from seallm.evaluate.answers import greedy_answers, sample_questions
from seallm.evaluate.engine import Engine
from seallm.model.chat_format import ChatFormat
from tests.evaluate.conftest import LANGUAGES
from tests.model.conftest import build_tokenizer


def test_answers_are_transformers_greedy_ones(engine: Engine) -> None:
    questions = ["How do I cook rice?", "วันนี้กินอะไรดี", "Hi"]
    chat = ChatFormat(engine.tokenizer)
    for question, answer in zip(questions, greedy_answers(engine, questions, 12), strict=True):
        import torch

        prompt = torch.tensor([chat.prompt_ids([Message("user", question)])])
        theirs = engine.model.generate(prompt, attention_mask=prompt * 0 + 1, do_sample=False, max_new_tokens=12)
        assert answer == chat.decode(theirs[0, prompt.shape[1] :].tolist()).strip()


def test_too_long_questions_are_cut_and_counted(engine: Engine) -> None:
    assert len(greedy_answers(engine, ["rain " * 900, "Hi"], 4)) == 2
    assert engine.cut_prompts == 1


def test_a_model_without_chat_format_is_refused(random_model: LlamaForCausalLM) -> None:
    with pytest.raises(ModelError, match="not made for conversations"):
        greedy_answers(Engine(random_model, build_tokenizer("byte-level")), ["Hi"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_everyday_questions(language: str, tmp_path: Path) -> None:
    questions = sample_questions(language, 3, tmp_path)
    assert len(set(questions)) == 3
    assert all(unicodedata.is_normalized("NFC", question) for question in questions)


def test_everyday_and_quiz_questions_take_turns(tmp_path: Path) -> None:
    rows = [{"question": f"Quiz {n}?", "choices": ["a", "b"], "answer": 0} for n in range(9)]
    (tmp_path / "quiz.en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    everyday = sample_questions("en", 2, tmp_path / "nowhere")
    assert sample_questions("en", 4, tmp_path) == [everyday[0], "Quiz 0?", everyday[1], "Quiz 1?"]
    assert len(sample_questions("en", 20, tmp_path)) == 3 + 9
