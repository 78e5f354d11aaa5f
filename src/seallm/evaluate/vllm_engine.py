"""Prompts and choices in, log-likelihoods and answers out, of a model folder that vLLM computes: the extra `vllm`.

vLLM batches by itself and keeps the prefixes that prompts share; ids are those of every other engine.
"""

from collections.abc import Callable, Sequence

from seallm.base.sampling import SamplingSettings
from seallm.evaluate.token_engine import Pair, TokenEngine
from seallm.model.checkpoints import load_tokenizer
from seallm.model.vllm_chat_model import VllmChatModel, prompts_of_ids


class VllmEngine(TokenEngine):
    """A model behind vLLM.

    Args:
        model: opened; vLLM is started when the first request is computed.
        seed: for tasks that sample.
        advance: called with a number of finished requests.
    """

    def __init__(self, model: VllmChatModel, seed: int = 0, advance: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(load_tokenizer(model.folder), seed, advance)
        self.model = model

    @property
    def max_length(self) -> int:
        """Longest sequence that vLLM takes, in tokens, less the last one of a choice and the one it must generate."""
        return self.model.max_sequence_tokens - 2

    def score_ids(self, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
        """(log-likelihood, is it the greedy continuation) of each (prefix, continuation)."""
        return [(scored.log_probability, scored.is_greedy) for scored in self.model.score_ids(pairs)]

    def write_ids(
        self, prompts: Sequence[list[int]], settings: SamplingSettings, stops: Sequence[str], first: int
    ) -> list[list[int]]:
        """Ids of an answer to each prompt."""
        from vllm import SamplingParams

        wanted = [
            SamplingParams(
                max_tokens=settings.max_new_tokens,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=settings.seed + first + number,
                stop=list(stops) or None,
                stop_token_ids=[self.eot_token_id],
                include_stop_str_in_output=True,
            )
            for number in range(len(prompts))
        ]
        outputs = self.model.llm.generate(prompts_of_ids(prompts), wanted, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]
