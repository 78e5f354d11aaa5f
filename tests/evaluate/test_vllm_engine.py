"""What is asked of vLLM, and what is made of its answers: a module with vLLM's names stands in for it.

vLLM itself needs a GPU; the stand-in computes with the same weights, so that both engines must find the same.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from transformers import LlamaForCausalLM

from seallm.base.runtime import Runtime
from seallm.base.sampling import SamplingSettings
from seallm.evaluate.candidates import VllmCandidate
from seallm.evaluate.engine import Engine
from seallm.model.checkpoints import save_model
from seallm.model.generation import generate


@pytest.fixture
def vllm(random_model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """The few names of vLLM that are used, with its own signatures."""

    class LLM:
        llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=512))

        def __init__(self, model: str, **_: Any) -> None:
            self.model = model

        def generate(self, prompts: Sequence[Any], params: Any, use_tqdm: bool) -> list[Any]:
            each = params if isinstance(params, list) else [params] * len(prompts)
            return [_output(random_model, p["prompt_token_ids"], of) for p, of in zip(prompts, each, strict=True)]

    module = ModuleType("vllm")
    module.__spec__ = ModuleSpec("vllm", None)
    module.LLM, module.SamplingParams = LLM, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)


def _output(model: LlamaForCausalLM, ids: list[int], params: Any) -> Any:
    assert len(ids) + params.max_tokens <= 512
    settings = SamplingSettings(params.max_tokens, params.temperature)
    answer = generate(model, [ids], getattr(params, "stop_token_ids", []), settings, 1)[0][0]
    told = None
    if getattr(params, "prompt_logprobs", None):
        with torch.no_grad():
            rows = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        told = [None]
        for row, token in zip(rows[:-1], ids[1:], strict=True):
            rank = int((row > row[token]).sum()) + 1
            told.append({token: SimpleNamespace(logprob=float(row[token]), rank=rank)})
    return SimpleNamespace(outputs=[SimpleNamespace(token_ids=answer)], prompt_logprobs=told)


@pytest.mark.usefixtures("vllm")
def test_the_same_as_our_own_engine(engine: Engine, random_model: LlamaForCausalLM, tmp_path: Path) -> None:
    save_model(tmp_path, random_model, engine.tokenizer)
    candidate = VllmCandidate("m", tmp_path)
    assert candidate.place == f"vllm:{tmp_path}"
    theirs = candidate.open(8, 0, Runtime(), lambda _: None)
    scored = [
        Instance("loglikelihood", {}, arguments, 0)  # type: ignore[arg-type]
        for arguments in (("Which?", " the cat"), ("Which?", " ສີ"), ("rain " * 800, " falls"))
    ]
    for (value, greedy), (expected, was_greedy) in zip(
        theirs.loglikelihood(scored[:2]), engine.loglikelihood(scored[:2]), strict=True
    ):
        assert value == pytest.approx(expected, abs=1e-4)
        assert greedy == was_greedy
    assert theirs.loglikelihood(scored[2:])[0][0] < 0  # cut to what vLLM takes, and counted
    assert theirs.cut_prompts == 1
    chat = engine.apply_chat_template([{"role": "user", "content": "Hello"}])
    written = [
        Instance("generate_until", {}, (prompt, {"until": ["\n", "e"], "max_gen_toks": 16}), 0)  # type: ignore[arg-type]
        for prompt in ("One", "สวัสดี", chat)
    ]
    assert theirs.generate_until(written) == engine.generate_until(written)
