"""OpenAI's own client against a real server, with every option that the server knows."""

import math
from collections.abc import Iterator

import openai
import pytest
import torch
from lm_eval.models.openai_completions import LocalCompletionsAPI

from seallm.base.sampling import SamplingSettings
from seallm.model.continuous import ContinuousBatch
from seallm.model.rows import TransformersRows
from seallm.model.scoring import continuation_log_likelihoods
from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings
from seallm.web.guard import GuardSettings
from tests.serve.live_server import live_server
from tests.serve.small_model import ANSWERS

MODEL = "small/sft"
ASK = [{"role": "user", "content": "Count"}]
THAI = [{"role": "user", "content": "สวัสดี"}]


@pytest.fixture(scope="module")
def client(shared_engine: Engine) -> Iterator[openai.OpenAI]:
    settings = ServerSettings(GuardSettings(api_key="k"), sampling=SamplingSettings(200, temperature=0.0))
    with live_server(shared_engine, settings) as port:
        yield openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="k", max_retries=0)


def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


def test_chat_with_every_option(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "developer", "content": "Be kind."}, *ASK],  # type: ignore[list-item]
        temperature=1.5,
        top_p=0.9,
        max_completion_tokens=12,
        n=2,
        seed=3,
        stop=["zzz"],
        frequency_penalty=0.5,
        presence_penalty=0.5,
        logit_bias={"40": -100},
        logprobs=True,
        top_logprobs=2,
        user="someone",
        extra_body={"top_k": 50, "min_p": 0.001, "repetition_penalty": 1.1},
    )
    assert answer.usage is not None
    told = [choice.logprobs.content for choice in answer.choices if choice.logprobs and choice.logprobs.content]
    assert answer.usage.completion_tokens == sum(map(len, told))
    for choice, tokens in zip(answer.choices, told, strict=True):
        made = b"".join(bytes(token.bytes or ()) for token in tokens)
        assert made.decode(errors="replace").startswith(str(choice.message.content))
        assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in tokens)
    assert answer.choices[0].message.content != answer.choices[1].message.content


@pytest.mark.parametrize("question", ["Count", "សួស្តី", "สวัสดี"])
def test_a_stream_holds_what_the_whole_answer_holds(client: openai.OpenAI, question: str) -> None:
    messages = [{"role": "user", "content": question}]
    whole = client.chat.completions.create(
        model=MODEL,
        messages=messages,
        logprobs=True,
        top_logprobs=1,
        stop=["seven"],  # type: ignore[arg-type]
    )
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=messages,  # type: ignore[arg-type]
            logprobs=True,
            top_logprobs=1,
            stop=["seven"],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert choices[-1].finish_reason == whole.choices[0].finish_reason
    streamed = [t for choice in choices if choice.logprobs for t in choice.logprobs.content or ()]
    assert whole.choices[0].logprobs is not None
    assert [t.token for t in streamed] == [t.token for t in whole.choices[0].logprobs.content or ()]
    assert chunks[-1].usage == whole.usage


def test_logprobs_of_an_answer_known_by_heart(client: openai.OpenAI) -> None:
    (choice,) = client.chat.completions.create(model=MODEL, messages=THAI, logprobs=True, top_logprobs=3).choices  # type: ignore[arg-type]
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode() == ANSWERS["สวัสดี"]
    for token in tokens:
        assert token.top_logprobs[0].token == token.token
        assert token.top_logprobs[0].logprob == pytest.approx(token.logprob)
        assert sum(math.exp(other.logprob) for other in token.top_logprobs) <= 1 + 1e-5


def test_text_completions(client: openai.OpenAI) -> None:
    prompts = ["one two", "สวัสดี", "x"]
    answer = client.completions.create(model=MODEL, prompt=prompts, max_tokens=4, n=2, seed=1, temperature=1.0)
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 24
    chunks = client.completions.create(
        model=MODEL, prompt=prompts, max_tokens=4, n=2, seed=1, temperature=1.0, echo=True, stream=True
    )
    texts = [""] * 6
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [prompts[n // 2] + choice.text for n, choice in enumerate(answer.choices)]


def test_prompts_are_scored_as_evaluation_tools_ask_for(client: openai.OpenAI, shared_engine: Engine) -> None:
    """The request and its reading are those of lm-evaluation-harness (`local-completions`)."""
    context = shared_engine.format.text_ids("one two three")
    continuation = shared_engine.format.plain.encode_inner([" four five"])[0]
    answer = client.completions.create(
        model=MODEL,
        prompt=[[*context, *continuation], continuation],
        temperature=0,
        max_tokens=1,
        logprobs=1,
        seed=1234,
        echo=True,
    )
    ((total, is_greedy), _) = LocalCompletionsAPI.parse_logprobs(answer.model_dump(), ctxlens=[len(context), 1])
    batch = shared_engine.batch
    assert isinstance(batch, ContinuousBatch)
    rows = batch.computer
    assert isinstance(rows, TransformersRows)
    with torch.inference_mode():
        (expected,) = continuation_log_likelihoods(rows.model, [(context, continuation)], 1_000)
    assert total == pytest.approx(expected.sum, abs=1e-3)
    assert is_greedy == expected.is_greedy
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs is not None
    assert logprobs.token_logprobs[0] is None
    assert "".join((logprobs.tokens or [])[:-1]) == "one two three four five"
    assert (logprobs.text_offset or [])[:2] == [0, 3]


def test_scores_without_an_answer(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="one two", max_tokens=0, echo=True, logprobs=0)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("one two", "length")
    assert answer.choices[0].logprobs is not None
    assert len(answer.choices[0].logprobs.tokens or []) == answer.usage.prompt_tokens  # type: ignore[union-attr]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0


def test_refusals_are_the_clients_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="positions"):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 600}])
    with pytest.raises(openai.BadRequestError, match="out of range"):
        client.completions.create(model=MODEL, prompt=[5, 10**6])
    with pytest.raises(openai.BadRequestError, match="needs echo"):
        client.completions.create(model=MODEL, prompt="x", max_tokens=0)
    with pytest.raises(openai.BadRequestError, match="at most 64 prompts"):
        client.completions.create(model=MODEL, prompt=["x"] * 65)
    with pytest.raises(openai.BadRequestError, match="tools is not supported"):
        client.chat.completions.create(
            model=MODEL, messages=ASK, tools=[{"type": "function", "function": {"name": "f"}}]
        )  # type: ignore[arg-type]
