"""Questions in, a chat model's greedy answers out; and the everyday questions whose answers the report shows."""

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from seallm.base.files import read_json_lines
from seallm.base.records import Message
from seallm.evaluate.engine import Engine
from seallm.model.chat_format import ChatFormat
from seallm.model.generation import SamplingSettings, generate

MAX_NEW_TOKENS = 64


def greedy_answers(
    engine: Engine,
    questions: Sequence[str],
    max_new_tokens: int = MAX_NEW_TOKENS,
    system_prompts: Sequence[str] | None = None,
) -> list[str]:
    """The model's most likely answer to each question, cut at `max_new_tokens`.

    A question too long for the model loses its beginning and is counted in `engine.cut_prompts`.

    Args:
        engine: the model.
        questions: what is asked.
        max_new_tokens: longest answer.
        system_prompts: one a question, put before it; an empty one is left out.

    Raises:
        ModelError: the model was not made for conversations.
    """
    chat = ChatFormat(engine.tokenizer)
    room = engine.max_length - max_new_tokens
    systems = [[Message("system", text)] if text else [] for text in system_prompts or [""] * len(questions)]
    prompts = [chat.prompt_ids([*s, Message("user", q)]) for s, q in zip(systems, questions, strict=True)]
    engine.cut_prompts += sum(len(prompt) > room for prompt in prompts)
    settings = SamplingSettings(max_new_tokens, temperature=0.0, top_p=1.0, seed=engine.seed)
    found = generate(engine.model, [p[-room:] for p in prompts], [chat.end_id], settings, engine.batch_sequences)
    return [chat.decode(returned[0]).strip() for returned in found]


def sample_questions(language: str, count: int, data: Path) -> list[str]:
    """Safe questions to show answers to: everyday ones that ship with seallm, in turns with those of the quiz."""
    file = resources.files("seallm") / "evaluate" / "everyday.toml"
    everyday: list[str] = tomllib.loads(file.read_text(encoding="utf-8")).get(language, [])
    quiz_file = data / f"quiz.{language}.jsonl"
    rows = (row for _, row in read_json_lines(quiz_file)) if quiz_file.is_file() else iter(())
    quiz = [row["question"] for row, _ in zip(rows, range(count), strict=False) if isinstance(row, dict)]
    longest = max(len(everyday), len(quiz))
    turns = [q for i in range(longest) for q in (*everyday[i : i + 1], *quiz[i : i + 1])]
    return turns[:count]
