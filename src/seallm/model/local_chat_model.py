"""Questions in, answers out, of a model that is computed in this process."""

from collections.abc import Sequence
from functools import cached_property

from transformers import PreTrainedModel

from seallm.base.sampling import SamplingSettings
from seallm.endpoints.calls import Scored
from seallm.model.checkpoints import load_model
from seallm.model.folder_chat_model import Drawn, FolderChatModel, Ids
from seallm.model.generation import generate
from seallm.model.scoring import continuation_log_likelihoods

LOOKED_AT_TOKENS = 32  # of an answer's end, for stop strings; longer ones are found when the answer is whole
TOKENS_A_SEQUENCE = 256  # room for a usual prompt: a batch of sequences in tokens


class LocalChatModel(FolderChatModel):
    """A `ChatModel` over our own generation and scoring."""

    @cached_property
    def model(self) -> PreTrainedModel:
        """The weights, loaded when they are first needed."""
        return load_model(self.folder, self.settings.runtime)

    @property
    def max_sequence_tokens(self) -> int:
        """Positions for prompt and answer."""
        return int(self.model.config.get_text_config(decoder=True).max_position_embeddings)

    def draw(
        self, prompts: Sequence[Ids], seeds: Sequence[int], sampling: SamplingSettings, stops: Sequence[str]
    ) -> list[Drawn]:
        """One answer a prompt, drawn from its own seed; it ends soon after a stop string."""
        ends = self.format.stop_ids

        def has_ended(ids: Sequence[int]) -> bool:
            tail = self.format.plain.decode(ids[-LOOKED_AT_TOKENS:])
            return ids[-1] in ends or any(stop in tail for stop in stops)

        found = generate(
            self.model,
            prompts,
            has_ended if stops else ends,
            sampling,
            self.settings.batch_sequences,
            first_prompt=seeds,
        )
        return [Drawn(ids[:-1], True) if ids and ids[-1] in ends else Drawn(ids, False) for (ids,) in found]

    def score_ids(self, requests: Sequence[tuple[Ids, Ids]]) -> list[Scored]:
        """Log-likelihoods of (prefix, continuation), each distinct prefix computed once."""
        batch_tokens = self.settings.batch_sequences * TOKENS_A_SEQUENCE
        found = continuation_log_likelihoods(self.model, requests, batch_tokens)
        return [
            Scored(likelihood.sum, likelihood.is_greedy, len(continuation))
            for likelihood, (_, continuation) in zip(found, requests, strict=True)
        ]
