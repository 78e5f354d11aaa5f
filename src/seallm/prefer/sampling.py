"""Prompts in, several answers to each out, every bad one with the reason why it is dropped.

Answers are written in parts of PROMPTS_AT_ONCE prompts, each complete or absent: a run that is killed goes on with the
next part. The noise of an answer depends on the seed and its number alone, so the parts join to the same bytes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from seallm.answer_language import AnswerLanguage
from seallm.base.artifacts import StageContext
from seallm.base.files import file_fingerprint, fingerprint, read_json, read_json_lines, write_json, write_json_lines
from seallm.base.records import Message
from seallm.base.runtime import progress
from seallm.languages import load_language
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.model.generation import SamplingSettings, generate
from seallm.prefer.answers import reason_to_drop
from seallm.prefer.prompts import Prompt
from seallm.recipe import Prefer

PARTS, SAMPLES, SAMPLED_WITH = "parts", "samples.jsonl", "sampled_with.json"
PROMPTS_AT_ONCE = 64
SAMPLING = ("answers_per_prompt", "temperatures", "top_p", "system_prompts", "weaker_models", "max_new_tokens")
SELF = "self"  # the model itself, among those that answered
Sample = dict[str, Any]


def sample_answers(
    model: PreTrainedModel, chat: ChatFormat, prompts: Sequence[Prompt], settings: Prefer, context: StageContext
) -> list[Sample]:
    """Rows of samples.jsonl: language, prompt, answers (text, by whom, language, dropped), and why the prompt is.

    Answers of an earlier run to the same prompts, by the same models in the same way, are taken over.
    """
    key = _key(prompts, settings, context)
    earlier = context.out.with_name(context.out.name.removesuffix(".partial"))
    for folder in (context.out, earlier):
        path = folder / SAMPLED_WITH
        if path.is_file() and read_json(path) == key and (folder / SAMPLES).is_file():
            return _write(context, rows_of(folder / SAMPLES), key)
    parts = context.out / PARTS / key[:16]
    answerers = list(_answerers(model, chat, settings, context))
    with progress("sample answers", len(prompts), context.runtime) as task:
        for start in range(0, len(prompts), PROMPTS_AT_ONCE):
            part, path = prompts[start : start + PROMPTS_AT_ONCE], parts / f"samples.{start:08d}.jsonl"
            if not path.is_file():
                write_json_lines(path, _part(answerers, part, start, settings, context))
            task.advance(len(part))
    return _write(context, [row for path in sorted(parts.glob("samples.*.jsonl")) for row in rows_of(path)], key)


def _write(context: StageContext, samples: list[Sample], key: str) -> list[Sample]:
    write_json_lines(context.out / SAMPLES, samples)
    write_json(context.out / SAMPLED_WITH, key)
    return samples


def _key(prompts: Sequence[Prompt], settings: Prefer, context: StageContext) -> str:
    """What decides the answers, as one hash."""
    values = settings.model_dump(mode="json")
    names = ["model", *(name for name in settings.weaker_models if name in context.inputs)]
    models = [
        [name, path.name, file_fingerprint(path)]
        for name in names
        for path in sorted((context.inputs[name] / "model").iterdir())
        if path.suffix in (".safetensors", ".json")
    ]
    asked = [[prompt.language, prompt.question] for prompt in prompts]
    return fingerprint([models, asked, {name: values[name] for name in SAMPLING}, context.seed, context.round_number])


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The objects of a file that seallm wrote."""
    return [row for _, row in read_json_lines(path) if isinstance(row, dict)]


def _answerers(
    model: PreTrainedModel, chat: ChatFormat, settings: Prefer, context: StageContext
) -> Iterator[tuple[str, PreTrainedModel, ChatFormat]]:
    """The model and the weaker ones; an earlier stage whose model this is gives nothing more."""
    yield SELF, model, chat
    for name in settings.weaker_models:
        if name in context.inputs and context.inputs[name] != context.inputs["model"]:
            folder = context.inputs[name] / "model"
            yield name, load_model(folder, context.runtime), ChatFormat(load_tokenizer(folder))


def _part(
    answerers: Sequence[tuple[str, PreTrainedModel, ChatFormat]],
    prompts: Sequence[Prompt],
    start: int,
    settings: Prefer,
    context: StageContext,
) -> Iterator[Sample]:
    by_prompt: list[list[dict[str, Any]]] = [[] for _ in prompts]
    for name, model, chat in answerers:
        count = settings.answers_per_prompt if name == SELF else 1
        drawn = _draw(model, chat, prompts, (start, name), count, settings, context)
        for answers, found in zip(by_prompt, drawn, strict=True):
            answers += ({"text": text, "by": name, "ended": ended} for text, ended in found)
    asked = [(answer["text"], p.language) for p, own in zip(prompts, by_prompt, strict=True) for answer in own]
    told = iter(AnswerLanguage()([text for text, _ in asked], [language for _, language in asked]))
    for prompt, answers in zip(prompts, by_prompt, strict=True):
        language, seen = load_language(prompt.language), set[str]()
        for answer in answers:
            answer["language"] = next(told)
            reason = reason_to_drop(answer["text"], answer.pop("ended"), language)
            if reason is None and answer["language"] not in (None, prompt.language):
                reason = "wrong language"
            if reason is None and answer["text"] in seen:
                reason = "same as another"
            seen.add(answer["text"])
            answer["dropped"] = reason
        yield {
            "language": prompt.language,
            "prompt": [{"role": "user", "content": prompt.question}],
            "answers": answers,
            "dropped": None if answers else "prompt too long",
        }


def _draw(
    model: PreTrainedModel,
    chat: ChatFormat,
    prompts: Sequence[Prompt],
    place: tuple[int, str],
    count: int,
    settings: Prefer,
    context: StageContext,
) -> list[list[tuple[str, bool]]]:
    """Texts of `count` answers to each prompt, each with whether its turn ended; none where the prompt is too long."""
    first, name = place
    systems = settings.system_prompts[:count]
    room = int(model.config.get_text_config(decoder=True).max_position_embeddings) - settings.max_new_tokens
    drawn: list[list[tuple[str, bool]]] = [[] for _ in prompts]
    ids = [[chat.prompt_ids(_messages(prompt, system)) for system in systems] for prompt in prompts]
    fitting = [number for number, variants in enumerate(ids) if max(map(len, variants)) <= room]
    for turn in range(len(systems)):
        numbers = range(turn, count, len(systems))  # of the answers that have this system prompt
        seed = int(fingerprint([context.seed, context.round_number, name, turn])[:8], 16)
        temperatures = (settings.temperatures[n % len(settings.temperatures)] for n in numbers)
        sampling = [SamplingSettings(settings.max_new_tokens, t, settings.top_p, seed) for t in temperatures]
        found = generate(
            model,
            [ids[n][turn] for n in fitting],
            [chat.end_id],
            sampling,
            settings.batch_sequences,
            len(numbers),
            first_prompt=[first + n for n in fitting],
        )
        for n, answers in zip(fitting, found, strict=True):
            drawn[n] += [(chat.decode(answer).strip(), answer[-1] == chat.end_id) for answer in answers]
    return drawn


def _messages(prompt: Prompt, system: str) -> tuple[Message, ...]:
    text = load_language(prompt.language).system_prompt if system == "language" else system
    question = Message("user", prompt.question)
    return (Message("system", text), question) if text else (question,)
