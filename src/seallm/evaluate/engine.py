"""Prompts and choices in, log-likelihoods and answers out: the engine that computes a model here.

Prompts that share a prefix are computed once, and the choices of a question are read from one cache
(`model/scoring.py`); `lm_eval`'s own engine computes every choice from the first token on.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from seallm.base.sampling import SamplingSettings
from seallm.evaluate.token_engine import Pair, TokenEngine
from seallm.model.generation import generate
from seallm.model.scoring import continuation_log_likelihoods

CPU_TOKENS_A_THREAD = 1_024  # with more at once, what a layer computes leaves the processor's cache: a sixth slower
TOKENS_A_SEQUENCE = 256  # room for a usual prompt: a batch of sequences in tokens
Found = TypeVar("Found")


class Engine(TokenEngine):
    """A model that is computed here.

    Args:
        model: in evaluation mode.
        tokenizer: its tokenizer.
        batch_sequences: sequences computed at once; halved where memory does not hold them.
        seed: for tasks that sample.
        advance: called with a number of finished requests.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        batch_sequences: int = 64,
        seed: int = 0,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__(tokenizer, seed, advance)
        self.model, self.batch_sequences = model, batch_sequences

    @property
    def max_length(self) -> int:
        """Longest sequence the model has positions for, in tokens."""
        return int(self.model.config.get_text_config(decoder=True).max_position_embeddings)

    def score_ids(self, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
        """(log-likelihood, is it the greedy continuation) of each (prefix, continuation)."""
        found = self._fitting(lambda n: continuation_log_likelihoods(self.model, pairs, self._tokens_at_once(n)))
        return [(likelihood.sum, likelihood.is_greedy) for likelihood in found]

    def write_ids(
        self, prompts: Sequence[list[int]], settings: SamplingSettings, stops: Sequence[str], first: int
    ) -> list[list[int]]:
        """Ids of an answer to each prompt; it ends where its text has a stop string."""
        stop = partial(self._has_ended, [text.encode() for text in stops])
        found = self._fitting(lambda n: generate(self.model, prompts, stop, settings, n, first_prompt=first))
        return [ids for (ids,) in found]

    def _tokens_at_once(self, sequences: int) -> int:
        tokens = sequences * TOKENS_A_SEQUENCE
        if self.model.device.type == "cpu":
            return min(tokens, CPU_TOKENS_A_THREAD * torch.get_num_threads())
        return tokens

    def _fitting(self, compute: Callable[[int], list[Found]]) -> list[Found]:
        """Compute with as many sequences at once as memory holds: half as many, from now on, where they do not fit."""
        while True:
            try:
                return compute(self.batch_sequences)
            except torch.OutOfMemoryError:
                if self.batch_sequences == 1:
                    raise
            # here, not in the handler: there, the traceback would still hold what did not fit
            self.batch_sequences //= 2
            if self.model.device.type == "cuda":
                torch.cuda.empty_cache()

    def _has_ended(self, stops: Sequence[bytes], ids: Sequence[int]) -> bool:
        """True where an answer's last token is the end of sequence, or completes a stop string."""
        if ids[-1] == self.eot_token_id:
            return True
        first = max(0, len(ids) - max(map(len, stops), default=0))  # a token has a byte at least
        text = b"".join(self.plain.token_bytes(ids[i], is_first=i == 0) for i in range(first, len(ids)))
        return any(stop in text for stop in stops)
