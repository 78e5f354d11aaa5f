"""Questions in, answers out, of a model that vLLM computes in this process; needs the extra `vllm` and GPUs.

All GPUs that torch sees hold one model together; CUDA_VISIBLE_DEVICES leaves some of them out.

Prompts are given as ids, made as for every other engine, so that a message cannot forge a turn here either.
"""

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from seallm.base.errors import MissingExtra
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.calls import Scored
from seallm.model.chat_models import ChatModelSettings
from seallm.model.folder_chat_model import Drawn, FolderChatModel, Ids

_LARGEST_SEED = 2**63


class VllmChatModel(FolderChatModel):
    """A `ChatModel` over vLLM.

    Raises:
        MissingExtra: vLLM is not installed.
        ModelError: there is no finished model.
    """

    engine = "vllm"

    def __init__(self, place: Path, settings: ChatModelSettings) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise MissingExtra("vllm", "vllm")
        super().__init__(place, settings)

    @cached_property
    def llm(self) -> Any:
        """The engine, started when it is first needed."""
        from vllm import LLM

        from seallm.base.runtime import gpu_count

        dtype = "auto" if self.settings.runtime.dtype == "auto" else self.settings.runtime.dtype
        return LLM(
            model=str(self.folder),
            dtype=dtype,
            gpu_memory_utilization=self.settings.gpu_memory_share,
            tensor_parallel_size=max(1, gpu_count()),
            trust_remote_code=False,
            seed=0,
        )

    @property
    def max_sequence_tokens(self) -> int:
        """Positions for prompt and answer."""
        return int(self.llm.llm_engine.model_config.max_model_len)

    def draw(
        self, prompts: Sequence[Ids], seeds: Sequence[int], sampling: SamplingSettings, stops: Sequence[str]
    ) -> list[Drawn]:
        """One answer a prompt, drawn from its own seed."""
        from vllm import SamplingParams

        ends = self.format.stop_ids
        drawn = [
            SamplingParams(
                max_tokens=min(sampling.max_new_tokens, self.max_sequence_tokens - len(prompt)),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=(sampling.seed + seed) % _LARGEST_SEED,
                stop=list(stops) or None,
                stop_token_ids=sorted(ends),
            )
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        answers = []
        for output in self.llm.generate(prompts_of_ids(prompts), drawn, use_tqdm=False):
            found = output.outputs[0]
            ids = [token_id for token_id in found.token_ids if token_id not in ends]
            answers.append(Drawn(ids, found.finish_reason == "stop"))
        return answers

    def score_ids(self, requests: Sequence[tuple[Ids, Ids]]) -> list[Scored]:
        """Log-likelihoods of (prefix, continuation); one token is generated and thrown away."""
        from vllm import SamplingParams

        wanted = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1)
        outputs = self.llm.generate(prompts_of_ids([p + c for p, c in requests]), wanted, use_tqdm=False)
        scores = []
        for (prefix, continuation), output in zip(requests, outputs, strict=True):
            told = output.prompt_logprobs[len(prefix) :]
            found = [each[token_id] for token_id, each in zip(continuation, told, strict=True)]
            total = float(sum(each.logprob for each in found))
            scores.append(Scored(total, all(each.rank == 1 for each in found), len(found)))
        return scores


def prompts_of_ids(prompts: Sequence[Ids]) -> list[dict[str, Ids]]:
    """Prompts as vLLM wants them."""
    return [{"prompt_token_ids": list(ids)} for ids in prompts]
