"""Many requests at vLLM's own engine (`seallm[vllm]`): large models, many users, a GPU.

vLLM does what our batch does elsewhere: it batches continuously and reuses common beginnings. Prompts are given as ids,
made as for every other engine, so that a message cannot forge a turn here either.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seallm.base.errors import MissingExtra, ModelError
from seallm.model.jobs import Job, Score, Update

_LARGEST_SEED = 2**63


class VllmBatch:
    """A `Batch` over vLLM.

    Args:
        folder: Hugging Face folder of the model.
        number_type: of the weights; None: as they were saved.
        max_rows: sequences computed at once.

    Raises:
        MissingExtra: vLLM is not installed.
    """

    def __init__(self, folder: Path, number_type: str | None, max_rows: int) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise MissingExtra("vllm", "vllm")
        from vllm import EngineArgs, LLMEngine

        arguments = EngineArgs(
            model=str(folder),
            dtype=number_type or "auto",
            max_num_seqs=max_rows,
            enable_prefix_caching=True,
            max_logprobs=20,
            trust_remote_code=False,
            disable_log_stats=True,
        )
        self._engine: Any = LLMEngine.from_engine_args(arguments)
        self.max_sequence_tokens = int(self._engine.model_config.max_model_len)
        self._jobs: dict[int, Job] = {}
        self._has_scores: set[int] = set()

    @property
    def num_sequences(self) -> int:
        """Sequences that are computed or wait."""
        return len(self._jobs)

    def add(self, key: int, job: Job) -> None:
        """Take a job.

        Raises:
            ModelError: prompt and answer exceed the model's positions.
        """
        if len(job.prompt) + job.sampling.max_new_tokens > self.max_sequence_tokens:
            raise ModelError(
                f"Prompt and answer exceed the model's {self.max_sequence_tokens} positions. Shorten either"
            )
        self._jobs[key] = job
        self._engine.add_request(str(key), {"prompt_token_ids": list(job.prompt)}, _parameters(job))

    def remove(self, key: int) -> None:
        """Forget a job that is no longer wanted."""
        if self._jobs.pop(key, None) is not None:
            self._engine.abort_request([str(key)])
        self._has_scores.discard(key)

    def clear(self) -> None:
        """Forget all jobs; what vLLM keeps of them is its own."""
        self._engine.abort_request([str(key) for key in self._jobs])
        self._jobs.clear()
        self._has_scores.clear()

    def step(self) -> list[Update]:
        """One step of vLLM's engine; it may bring several tokens a sequence."""
        if not self._jobs:  # its engine would wait for something to do
            return []
        return [u for output in self._engine.step() for u in self._updates(int(output.request_id), output)]

    def _updates(self, key: int, output: Any) -> list[Update]:
        job = self._jobs.get(key)
        if job is None:
            return []
        prompt_scores = None
        if job.scores_prompt and key not in self._has_scores and output.prompt_logprobs:
            told = zip(job.prompt[1:], output.prompt_logprobs[1:], strict=True)
            prompt_scores = tuple(_score(token_id, each, job) for token_id, each in told)
            self._has_scores.add(key)
        made = output.outputs[0]
        ids: Sequence[int] = list(made.token_ids)
        scores = [_score(i, each, job) for i, each in zip(ids, made.logprobs, strict=True)] if made.logprobs else []
        is_over = bool(output.finished)
        if job.sampling.max_new_tokens == 0:
            ids = []
        updates = [
            Update(key, token_id, scores[n] if scores else None, None, is_last=is_over and n == len(ids) - 1)
            for n, token_id in enumerate(ids)
        ]
        if not updates and (is_over or prompt_scores is not None):
            updates = [Update(key, None, None, None, is_last=is_over)]
        if updates and prompt_scores is not None:
            first = updates[0]
            updates[0] = Update(key, first.token_id, first.score, prompt_scores, is_last=first.is_last)
        if is_over:
            self._jobs.pop(key, None)
            self._has_scores.discard(key)
        return updates


def _parameters(job: Job) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    sampling = job.sampling
    return SamplingParams(
        max_tokens=max(1, sampling.max_new_tokens),  # one is made where none is wanted, and thrown away
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k or 0,
        min_p=sampling.min_p,
        seed=sampling.seed % _LARGEST_SEED,
        repetition_penalty=sampling.repetition_penalty,
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        logit_bias=dict(sampling.logit_bias) or None,
        stop_token_ids=sorted(job.stop_ids),
        logprobs=job.num_top,
        prompt_logprobs=(job.num_top or 0) if job.scores_prompt else None,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )


def _score(token_id: int, told: Mapping[int, Any], job: Job) -> Score:
    """Of a token, from vLLM's log-probabilities of it and of the likeliest, by id."""
    likely = sorted(((i, float(each.logprob)) for i, each in told.items()), key=lambda pair: -pair[1])
    return Score(float(told[token_id].logprob), tuple(likely[: job.num_top or 0]))
